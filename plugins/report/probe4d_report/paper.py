"""`probe4d paper`: Figures 6, 8 and 14 of the paper, drawn from its own tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from attrs import frozen
from markupsafe import Markup

from probe4d.atomic import write_text
from probe4d.contracts import Array
from probe4d_report import charts
from probe4d_report import radar as radars
from probe4d_report.axes import count_text
from probe4d_report.charts import Series, chart
from probe4d_report.colours import series_colour
from probe4d_report.correlations import correlation_matrix, correlations
from probe4d_report.html import render
from probe4d_report.published import PAPER_TASKS, PaperTask, Published, published, table_1
from probe4d_report.radar import Outline, radar
from probe4d_report.shell import shell
from probe4d_report.svg import key_row, montage, standalone

__all__ = ["RADAR_MODELS", "command", "figure_6", "figure_8", "figure_14", "task_correlations", "write_paper"]

RADAR_MODELS = ("dinov2-g", "videoprism-g", "4ds-s", "4ds-j")  # Source: paper, Figure 6
SHORT = "finetune-20k"
TITLES = {"siglip": "SigLIP", "dinov2": "DINOv2", "videoprism": "VideoPrism", "4ds": "4DS"}


@frozen(kw_only=True)
class Figure:
    """A figure, and the numbers it was drawn from."""

    name: str
    title: str
    text: str
    drawing: Markup
    heads: Sequence[str]
    rows: Sequence[Sequence[str | float]]


@click.command("paper")
@click.option(
    "-o",
    "--output",
    default="paper-figures",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the figures.",
)
def command(output: Path) -> None:
    """Draw the paper's Figures 6 (radar), 8 (scaling) and 14 (task correlation) from its own tables.

    Writes an SVG of each and a page, index.html, with the numbers; prints their paths.
    """
    for file in write_paper(output):
        click.echo(file)


def write_paper(output: Path | str = "paper-figures") -> list[Path]:
    """Return the files written: an SVG per figure, and `index.html`."""
    folder = Path(output)
    figures = [figure_6(), figure_8(), figure_14()]
    files = []
    for figure in figures:
        files.append(folder / f"{figure.name}.svg")
        write_text(files[-1], standalone(figure.drawing))
    models = len({row.model for row in published()})
    files.append(folder / "index.html")
    write_text(files[-1], render("paper.html", figures=figures, models=models, shell=shell()))
    return files


def figure_6() -> Figure:
    """Return the radar plot of four frozen models."""
    rows = [_row(model, "frozen") for model in RADAR_MODELS]
    names = {task.column: f"{task.title}\n{task.value}" for task in PAPER_TASKS}
    outlines = [
        Outline(
            label=_title(row.model),
            values={names[column]: value for column, value in row.values.items()},
            colour=series_colour(number),
            shape=number,
        )
        for number, row in enumerate(rows)
    ]
    ways = {names[task.column]: task.higher_is_better for task in PAPER_TASKS}
    keys = [(one.label, one.colour, one.shape, False) for one in outlines]
    label = f"Radar plot of {', '.join(one.label for one in outlines)} on the five tasks, frozen"
    plot = radar(outlines, ways, label=label)
    legend = (key_row(keys, radars.WIDTH), radars.WIDTH, 22.0)
    return Figure(
        name="figure-6",
        title="Figure 6: frozen features on all tasks",
        text=(
            "Each spoke runs from the worst of the four models (at 0.3) to the best (at 1); an error e stands as "
            "100·2σ(−e)."
        ),
        drawing=montage([[legend], [(plot, radars.WIDTH, radars.HEIGHT)]], label=label, gap=4),
        heads=["model", *(f"{task.title} {task.value}" for task in PAPER_TASKS)],
        rows=[[_title(row.model), *row.values.values()] for row in rows],
    )


def figure_8() -> Figure:
    """Return value against model size for the seven 4DS models, frozen and with short finetuning."""
    frozen_rows, tuned = (
        [row for row in published() if row.protocol == protocol and row.model.startswith("4ds-")]
        for protocol in ("frozen", SHORT)
    )
    plots = [(_scaling(task, frozen_rows, tuned), charts.WIDTH, charts.HEIGHT) for task in PAPER_TASKS]
    keys = [("frozen", series_colour(0), 0, False), ("short finetuning (20k steps)", series_colour(1), 1, False)]
    legend = (key_row(keys, charts.WIDTH), charts.WIDTH, 22.0)
    label = "Value against model size of the 4DS models on five tasks, frozen and with short finetuning"
    rows: list[list[str | float]] = []
    for one, other in zip(frozen_rows, tuned, strict=True):
        assert one.model == other.model  # both in the order of the table
        size = count_text(one.params_millions * 1e6)
        shape = table_1()[one.model]
        facts = (one.model, size, int(shape["width"]), int(shape["depth"]))
        rows.append([*facts, "frozen", *one.values.values()])
        rows.append([*facts, SHORT, *other.values.values()])
    return Figure(
        name="figure-8",
        title="Figure 8: scaling from 20M to 22B parameters",
        text="The seven 4DS models; model size is on a logarithmic scale.",
        drawing=montage([[legend], plots[:3], plots[3:]], label=label, gap=14),
        heads=["model", "size", "width", "depth", "protocol", *(f"{task.title} {task.value}" for task in PAPER_TASKS)],
        rows=rows,
    )


def _scaling(task: PaperTask, frozen_rows: Sequence[Published], tuned: Sequence[Published]) -> Markup:
    series = [
        Series(
            label=label,
            points=[(row.params_millions * 1e6, row.values[task.column]) for row in rows],
            colour=series_colour(number),
            shape=number,
        )
        for number, (label, rows) in enumerate((("frozen", frozen_rows), (SHORT, tuned)))
    ]
    ends = ", ".join(f"{one.label} {one.points[0][1]:g} to {one.points[-1][1]:g}" for one in series)
    return chart(
        series,
        title=f"{task.title} · {task.value}",
        x_label="4DS model",
        better="higher" if task.higher_is_better else "lower",
        log_x=True,
        x_ticks=[(row.params_millions * 1e6, _size_name(row.model)) for row in frozen_rows],
        label=f"{task.title}: {ends}",
    )


def figure_14() -> Figure:
    """Return the correlation of the five tasks over every frozen model."""
    found = task_correlations()
    names = [task.title for task in PAPER_TASKS]
    label = f"Correlation of five tasks over {len(_frozen())} frozen models"
    return Figure(
        name="figure-14",
        title="Figure 14: how alike the tasks rank the models",
        text=(
            f"Pearson’s coefficient over the {len(_frozen())} frozen models of Table 2; RE10k and ScanNet, which are "
            "errors, are negated. The paper finds all coefficients positive; from its table, that of Perception Test "
            "and ScanNet comes out just below 0."
        ),
        drawing=correlation_matrix(found, names, label=label),
        heads=["task", *names],
        rows=[[name, *row] for name, row in zip(names, found.tolist(), strict=True)],
    )


def task_correlations() -> Array:
    """Return the matrix of Figure 14, `(5, 5)` in the order of `PAPER_TASKS`."""
    table = {task.column: [row.values[task.column] for row in _frozen()] for task in PAPER_TASKS}
    return correlations(table, {task.column: task.higher_is_better for task in PAPER_TASKS})


def _frozen() -> list[Published]:
    return [row for row in published() if row.protocol == "frozen"]


def _row(model: str, protocol: str) -> Published:
    return next(row for row in published() if (row.model, row.protocol) == (model, protocol))


def _title(model: str) -> str:
    family, _, size = model.partition("-")
    return f"{TITLES[family]}-{_size_name(model)}" if family == "4ds" else f"{TITLES[family]}-{size}"


def _size_name(model: str) -> str:
    """Return `S` … `G`, `e`, `j`, as the paper writes the sizes of 4DS."""
    size = model.removeprefix("4ds-")
    return size if size in "ej" else size.upper()

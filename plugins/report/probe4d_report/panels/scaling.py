"""Value against number of parameters, a chart per task. The paper's Figure 8, for this run."""

from __future__ import annotations

from markupsafe import Markup

from probe4d.results import Column
from probe4d_report.axes import count_text
from probe4d_report.charts import Level, Series, chart
from probe4d_report.html import Key, figure_grid
from probe4d_report.names import short
from probe4d_report.view import RunView

__all__ = ["panel"]


def panel(run: RunView) -> Markup | None:
    """Return a chart per task; nothing where fewer than two sizes are known."""
    sizes = {run.params(backbone) for backbone in run.backbones} - {None, 0}
    if len(sizes) < 2:
        return None
    figures = [
        _chart(run, column)
        for protocol in run.protocols
        for column in run.main_columns(protocol)
        if _sized(run, column)
    ]
    keys = [_key(run, backbone) for backbone in run.backbones if run.params(backbone) is not None]
    text = "Logarithmic in the number of parameters; bars are 95 % intervals."
    return figure_grid(figures, text=text, keys=keys)


def _key(run: RunView, backbone: str) -> Key:
    without = run.params(backbone) == 0
    return Key(
        label=backbone,
        colour=run.colour(backbone),
        shape=None if without else run.number(backbone) // 8,
        dashed=without,
        note="no parameters" if without else "",
    )


def _sized(run: RunView, column: Column) -> bool:
    return any(run.params(backbone) for backbone in run.backbones if (backbone, column) in run.results.records)


def _chart(run: RunView, column: Column) -> Markup:
    series, levels, said = [], [], []
    for backbone in run.backbones:
        record = run.results.records.get((backbone, column))
        count = run.params(backbone)
        if record is None or count is None:
            continue
        primary = record.content["primary"]
        said.append(f"{backbone} ({count_text(count)}) {primary['value']:.4g}")
        if count == 0:
            levels.append(Level(label=backbone, value=primary["value"], colour=run.colour(backbone)))
            continue
        ends = primary.get("ci95")
        series.append(
            Series(
                label=f"{backbone}, {count_text(count)}",
                points=((float(count), primary["value"]),),
                intervals={float(count): (ends[0], ends[1])} if ends else {},
                colour=run.colour(backbone),
                shape=run.number(backbone) // 8,
            )
        )
    higher = run.results.higher_is_better(column)
    name = run.name(column)
    return chart(
        series,
        levels=levels,
        title=name,
        x_label=f"parameters ({short(column.protocol)})",
        better="higher" if higher else "lower",
        log_x=True,
        x_ticks=_ticks([one.points[0][0] for one in series]),
        label=f"{name} against number of parameters: {'; '.join(said)}",
    )


def _ticks(counts: list[float]) -> list[tuple[float, str]]:
    """Return powers of ten among the counts, or the counts themselves where there are none."""
    powers = [10.0**k for k in range(3, 13) if min(counts) / 1.2 <= 10.0**k <= max(counts) * 1.2]
    return [(value, count_text(value)) for value in (powers if len(powers) > 1 else sorted({min(counts), max(counts)}))]

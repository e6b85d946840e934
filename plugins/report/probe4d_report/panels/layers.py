"""Value against the layer that features are read from, as in the paper's Figure 7."""

from __future__ import annotations

from markupsafe import Markup

from probe4d.results import Column
from probe4d_report.charts import Series, chart
from probe4d_report.html import Key, figure_grid
from probe4d_report.names import layer_text, short
from probe4d_report.view import RunView

__all__ = ["panel"]


def panel(run: RunView) -> Markup | None:
    """Return a chart per task and protocol that was run at several layers."""
    groups: dict[tuple[str, str], list[Column]] = {}
    for column in run.columns:
        groups.setdefault((column.task, column.protocol), []).append(column)
    several = {key: columns for key, columns in groups.items() if len(columns) > 1}
    if not several:
        return None
    keys = [Key(label=b, colour=run.colour(b), shape=run.number(b) // 8) for b in run.backbones]
    figures = [_chart(run, task, protocol, columns) for (task, protocol), columns in several.items()]
    text = "The same readout on features of different depths of the backbone; bars are 95 % intervals."
    return figure_grid(figures, text=text, keys=keys)


def _chart(run: RunView, task: str, protocol: str, columns: list[Column]) -> Markup:
    series = []
    for backbone in run.backbones:
        found = {
            float(c.layer): run.results.records[backbone, c] for c in columns if (backbone, c) in run.results.records
        }
        if not found:
            continue
        primaries = {layer: record.content["primary"] for layer, record in sorted(found.items())}
        series.append(
            Series(
                label=backbone,
                points=tuple((layer, primary["value"]) for layer, primary in primaries.items()),
                intervals={layer: tuple(p["ci95"]) for layer, p in primaries.items() if p.get("ci95")},
                colour=run.colour(backbone),
                shape=run.number(backbone) // 8,
            )
        )
    said = "; ".join(f"{one.label} {', '.join(f'{y:.4g} at {x:g}' for x, y in one.points)}" for one in series)
    return chart(
        series,
        title=f"{short(task)}" + f" · {short(protocol)}" * (len(run.protocols) > 1),
        x_label="layer",
        better="higher" if run.results.higher_is_better(columns[0]) else "lower",
        x_ticks=[(float(column.layer), layer_text(column.layer)) for column in columns],
        label=f"{short(task)} by layer: {said}",
    )

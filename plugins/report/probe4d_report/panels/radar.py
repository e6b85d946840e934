"""All tasks of a protocol at once, as in the paper's Figure 6."""

from __future__ import annotations

from markupsafe import Markup

from probe4d.results import Column
from probe4d_report.html import Key, figure_grid
from probe4d_report.names import short
from probe4d_report.radar import Outline, radar
from probe4d_report.view import RunView

__all__ = ["panel"]

MOST = 6  # outlines in one plot; more cannot be told apart


def panel(run: RunView) -> Markup | None:
    """Return a plot per protocol with at least three tasks and two backbones that have them all."""
    figures: list[Markup] = []
    keys: dict[str, Key] = {}
    captions: list[str] = []
    left_out = 0
    for protocol in run.protocols:
        columns = run.main_columns(protocol)
        whole = [b for b in run.backbones if all((b, column) in run.results.records for column in columns)]
        if len(columns) < 3 or len(whole) < 2:
            continue
        chosen = _chosen(whole)
        left_out = max(left_out, len(whole) - len(chosen))
        keys |= {b: Key(label=b, colour=run.colour(b), shape=run.number(b) // 8) for b in chosen}
        figures.append(_radar(run, protocol, columns, chosen))
        captions.append(short(protocol))
    if not figures:
        return None
    text = (
        "Each spoke runs from the worst of the backbones shown (at 0.3) to the best (at 1). "
        "An error e stands as 100·2σ(−e), so that outwards is better everywhere."
    )
    note = f"{left_out} backbones between the smallest and the largest are not drawn." if left_out else ""
    return figure_grid(figures, text=text, keys=list(keys.values()), captions=captions, note=note, large=True)


def _chosen(backbones: list[str]) -> list[str]:
    """Return at most `MOST`, spread evenly over the sizes."""
    if len(backbones) <= MOST:
        return backbones
    return [backbones[round(k * (len(backbones) - 1) / (MOST - 1))] for k in range(MOST)]


def _radar(run: RunView, protocol: str, columns: tuple[Column, ...], backbones: list[str]) -> Markup:
    spokes = {column: f"{short(column.task)}\n{_value_name(run, column)}" for column in columns}
    outlines = [
        Outline(
            label=backbone,
            values={spokes[c]: float(run.results.records[backbone, c].content["primary"]["value"]) for c in columns},
            colour=run.colour(backbone),
            shape=run.number(backbone) // 8,
        )
        for backbone in backbones
    ]
    ways = {spokes[column]: run.results.higher_is_better(column) for column in columns}
    return radar(outlines, ways, label=f"Radar plot, {short(protocol)}: {', '.join(backbones)}; see the results table")


def _value_name(run: RunView, column: Column) -> str:
    return next(str(r.content["primary"]["name"]) for (_, other), r in run.results.records.items() if other == column)

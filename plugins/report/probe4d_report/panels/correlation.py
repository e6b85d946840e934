"""How alike the tasks rank the backbones, as in the paper's Figure 14."""

from __future__ import annotations

from markupsafe import Markup

from probe4d_report.correlations import correlation_matrix, correlations
from probe4d_report.html import figure_grid
from probe4d_report.names import short
from probe4d_report.view import RunView

__all__ = ["panel"]

FEWEST = 3  # backbones; two always correlate by 1 or −1


def panel(run: RunView) -> Markup | None:
    """Return a matrix per protocol with at least two tasks and three backbones that have them all."""
    figures: list[Markup] = []
    captions: list[str] = []
    least = 0
    for protocol in run.protocols:
        columns = run.main_columns(protocol)
        whole = [b for b in run.backbones if all((b, column) in run.results.records for column in columns)]
        if len(columns) < 2 or len(whole) < FEWEST:
            continue
        least = min(least or len(whole), len(whole))
        names = {column: short(column.task) for column in columns}
        table = {
            names[c]: [float(run.results.records[b, c].content["primary"]["value"]) for b in whole] for c in columns
        }
        ways = {names[column]: run.results.higher_is_better(column) for column in columns}
        found = correlations(table, ways)
        label = f"Correlation of tasks over {len(whole)} backbones, {short(protocol)}"
        figures.append(correlation_matrix(found, list(table), label=label))
        captions.append(f"{short(protocol)}, over {len(whole)} backbones")
    if not figures:
        return None
    text = "Pearson’s coefficient between tasks; errors are negated, so more is better in every task."
    if least < 8:
        text += " So few backbones make it a hint, no more."
    return figure_grid(figures, text=text, captions=captions, large=True)

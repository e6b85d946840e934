"""How alike tasks rank backbones: Pearson's coefficient, errors negated so that more is better everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

from probe4d.contracts import Array
from probe4d_report.matrix import matrix

__all__ = ["correlation_matrix", "correlations"]


def correlations(table: Mapping[str, Sequence[float]], higher_is_better: Mapping[str, bool]) -> Array:
    """Return Pearson's coefficients `(n, n)` between the columns of a table; NaN where a column is constant.

    Source: paper, Figure 14 (RE10k and ScanNet are negated there).
    """
    values = np.array([[v if higher_is_better[name] else -v for v in column] for name, column in table.items()])
    centred = values - values.mean(axis=1, keepdims=True)
    norms = np.sqrt((centred**2).sum(axis=1))
    norms[norms <= 1e-12 * np.abs(values).max(axis=1, initial=0.0)] = np.nan
    found: Array = np.clip(centred @ centred.T / np.outer(norms, norms), -1.0, 1.0)
    return found


def correlation_matrix(found: Array, names: Sequence[str], *, label: str) -> Markup:
    """Return the coefficients as a figure."""
    return matrix(
        found.tolist(),
        names,
        names,
        label=label,
        strength=lambda value: 0.0 if value != value else abs(value),
        words=lambda value: "–" if value != value else f"{value:.2f}",
        tilt=max(map(len, names)) > 8,
    )

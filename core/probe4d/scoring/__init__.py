"""`probe4d score`: read predictions and targets of any origin, check them, and answer with numbers.

    score("points", "P.npz", "T.npz", meta={"order": "xy", …})  -> Score

A `Source` reads one sample at a time out of a container or a foreign format; the kind puts both
sides into one frame; metrics add up exact sums; the answer carries intervals and digests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from probe4d.scoring.answer import Score
    from probe4d.scoring.api import score

__all__ = ["Score", "score"]


def __getattr__(name: str) -> Any:
    # Lazy, so that `probe4d score --help` imports no numpy.
    if name == "score":
        from probe4d.scoring.api import score

        return score
    if name == "Score":
        from probe4d.scoring.answer import Score

        return Score
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""MOTChallenge: `frame,id,left,top,width,height,confidence,…`, a line per box, frames from 1.

`test.txt` or `gt.txt` alone, a folder of `<sequence>.txt`, or a pattern as `train/*/gt/gt.txt`.
In ground truth a 7th column of 0 says that the box is not to be evaluated; such lines are left out.

Source: motchallenge.net/instructions; Milan et al., MOT16 (2016), Sec. 5.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from probe4d.contracts import Array, Arrays, Role
from probe4d.scoring.foreign.numbers import read_table
from probe4d.scoring.foreign.places import digest_places, find_places
from probe4d.scoring.source import Limits, Source, check_array_size, fail

__all__ = ["open_mot"]

COLUMNS = (7, 8, 9, 10)
# The format fixes all of these; both files are in pixels of the sequence's own images.
META = {"order": "xywh", "coords": "pixels", "frame_size": "same"}


def open_mot(path: str, *, role: Role, meta: Mapping[str, Any], limits: Limits) -> Source:
    """Return one sample per sequence: `boxes`, `present`, `track_ids` and `frame_ids` (from 0).

    Raises:
        DataError: a line is not of the format, or a track has two boxes in one frame.
    """
    return Mot(path, role, meta, limits)


class Mot(Source):
    """Sequences in MOTChallenge format."""

    def __init__(self, path: str, role: Role, meta: Mapping[str, Any], limits: Limits) -> None:
        self.name = path
        # A stated size replaces "same", for scoring against boxes of another size.
        self.meta = {key: value for key, value in META.items() if key not in meta or key != "frame_size"}
        self._places = find_places(path, ".txt")
        self.ids = list(self._places)
        self._role = role
        self._limits = limits

    def load(self, sample_id: str) -> Arrays:
        """Return the boxes of one sequence."""
        place = self._places[sample_id]
        table = read_table(place, COLUMNS, self._limits, separator=",")
        if self._role == "targets":
            table = table[table[:, 6] != 0]
        return _tracks(place, table, self._limits)

    def digest(self) -> str:
        """Return the sha256 of the file, or over those of the sequences."""
        return digest_places(self._places)


def _tracks(place: str, table: Array, limits: Limits) -> dict[str, Array]:
    frames, ids = _integers(place, table[:, 0], "frame"), _integers(place, table[:, 1], "id")
    if frames.size and frames.min() < 1:
        fail(place, "frames from 1", f"frame {frames.min()}")
    track_ids, rows = np.unique(ids, return_inverse=True)
    count = int(frames.max()) if frames.size else 0
    check_array_size(place, (len(track_ids), count, 4), 8, limits)
    boxes = np.zeros((len(track_ids), count, 4))
    present = np.zeros((len(track_ids), count), dtype=bool)
    cells = rows * max(count, 1) + frames - 1
    values, first, counts = np.unique(cells, return_index=True, return_counts=True)
    if (counts > 1).any():
        line = first[int(np.argmax(counts > 1))]
        fail(place, "one box per track and frame", f"two of track {ids[line]} in frame {frames[line]}")
    boxes.reshape(-1, 4)[values] = table[first, 2:6]
    present.reshape(-1)[values] = True
    return {"boxes": boxes, "present": present, "track_ids": track_ids, "frame_ids": np.arange(count)}


def _integers(place: str, column: Array, what: str) -> Array:
    if (column != np.round(column)).any() or (np.abs(column) > 1 << 53).any():
        fail(place, f"whole numbers as {what}", f"{column[int(np.argmax(column != np.round(column)))]}")
    return column.astype(np.int64)

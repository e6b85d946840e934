"""One sample on its way into a copy: read in blocks of frames, so that a long video never stands in memory whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen

from probe4d.contracts import Array, Dataset
from probe4d.errors import DataError, UsageError
from probe4d.registry import find, make
from probe4d_datasets.converted.layout import flattened, time_axis

__all__ = ["Gathered", "StartRule", "gather"]

BLOCK = 64  # frames that are read at a time
MOST_STARTS = 32


@frozen(kw_only=True)
class StartRule:
    """From which frames clips may start, for targets that hang on a clip's first frame.

    Attributes:
        clip: frames of the shortest clip.
        starts: stated; else every one that leaves a clip.
    """

    clip: int = 16
    starts: tuple[int, ...] | None = None

    def of(self, length: int, where: str) -> tuple[int, ...]:
        """Return the first frames for a video of this length.

        Raises:
            UsageError: there would be too many.
        """
        if self.starts is not None:
            return tuple(start for start in self.starts if start < length)
        count = max(1, length - self.clip + 1)
        if count > MOST_STARTS:
            raise UsageError(
                f"{where}: its targets hang on a clip's first frame, of which it has {count}. State --starts, or "
                "options of the dataset by which they do not (waymo: --set tracks=all)."
            )
        return tuple(range(count))


@frozen(kw_only=True)
class Gathered:
    """A sample as arrays.

    Attributes:
        arrays: by `video` or `<kind>.<field>`, and `<kind>.<field>@<start>` where the start matters; those whose
            first axis is time are files of numpy, mapped.
        axes: of each array, which axis is time.
    """

    id: str
    frames: int
    provenance: Mapping[str, Any]
    arrays: Mapping[str, Array]
    axes: Mapping[str, int | None]


def gather(dataset: Dataset, sample_id: str, rule: StartRule, folder: Path) -> Gathered:
    """Return a sample's video and targets.

    Args:
        folder: for what does not stay in memory.

    Raises:
        DataError: the sample is missing or broken.
    """
    length = dataset.num_frames(sample_id)
    moving = tuple(getattr(dataset, "first_frame_decides", ()))
    provenance, long, short = _read(dataset, sample_id, length, moving, folder)
    arrays = {**long, **short}
    axes = {name: _axis(name) for name in arrays}
    if moving:
        for start in rule.of(length, sample_id):
            targets = dataset.load(sample_id, range(start, length)).targets
            own = flattened({kind: fields for kind, fields in targets.items() if kind in moving})
            arrays |= {f"{name}@{start}": np.ascontiguousarray(value) for name, value in own.items()}
            axes |= {f"{name}@{start}": _axis(name) for name in own}
    return Gathered(id=sample_id, frames=length, provenance=provenance, arrays=arrays, axes=axes)


def _read(
    dataset: Dataset, sample_id: str, length: int, moving: Sequence[str], folder: Path
) -> tuple[Mapping[str, Any], dict[str, Array], dict[str, Array]]:
    """Return provenance, the arrays with time first, and the others."""
    long: dict[str, Array] = {}
    parts: dict[str, list[Array]] = {}
    provenance: Mapping[str, Any] = {}
    for begin in range(0, length, BLOCK):
        frames = range(begin, min(begin + BLOCK, length))
        sample = dataset.load(sample_id, frames)
        fixed = flattened({kind: fields for kind, fields in sample.targets.items() if kind not in moving})
        for name, value in {"video": sample.video, **fixed}.items():
            if _axis(name) == 0:
                if name not in long:
                    long[name] = _file(folder / f"{name}.npy", (length, *value.shape[1:]), value.dtype)
                if long[name].shape[1:] != value.shape[1:]:
                    raise DataError(
                        f"{sample_id}, {name}: expected {long[name].shape[1:]} throughout, got {value.shape[1:]}."
                    )
                long[name][frames.start : frames.stop] = value
            else:
                parts.setdefault(name, []).append(value)
        provenance = provenance or sample.provenance
    short = {name: _joined(name, values) for name, values in parts.items()}
    return {key: value for key, value in provenance.items() if key != "frames"}, long, short


def _file(path: Path, shape: tuple[int, ...], dtype: Any) -> Array:
    if 0 in shape:
        return np.empty(shape, dtype)
    return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)


def _joined(name: str, values: Sequence[Array]) -> Array:
    axis = _axis(name)
    if axis is None or len(values) == 1:
        return np.array(values[0], order="C")  # the same in every block
    return np.ascontiguousarray(np.concatenate(values, axis=axis))


def _axis(name: str) -> int | None:
    kind, _, field = name.partition(".")
    declared = {} if name == "video" else make(find("kinds", kind)).fields("targets")
    return time_axis(name, declared[field].dims if field in declared else None)

"""Features written to one `.npz` or `.zarr`, with everything that made them.

Arrays are `(t, k, c)`. Their names have as many parts as there is more than one of:

    one video, one layer       features
    one video, more layers     0.95/features
    more videos, one layer     street/features
    more videos, more layers   street/0.95/features

What a block puts out is `block_3`, or `street/block_3`, and counts as no layer here.

`meta` is JSON: in the `.npz` a string array of that name, in the `.zarr` the attribute of the group.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from probe4d.atomic import replacing_folder, write_bytes
from probe4d.contracts import Array
from probe4d.errors import DataError, MissingExtraError, UsageError

__all__ = ["array_name", "check_output", "labels", "write_features"]


def labels(videos: Sequence[str]) -> list[str]:
    """Return a name for each video: its file's name without the ending, numbered where that repeats."""
    taken: dict[str, int] = {}
    names = []
    for video in videos:
        stem = Path(video.rpartition("::")[0] or video).name.partition(".")[0] or "video"
        taken[stem] = taken.get(stem, 0) + 1
        names.append(stem if taken[stem] == 1 else f"{stem}-{taken[stem]}")
    if len(set(names)) != len(names):
        raise UsageError(f"--video: expected names that numbering tells apart, got {', '.join(names)}. Rename one.")
    return names


def array_name(label: str, layer: float | str, *, videos: int, layers: Sequence[float | str]) -> str:
    """Return the name of one array, among so many videos and these layers."""
    place = [label] if videos > 1 else []
    if isinstance(layer, str):
        return "/".join([*place, layer])
    depths = [other for other in layers if not isinstance(other, str)]
    return "/".join([*place, *([str(layer)] if len(depths) > 1 else []), "features"])


def check_output(out: Path, *, overwrite: bool) -> None:
    """Refuse a place that features cannot be written to, before any are computed.

    Raises:
        UsageError: another ending, or something is there.
    """
    if out.suffix not in (".npz", ".zarr"):
        raise UsageError(f"--output: expected a name that ends in .npz or .zarr, got {str(out)!r}.")
    if out.exists() and not overwrite:
        raise UsageError(f"--output: expected a new file, but {out} exists. Give --overwrite to replace it.")
    if out.suffix == ".zarr":
        _zarr()


def write_features(out: Path, arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> None:
    """Write the arrays and the JSON; all of it or nothing."""
    if out.suffix == ".npz":
        import numpy as np

        buffer = io.BytesIO()
        np.savez(buffer, **arrays, meta=np.array(json.dumps(meta, indent=2)))  # type: ignore[arg-type]
        write_bytes(out, buffer.getvalue())
        return
    try:
        with replacing_folder(out) as temporary:
            group = _zarr().open_group(str(temporary), mode="w", zarr_format=3, attributes={"meta": dict(meta)})
            for name, array in arrays.items():
                group.create_array(name, data=array, compressors=None)
    except OSError as error:
        raise DataError(f"{out}: expected a folder to write to, got {error}.") from error


def _zarr() -> Any:
    try:
        import zarr
    except ModuleNotFoundError as error:
        raise MissingExtraError("--output: .zarr needs zarr. Run: pip install 'probe4d[zarr]'") from error
    return zarr

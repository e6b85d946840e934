"""Which reader opens a file: by `--format`, else by its ending. Nothing is sniffed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probe4d.contracts import Role
from probe4d.errors import DataError, UsageError, did_you_mean

if TYPE_CHECKING:
    from probe4d.scoring.source import Limits, Source

__all__ = ["CONTAINERS", "REFUSED", "open_source", "split_by_role"]

CONTAINERS = {
    "npz": "probe4d.scoring.npz:open_npz",
    "zarr": "probe4d.scoring.zarrs:open_zarr",
    "jsonl": "probe4d.scoring.jsonl:open_jsonl",
    "parquet": "probe4d.scoring.parquets:open_parquet",
}
TAPVID_PICKLE = (
    "a pickle runs whatever code its author put into it, so none is ever loaded. Convert it where you trust it: "
    "`d = pickle.load(f); numpy.savez('T.npz', meta=json.dumps({'schema': 'probe4d/points/1', 'order': 'xy', "
    "'coords': 'normalized', 'query_mode': 'first'}), **{f'{id}/{name}': array …})` with tracks = points, occluded, "
    "and query_points (n, 3) = (t, y, x) of each video"
)
REFUSED = {"tapvid-pickle": TAPVID_PICKLE}
PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".joblib")


def open_source(
    path: str,
    role: Role,
    *,
    file_format: str | None,
    foreign: Mapping[str, str],
    meta: Mapping[str, Any],
    limits: Limits,
) -> Source:
    """Return the reader of a file.

    Args:
        foreign: the foreign formats of the kind, by name.
        meta: what `--meta` states for this file, which some foreign formats need to be read at all.

    Raises:
        UsageError: the format is unknown, refused, or neither stated nor told by the ending.
        DataError: the file does not exist, or is not of its format.
    """
    from probe4d.registry import load_target

    known = {**CONTAINERS, **foreign}
    name = file_format or _by_ending(path, role, known)
    if name in REFUSED:
        raise UsageError(f"--format {name}: {REFUSED[name]}.")
    if name not in known:
        raise UsageError(
            f"--format: expected one of {', '.join(known)} for this kind, got {name!r}.{did_you_mean(name, known)}"
        )
    opened: Source = load_target(known[name], f"format {name}")(path, role=role, meta=meta, limits=limits)
    return opened


def _by_ending(path: str, role: Role, known: Mapping[str, str]) -> str:
    ending = Path(path.rstrip("/")).suffix.lower()
    if ending.lstrip(".") in CONTAINERS:
        return ending.lstrip(".")
    if ending in PICKLES:
        raise DataError(f"{path}: {TAPVID_PICKLE}.")
    if "://" not in path and "*" not in path and not Path(path).exists():
        raise DataError(f"{path}: expected a file of {role}, got nothing: it does not exist. Check the path.")
    raise UsageError(
        f"{path}: expected an ending {', '.join('.' + name for name in CONTAINERS)}, got {ending or 'none'!r}. "
        f"Say what it is with --format {role}=<{' | '.join(known)}>."
    )


def split_by_role(option: str, values: tuple[str, ...]) -> dict[Role, str]:
    """Return `{"predictions": …, "targets": …}` of values written plain (for both) or `role=value`.

    Raises:
        UsageError: a role is given twice.
    """
    found: dict[Role, str] = {}
    for value in values:
        role, _, rest = value.partition("=")
        roles: tuple[Role, ...] = ("predictions", "targets")
        pairs: dict[Role, str] = {r: rest for r in roles if r == role} if rest else dict.fromkeys(roles, value)
        if not pairs or set(pairs) & set(found):
            raise UsageError(f"{option}: expected VALUE, predictions=VALUE or targets=VALUE, each once, got {value!r}.")
        found.update(pairs)
    return found

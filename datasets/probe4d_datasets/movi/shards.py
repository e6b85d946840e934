"""The TFRecord shards of a split of a TFDS builder, by `dataset_info.json` or by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from probe4d.errors import DataError, did_you_mean
from probe4d.scoring.strict_json import parse_json
from probe4d_datasets.own.root import Root

__all__ = ["Build", "Shard", "find_build"]

SHARD = re.compile(r"(?P<builder>.+)-(?P<split>[^-]+)\.(?P<format>\w+)-(?P<number>\d{5,})-of-(?P<count>\d{5,})")
CONFIG = "256x256"  # what is taken where several are there
INFO = "dataset_info.json"
MAX_INFO_BYTES = 4 << 20
MAX_RECORDS = 1_000_000  # the largest set has 97,500


@frozen(kw_only=True)
class Shard:
    """One file of a split.

    Attributes:
        path: relative to the root.
        there: whether the file is.
        records: how many it has by `dataset_info.json`, None where nothing says so.
    """

    path: str
    there: bool
    records: int | None


@frozen(kw_only=True)
class Build:
    """A builder's split as it lies on the disk."""

    builder: str
    config: str
    version: str
    shards: tuple[Shard, ...]


def find_build(root: Root, builder: str, config: str | None, version: str | None, split: str) -> Build:
    """Return the shards of a split under `<root>/<builder>/<config>/<version>`, or under the root itself.

    The configuration is 256x256 and the version the only one where they are not stated.

    Raises:
        DataError: there is no such folder or split; the message says what is there.
    """
    folder, names = "", root.names()
    if not names:
        raise DataError(f"{root.url}: expected a folder with files, got none. Check the root.")
    if not _has_records(names):
        for wanted, preferred in ((builder, None), (config, CONFIG), (version, None)):
            step = _chosen(_place(root, folder), [name[:-1] for name in names if name.endswith("/")], wanted, preferred)
            folder = f"{folder}/{step}".strip("/")
            names = root.names(folder)
    info = _info(root, folder) if INFO in names else {}
    found = folder.split("/")
    shards = _stated(info, split, folder, names, root) if info else _named(names, builder, split, folder, root)
    return Build(
        builder=str(info.get("name") or builder),
        config=str(info.get("configName") or (found[-2] if len(found) >= 2 else config or "")),
        version=str(info.get("version") or (found[-1] if folder else version or "")),
        shards=shards,
    )


def _has_records(names: Sequence[str]) -> bool:
    return INFO in names or any(SHARD.fullmatch(name) for name in names)


def _place(root: Root, folder: str) -> str:
    return root.location(folder) if folder else root.url


def _chosen(where: str, there: Sequence[str], stated: str | None, preferred: str | None) -> str:
    """Return the folder that is stated, or preferred, or the only one there is."""
    if stated is None and preferred in there:
        return str(preferred)
    if stated is None and len(there) == 1:
        return there[0]
    if stated is None or stated not in there:
        raise DataError(
            f"{where}: expected {stated or 'one folder'!r}, got {', '.join(there[:8]) or 'none'}. State which."
        )
    return stated


def _info(root: Root, folder: str) -> Mapping[str, Any]:
    path = f"{folder}/{INFO}".strip("/")
    info = parse_json(root.location(path), root.read_up_to(path, MAX_INFO_BYTES))
    if not isinstance(info, dict) or not isinstance(info.get("splits"), list):
        raise DataError(f"{root.location(path)}: expected an object with `splits`, got another. Replace the file.")
    return info


def _stated(info: Mapping[str, Any], split: str, folder: str, names: Sequence[str], root: Root) -> tuple[Shard, ...]:
    """Return the shards that `dataset_info.json` lists."""
    where = root.location(f"{folder}/{INFO}".strip("/"))
    splits = {str(item.get("name")): item for item in info["splits"] if isinstance(item, dict)}
    if split not in splits:
        raise DataError(f"{where}: expected the split {split!r}, got {', '.join(splits)}.{did_you_mean(split, splits)}")
    try:
        lengths = [int(length) for length in splits[split]["shardLengths"]]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where}, {split}: expected shardLengths, whole numbers, got {error}.") from error
    if not lengths or min(lengths) < 0 or len(lengths) > 100_000 or sum(lengths) > MAX_RECORDS:
        raise DataError(f"{where}, {split}: expected shardLengths of records, got {lengths[:8]}. Replace the file.")
    template = str(splits[split].get("filepathTemplate") or "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}")
    shards = []
    for number, length in enumerate(lengths):
        name = _filled(template, info, split, number, len(lengths))
        path = f"{folder}/{name}".strip("/")
        shards.append(Shard(path=path, there=name in names, records=length))
    return tuple(shards)


def _filled(template: str, info: Mapping[str, Any], split: str, number: int, count: int) -> str:
    """Return the file name that a TFDS template gives. Source: TFDS, `core/naming.py`."""
    values = {
        "DATASET": str(info.get("name", "")),
        "SPLIT": split,
        "FILEFORMAT": str(info.get("fileFormat") or "tfrecord"),
        "SHARD_X_OF_Y": f"{number:05d}-of-{count:05d}",
        "SHARD_INDEX": f"{number:05d}",
        "NUM_SHARDS": f"{count:05d}",
    }
    for key, value in values.items():
        template = template.replace("{" + key + "}", value)
    return template


def _named(names: Sequence[str], builder: str, split: str, folder: str, root: Root) -> tuple[Shard, ...]:
    """Return the shards that the file names tell of, those that are missing from `-of-` included."""
    matches = [match for name in names if (match := SHARD.fullmatch(name))]
    mine = [m for m in matches if m["split"] == split and m["builder"] == builder]
    where = _place(root, folder)
    if not mine:
        there = sorted({f"{m['builder']}-{m['split']}" for m in matches})
        raise DataError(f"{where}: expected {builder}-{split}.tfrecord-*, got {', '.join(there) or 'no records'}.")
    if len(counts := {m["count"] for m in mine}) > 1:
        raise DataError(f"{where}: expected shards of one set, got those of {sorted(counts)}. Remove the others.")
    count = int(mine[0]["count"])
    if count > 100_000:
        raise DataError(f"{where}: expected at most 100000 shards, got {count}. Rename the files.")
    shards = []
    for number in range(count):
        name = f"{builder}-{split}.{mine[0]['format']}-{number:05d}-of-{count:05d}"
        shards.append(Shard(path=f"{folder}/{name}".strip("/"), there=name in names, records=None))
    return tuple(shards)

"""Scores a bundle's predictions again, offline, and compares every number of every record."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from attrs import frozen

from probe4d.atomic import sha256_of
from probe4d.bundling.contents import aggregate_values
from probe4d.bundling.reading import OpenedBundle
from probe4d.errors import DataError, Probe4dError
from probe4d.records import Record, RunFolder
from probe4d.registry import find

__all__ = ["CheckedCell", "Difference", "check_aggregates_again", "check_cells"]

OPTIONS = ("match", "align", "align_per", "missing")  # of a score that a record may ask for


@frozen(kw_only=True)
class Difference:
    """A number that is not what scoring it again gives."""

    where: str
    stated: Any
    found: Any


@frozen(kw_only=True)
class CheckedCell:
    """What verifying a cell came to.

    Attributes:
        numbers: how many were compared.
        problem: why it could not be scored again; None where it was.
    """

    cell: str
    numbers: int = 0
    differences: tuple[Difference, ...] = ()
    problem: str | None = None

    @property
    def sound(self) -> bool:
        """Whether every number was compared and is the same."""
        return self.problem is None and not self.differences


def check_cells(bundle: OpenedBundle, targets: Path | None = None) -> Iterator[CheckedCell]:
    """Yield each cell of a bundle, scored again.

    Args:
        targets: folder of the targets that the bundle leaves out; only files of the right digest are taken.

    Raises:
        DataError: a record is damaged, or names files that the bundle does not have.
    """
    run = RunFolder(bundle.folder)
    records = {record.folder.name: record for record in run.records()}
    if set(records) != set(bundle.manifest["cells"]):
        raise DataError(
            f"bundle: expected records of {sorted(map(str, bundle.manifest['cells']))}, got {sorted(records)}."
        )
    for record in records.values():
        yield _check(bundle, record, targets)


def check_aggregates_again(bundle: OpenedBundle) -> Iterator[CheckedCell]:
    """Yield the suite's aggregates, computed again from the records, where it has any."""
    stated = bundle.manifest["aggregates"]
    if stated:
        try:
            wanted = [{"name": one["name"], **one["options"]} for one in stated]
        except (KeyError, TypeError) as error:
            raise DataError(f"bundle.json: aggregates: expected name and options of each, got {stated!r}.") from error
        try:
            again = aggregate_values(RunFolder(bundle.folder).records(), wanted)
        except Probe4dError:
            raise
        except (LookupError, TypeError, AttributeError) as error:
            raise DataError(f"cells: expected whole records to aggregate, got one without {error}.") from error
        yield _compared("aggregates", {"aggregates": stated}, {"aggregates": again})


def _check(bundle: OpenedBundle, record: Record, targets: Path | None) -> CheckedCell:
    content = record.content
    folder = record.folder.relative_to(bundle.folder).as_posix()
    try:
        for name, digest in content["files"].items():
            _of_bundle(bundle, f"{folder}/{name}", digest)
        predictions = _of_bundle(bundle, f"{folder}/{content['predictions']}", None)
        samples = _of_bundle(bundle, f"{folder}/samples.jsonl", content["files"]["samples.jsonl"])
        asked = _options(content, folder)
        truth = _targets(bundle, content, targets)
        stated, way = _stated(content, samples), _way(content)
    except Probe4dError:
        raise
    except (LookupError, TypeError, AttributeError) as error:
        raise DataError(f"{folder}/record.json: expected a whole record, got one without {error}.") from error
    if truth is None:
        return CheckedCell(cell=record.cell.id, problem="its targets are not in the bundle; give them by --targets")
    return _compared(record.cell.id, stated, _again(way, predictions, truth, asked))


def _of_bundle(bundle: OpenedBundle, name: str, digest: str | None) -> Path:
    """Return a file that the manifest names, and that was checked against it."""
    facts = bundle.manifest["files"].get(name)
    if facts is None:
        raise DataError(f"{name}: expected a file of the bundle, got the name of none.")
    if digest is not None and facts["sha256"] != digest:
        raise DataError(f"{name}: expected digest {digest[:12]}… by its record, got {facts['sha256'][:12]}…")
    return bundle.folder / name


def _targets(bundle: OpenedBundle, content: Mapping[str, Any], targets: Path | None) -> Path | None:
    name, digest = content["targets"], content["targets_sha256"]
    if name in bundle.manifest["files"]:
        return _of_bundle(bundle, name, digest)
    if targets is None:
        return None
    file = targets / Path(name).name
    if not file.is_file() or sha256_of(file) != digest:
        raise DataError(f"{file}: expected the targets of digest {digest[:12]}…, got another file or none.")
    return file


def _options(content: Mapping[str, Any], folder: str) -> dict[str, Any]:
    options = dict(content["score_options"])
    if strange := sorted(set(options) - set(OPTIONS)):
        raise DataError(f"{folder}/record.json: score_options: expected {', '.join(OPTIONS)}, got {strange[0]!r}.")
    return options


def _stated(content: Mapping[str, Any], samples: Path) -> dict[str, Any]:
    chosen = [one for one in content["members"] if one["name"] == content["selected"]["name"]]
    return {
        "values": content["values"],
        "ci95": content["ci95"],
        "counts": content["counts"],
        "primary": {name: content["primary"][name] for name in ("value", "ci95")},
        "evaluated": content["samples"]["evaluated"],
        "selected": chosen[0]["values"] if chosen else None,
        "samples": [_parsed(line, samples.name) for line in samples.read_bytes().splitlines()],
    }


def _parsed(line: bytes, where: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise DataError(f"{where}: expected an object of JSON in each line, got {line[:40]!r}.") from error


class _Way(NamedTuple):
    """How the numbers of a record were made: kind, metrics, seed of the intervals, and which number is the primary."""

    kind: str
    metrics: tuple[str, ...]
    seed: int
    primary: str


def _way(content: Mapping[str, Any]) -> _Way:
    task, seed = content["task"], content["seeds"]["bootstrap"]
    metrics, primary = tuple(task["metrics"]), content["primary"]["name"]
    if type(seed) is not int or not all(isinstance(name, str) for name in (task["kind"], primary, *metrics)):
        raise TypeError("names of its task and a seed")
    return _Way(find("kinds", task["kind"]).name, metrics, seed, primary)


def _again(way: _Way, predictions: Path, targets: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    from probe4d.scoring import score

    found = score(way.kind, str(predictions), str(targets), metrics=way.metrics, seed=way.seed, **options)
    name = way.primary
    ends = found.ci95.get(name)
    return {
        "values": dict(found.values),
        "ci95": {value: list(interval) for value, interval in found.ci95.items()},
        "counts": dict(found.counts),
        "primary": {"value": found.values.get(name), "ci95": list(ends) if ends else None},
        "evaluated": found.samples,
        "selected": dict(found.values),
        "samples": [{"id": one, "values": dict(values)} for one, values in sorted(found.per_sample.items())],
    }


def _compared(cell: str, stated: Mapping[str, Any], found: Mapping[str, Any]) -> CheckedCell:
    left, right = (dict(_numbers(value, "")) for value in (stated, found))
    differences = [
        Difference(where=name, stated=left.get(name), found=right.get(name))
        for name in dict.fromkeys([*left, *right])
        if left.get(name, _ABSENT) != right.get(name, _ABSENT)
    ]
    return CheckedCell(cell=cell, numbers=len(left), differences=tuple(differences))


_ABSENT = object()


def _numbers(value: Any, where: str) -> Iterator[tuple[str, Any]]:
    """Yield every leaf with its place, as `ci95.top1.0`."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _numbers(item, f"{where}.{name}" if where else str(name))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _numbers(item, f"{where}.{position}")
    else:
        yield where, value

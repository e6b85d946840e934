"""A dataset into a copy: shard by shard, each whole or not there, the whole of them declared last."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from attrs import asdict, field, frozen

from probe4d.contracts import Dataset
from probe4d.errors import DataError, UsageError
from probe4d.store.files import Files, open_files
from probe4d_datasets.converted.layout import SCHEMA, document
from probe4d_datasets.converted.sample import Gathered, StartRule, gather
from probe4d_datasets.converted.writing import FORMATS, PICTURES, write_tar, write_zarr
from probe4d_datasets.coverage import Coverage
from probe4d_datasets.own.options import one_of

__all__ = ["Begun", "Done", "begun_key", "convert_dataset", "manifest_key"]

WRITERS = {"webdataset": write_tar, "zarr": write_zarr}


def manifest_key(split: str) -> str:
    """Return the file that makes a split's copy whole."""
    return f"{split}/copy.json"


def begun_key(split: str) -> str:
    """Return the file that says what is being made."""
    return f"{split}/begun.json"


def _among(choices: tuple[str, ...]) -> Any:
    def check(_: Any, attribute: Any, value: Any) -> None:
        one_of(f"--{attribute.name}", value, choices)

    return check


@frozen(kw_only=True)
class Begun:
    """What a copy is made of and how: a copy that was begun otherwise is another one.

    Attributes:
        dataset: canonical name; `options` what it is opened with, without its root.
        version: what reads it and which state of its files, see `probe4d.opening.revision_of`.
        format: `webdataset` or `zarr`.
        frames: how pictures are kept: `raw`, `png` or `jpeg`.
        rule: from which frames clips may start, where targets hang on that.
    """

    dataset: str
    split: str
    options: Mapping[str, Any]
    version: str
    format: str = field(validator=_among(FORMATS))
    frames: str = field(default="raw", validator=_among(PICTURES))
    samples_per_shard: int = 32
    rule: StartRule = field(factory=StartRule)

    def to_json(self, ids: Sequence[str]) -> dict[str, Any]:
        """Return plain JSON values, with a digest of the ids."""
        digest = hashlib.sha256("\n".join(ids).encode()).hexdigest()
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self), default=dict))
        return {"schema": SCHEMA, **plain, "samples": len(ids), "ids_sha256": digest}


@frozen(kw_only=True)
class Done:
    """What a conversion came to."""

    url: str
    samples: int
    left_out: tuple[tuple[str, str], ...]
    shards: int
    written: int


@frozen(kw_only=True)
class _Job:
    """One shard."""

    dataset: Dataset
    begun: Begun
    url: str
    shard: str
    first: int
    ids: tuple[str, ...]


def convert_dataset(
    dataset: Dataset,
    begun: Begun,
    url: str,
    *,
    limit: int | None = None,
    max_broken: float = 0.1,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Done:
    """Write the copy, or what is left of it, and return what it came to.

    Args:
        url: a folder or any fsspec URL that can be written.
        limit: the first so many samples only.
        max_broken: a broken sample costs itself, up to this fraction.
        workers: processes, each a shard at a time.
        progress: called with the shards that are done, of how many.

    Raises:
        UsageError: something else was begun there.
        DataError: too many samples are broken.
    """
    files, split = open_files(url), begun.split
    ids = tuple(dataset.sample_ids())[:limit]
    plan = begun.to_json(ids)
    _begin(files, begun_key(split), plan)
    step = begun.samples_per_shard
    jobs = [
        _Job(
            dataset=dataset,
            begun=begun,
            url=url,
            shard=f"{split}/shard-{number:06d}",
            first=first,
            ids=ids[first : first + step],
        )
        for number, first in enumerate(range(0, len(ids), step))
    ]
    todo = [job for job in jobs if files.size(f"{job.shard}.json") is None]
    coverage = Coverage(total=len(ids), max_broken=max_broken)
    for done, index in enumerate(_carried_out(todo, workers), start=len(jobs) - len(todo) + 1):
        for sample_id, reason in index["left_out"]:
            coverage = coverage.without(sample_id, reason)
        progress(done, len(jobs))
    _finish(files, plan, jobs, dataset)
    left_out = tuple((name, reason) for job in jobs for name, reason in _index(files, job.shard)["left_out"])
    return Done(url=url, samples=len(ids) - len(left_out), left_out=left_out, shards=len(jobs), written=len(todo))


def _begin(files: Files, key: str, plan: Mapping[str, Any]) -> None:
    """Say what is being made, or check that the same was begun before."""
    if files.create(key, [document(plan)]):
        return
    try:
        found = json.loads(files.read(key))
    except ValueError as error:
        raise DataError(f"{files.url}/{key}: expected JSON, got {error}. Remove the folder.") from error
    other = [name for name in plan if found.get(name) != plan[name]]
    if other:
        name = other[0]
        raise UsageError(
            f"{files.url}/{key}: expected the copy that was begun here, of {name} {found.get(name)!r}, got "
            f"{plan[name]!r}. Choose another folder, or remove this one."
        )


def _carried_out(jobs: Sequence[_Job], workers: int) -> Iterator[Mapping[str, Any]]:
    if workers == 1 or len(jobs) < 2:
        yield from map(_convert_shard, jobs)
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        try:
            yield from pool.map(_convert_shard, jobs)
        finally:
            pool.shutdown(cancel_futures=True)


def _convert_shard(job: _Job) -> Mapping[str, Any]:
    """Write a shard, last its index, and return the index."""
    left_out: list[tuple[str, str]] = []
    facts: dict[str, dict[str, Any]] = {}
    files = open_files(job.url)
    with tempfile.TemporaryDirectory(prefix="probe4d-") as scratch:

        def samples() -> Iterator[tuple[int, Gathered]]:
            for number, sample_id in enumerate(job.ids, start=job.first):
                folder = Path(scratch, f"{number}")
                folder.mkdir()
                try:
                    sample = gather(job.dataset, sample_id, job.begun.rule, folder)
                except DataError as error:
                    left_out.append((sample_id, str(error)))
                    continue
                facts[sample_id] = {"frames": sample.frames, "provenance": dict(sample.provenance)}
                yield number, sample
                del sample
                for file in folder.iterdir():
                    file.unlink()

        stored = WRITERS[job.begun.format](files, job.shard, samples(), Path(scratch), job.begun.frames)
    index = {
        "schema": SCHEMA,
        "samples": {
            name: {**facts[name], "arrays": {key: one.to_json() for key, one in arrays.items()}}
            for name, arrays in stored.items()
        },
        "left_out": left_out,
    }
    plain: dict[str, Any] = json.loads(json.dumps(index, default=str))
    files.write(f"{job.shard}.json", [document(plain)])
    return plain


def _finish(files: Files, plan: Mapping[str, Any], jobs: Sequence[_Job], dataset: Dataset) -> None:
    """Declare the copy whole."""
    shards = []
    for job in jobs:
        content = files.read(f"{job.shard}.json")
        shards.append(
            {"name": job.shard.rpartition("/")[2], "sha256": hashlib.sha256(content).hexdigest(), "ids": job.ids}
        )
    manifest = {
        **plan,
        "shards": shards,
        "kinds_by_start": list(getattr(dataset, "first_frame_decides", ())),
        "facts": dict(getattr(dataset, "facts", {})),
        "coverage": dict(dataset.coverage()) if hasattr(dataset, "coverage") else None,
    }
    files.write(manifest_key(plan["split"]), [document(json.loads(json.dumps(manifest, default=list)))])


def _index(files: Files, shard: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files.read(f"{shard}.json"))
    return found

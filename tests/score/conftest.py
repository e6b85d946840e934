"""What the tests of `probe4d score` share: small sets of every kind, writers, and the program in this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import frozen

from core import toys
from probe4d import cli
from probe4d.registry import find, make


@frozen
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Return a function that runs `probe4d score …` in this process, as the program does."""

    def call(*arguments: Any) -> Ran:
        with pytest.raises(SystemExit) as exit_:
            cli.main(["score", *map(str, arguments)])
        out, err = capfd.readouterr()
        return Ran(int(exit_.value.code or 0), out, err)

    return call


@frozen
class Set:
    """Samples of one kind: predictions, targets, and what both files state."""

    kind: str
    predictions: dict[str, dict[str, np.ndarray]]
    targets: dict[str, dict[str, np.ndarray]]
    meta: dict[str, dict[str, Any]]

    @property
    def stated(self) -> dict[str, Any]:
        """Both metas as `meta=` of the Python door."""
        return {f"{role}.{key}": value for role, keys in self.meta.items() for key, value in keys.items()}


@pytest.fixture
def example() -> Callable[..., Set]:
    """Return a function that makes a set of the kind's own examples: perfect predictions."""

    def build(kind: str, samples: int = 4) -> Set:
        made = make(find("kinds", kind))
        triples = [made.example(seed) for seed in range(samples)]
        return Set(
            kind,
            {f"clip_{i}": dict(triple[0]) for i, triple in enumerate(triples)},
            {f"clip_{i}": dict(triple[1]) for i, triple in enumerate(triples)},
            {role: dict(keys) for role, keys in triples[0][2].items()},
        )

    return build


@pytest.fixture
def points() -> Set:
    """Return six clips of noisy tracks; nothing is visible in `clip_3` after its query."""
    random = np.random.default_rng(7)
    predictions, targets = {}, {}
    for i in range(6):
        tracks = random.uniform(40, 200, (5, 1, 2)) + np.cumsum(random.normal(0, 3, (5, 8, 2)), axis=1)
        occluded = random.random((5, 8)) < 0.2
        occluded[:, 0] = False
        occluded[:, 1:] |= i == 3
        noisy = tracks + random.normal(0, 3, tracks.shape)
        predictions[f"clip_{i}"] = {"tracks": noisy, "occluded": occluded ^ (random.random((5, 8)) < 0.1 * (i != 3))}
        queries = np.concatenate([np.zeros((5, 1)), tracks[:, 0, ::-1]], axis=1)
        targets[f"clip_{i}"] = {"tracks": tracks, "occluded": occluded, "query_points": queries}
    convention = {"order": "xy", "coords": "pixels", "frame_size": [240, 320]}
    return Set(
        "points", predictions, targets, {"predictions": convention, "targets": {**convention, "query_mode": "first"}}
    )


def write_npz(
    path: Path, samples: Mapping[str, Mapping[str, Any]], meta: Mapping[str, Any], compressed: bool = False
) -> Path:
    """Write `<sample id>/<field>` members."""
    members = {f"{sample_id}/{name}": value for sample_id, fields in samples.items() for name, value in fields.items()}
    (np.savez_compressed if compressed else np.savez)(path, meta=json.dumps(meta), **members)
    return path


def write_batch(
    path: Path, samples: Mapping[str, Mapping[str, Any]], meta: Mapping[str, Any], compressed: bool = False
) -> Path:
    """Write `<field>` members with a leading sample axis."""
    fields = next(iter(samples.values()))
    members = {name: np.stack([sample[name] for sample in samples.values()]) for name in fields}
    save = np.savez_compressed if compressed else np.savez
    save(path, meta=np.array([json.dumps(meta)]), ids=np.array(list(samples)), **members)
    return path


def write_jsonl(path: Path, samples: Mapping[str, Mapping[str, Any]], meta: Mapping[str, Any]) -> Path:
    """Write a header and a line per sample."""
    lines = [{"meta": dict(meta)}]
    for sample_id, fields in samples.items():
        lines.append({"id": sample_id, **{name: np.asarray(value).tolist() for name, value in fields.items()}})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def write_zarr(path: Path, samples: Mapping[str, Mapping[str, Any]], meta: Mapping[str, Any]) -> Path:
    """Write a group per sample."""
    import zarr

    root = zarr.open_group(str(path), mode="w")
    root.attrs["meta"] = dict(meta)
    for sample_id, fields in samples.items():
        group = root.create_group(sample_id)
        for name, value in fields.items():
            array = np.asarray(value)
            group.create_array(name, shape=array.shape, dtype=array.dtype)[...] = array
    return path


def write_parquet(path: Path, samples: Mapping[str, Mapping[str, Any]], meta: Mapping[str, Any]) -> Path:
    """Write a row per sample, two rows a group."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{"id": i, **{n: np.asarray(v).tolist() for n, v in fields.items()}} for i, fields in samples.items()]
    table = pa.Table.from_pylist(rows).replace_schema_metadata({"meta": json.dumps(meta)})
    pq.write_table(table, path, row_group_size=2)
    return path


WRITERS: dict[str, Callable[..., Path]] = {
    "npz": write_npz,
    "batch.npz": write_batch,
    "jsonl": write_jsonl,
    "zarr": write_zarr,
    "parquet": write_parquet,
}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Return a function that writes a set in a container, and returns both paths."""

    def both(of: Set, container: str = "npz", **options: Any) -> tuple[Path, Path]:
        return tuple(  # type: ignore[return-value]
            WRITERS[container](tmp_path / f"{role}.{container}", getattr(of, role), of.meta[role], **options)
            for role in ("predictions", "targets")
        )

    return both


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return an empty site-packages folder on `sys.path`, for toy plugins."""
    root = tmp_path / "site"
    root.mkdir()
    monkeypatch.syspath_prepend(str(root))
    return toys.Site(root)

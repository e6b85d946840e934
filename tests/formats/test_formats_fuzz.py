"""Broken and hostile files of every format: a clear error, bounded memory and time, never a wrong sample unnoticed.

100 mutations of each format; `-m slow` makes it 5,000.
"""

from __future__ import annotations

import contextlib
import io
import pickle
import random
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from movi.made_movi import made_features, png, write_build
from probe4d.contracts import Sample
from probe4d.errors import DataError
from probe4d_datasets.formats.png16 import decode_pngs
from probe4d_datasets.formats.restricted_pickle import read_pickle
from probe4d_datasets.formats.tf_example import encode_example
from probe4d_datasets.formats.tfrecord import frame_record
from probe4d_datasets.movi.dataset import Movi
from probe4d_datasets.movi.record import OF_TARGET, open_record
from probe4d_datasets.tapvid.csv_tracks import read_csv_tracks
from probe4d_datasets.tapvid.dataset import TapVid
from probe4d_datasets.waymo.dataset import Waymo
from probe4d_datasets.waymo.v1 import read_frame
from published_fixtures import broken_copies

FEW, MANY = 100, 5000
MEMORY = 64 << 20  # of arrays and objects, for files of some ten KB
SECONDS = 5.0  # of the processor
OK = "read"


counts = pytest.mark.parametrize("count", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])


def outcomes(mutations: Iterator[bytes], read: Callable[[bytes], Any]) -> Iterator[tuple[bytes, Any]]:
    """Yield each mutation and what it was read as, or its error; anything but a DataError fails, and so does greed."""
    tracemalloc.start()
    try:
        for content in mutations:
            tracemalloc.reset_peak()
            base, started = tracemalloc.get_traced_memory()[0], time.process_time()
            result: Any
            try:
                result = read(content)
            except DataError as error:
                result = error
            assert not isinstance(result, DataError) or "expected" in str(result), result
            assert time.process_time() - started < SECONDS
            assert tracemalloc.get_traced_memory()[1] - base < MEMORY
            yield content, result
    finally:
        tracemalloc.stop()


def same(one: Sample, other: Sample) -> bool:
    if not np.array_equal(one.video, other.video):
        return False
    pairs = [(fields[name], other.targets[kind][name]) for kind, fields in one.targets.items() for name in fields]
    return all(np.array_equal(left, right) for left, right in pairs)


@cache
def features() -> dict[str, Any]:
    return made_features(frames=2, size=8, flows=False)


@counts
def test_a_broken_tfrecord_never_gives_another_sample(count: int, tmp_path: Path) -> None:
    folder = write_build(tmp_path, [[features(), features()]], info=False)
    shard = next(folder.glob("*.tfrecord-*"))
    whole = shard.read_bytes()
    truth = Movi(folder).load(f"{shard.name}__0")
    refused = 0

    def read(content: bytes) -> Sample:
        shard.write_bytes(content)
        return Movi(folder).load(f"{shard.name}__0")

    for _, result in outcomes(broken_copies(whole, count), read):
        if isinstance(result, DataError):
            refused += 1
        else:
            assert same(result, truth)  # the second record is broken, or what was written is what was there
    assert 0.3 * count < refused < count


@counts
def test_a_hostile_example_under_a_right_checksum_is_bounded(count: int) -> None:
    whole = encode_example(features())

    def read(content: bytes) -> str:
        record = open_record(content, tuple(OF_TARGET), "x")
        for key in ("video", "segmentations", "depth", "normal", "object_coordinates"):
            with contextlib.suppress(DataError):
                record.images(key, range(record.length))
        record.cameras()
        return OK

    results = [result for _, result in outcomes(broken_copies(whole, count), read)]
    assert any(isinstance(result, DataError) for result in results)


@counts
def test_a_hostile_movi_record_under_a_right_checksum_is_a_sample_or_refused(count: int, tmp_path: Path) -> None:
    folder = write_build(tmp_path, [[features()]], info=False)
    shard = next(folder.glob("*.tfrecord-*"))

    def read(content: bytes) -> Sample:
        shard.write_bytes(frame_record(content))
        return Movi(folder).load(f"{shard.name}__0")

    for _, result in outcomes(broken_copies(encode_example(features()), count), read):
        if isinstance(result, Sample):
            assert result.video.dtype == np.uint8
            assert np.isfinite(result.targets["points"]["tracks"]).all()


@counts
def test_a_broken_png_is_never_another_picture(count: int) -> None:
    image = np.random.default_rng(0).integers(0, 65536, (16, 16, 3)).astype(np.uint16)

    for _, result in outcomes(broken_copies(png(image), count), lambda content: decode_pngs([content], 3, 16, "x")[0]):
        assert isinstance(result, DataError) or np.array_equal(result, image)


def waymo_roots(tmp_path: Path) -> tuple[Path, Path]:
    pytest.importorskip("pyarrow", reason="Waymo v2 is parquet")
    from waymo.made_waymo import Moment, write_both

    moments = [Moment(10 + i, {1: {"a": (20.0 + i, 9.0, 6.0, 6.0, 1)}}) for i in range(3)]
    return write_both(tmp_path, moments, size=(16, 32))


@counts
def test_a_broken_waymo_record_file_never_gives_another_sample(count: int, tmp_path: Path) -> None:
    root, _ = waymo_roots(tmp_path)
    file = next((root / "training").iterdir())
    whole = file.read_bytes()
    options: dict[str, Any] = {"resize": None, "crop": None, "tracks": "all"}
    truth = Waymo(root, **options).load("1_000_0_000", [0, 1, 2])

    def read(content: bytes) -> Sample:
        file.write_bytes(content)
        return Waymo(root, **options).load("1_000_0_000", [0, 1, 2])

    for content, result in outcomes(broken_copies(whole, count), read):
        assert isinstance(result, DataError) or same(result, truth) or content == whole


@counts
def test_a_hostile_waymo_frame_under_a_right_checksum_is_bounded(count: int, tmp_path: Path) -> None:
    from waymo.made_waymo import Moment, frame

    whole = frame(Moment(1, {1: {"a": (20.0, 9.0, 6.0, 6.0, 1)}}), dict.fromkeys(range(1, 6), (16, 32)))
    for _, result in outcomes(broken_copies(whole, count), lambda content: read_frame(content, 1, True, "x")):
        assert isinstance(result, DataError) or all(abs(v) < 1e9 for box in result.boxes.values() for v in box[:4])


@counts
@pytest.mark.parametrize("part", ["camera_image", "camera_box"])
def test_a_broken_parquet_file_is_refused_or_read(part: str, count: int, tmp_path: Path) -> None:
    _, root = waymo_roots(tmp_path)
    file = next((root / "training" / part).iterdir())
    whole = file.read_bytes()

    def read(content: bytes) -> Sample:
        file.write_bytes(content)
        return Waymo(root, resize=None, crop=None, tracks="all").load("1_000_0_000", [0, 1])

    results = [result for _, result in outcomes(broken_copies(whole, count), read)]
    assert sum(isinstance(result, DataError) for result in results) > 0.3 * count


def entry() -> dict[str, Any]:
    draw = np.random.default_rng(0)
    video = draw.integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    return {"video": video, "points": draw.random((2, 4, 2)), "occluded": np.zeros((2, 4), bool)}


@counts
@pytest.mark.parametrize("protocol", [2, 4])
def test_a_broken_pickle_is_refused_or_read_and_runs_nothing(
    protocol: int, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("pickle was used on a stranger's file")

    file = tmp_path / "tapvid_davis.pkl"
    whole = pickle.dumps({"a": entry(), "b": entry()}, protocol)
    monkeypatch.setattr(pickle, "load", forbidden)
    monkeypatch.setattr(pickle, "loads", forbidden)
    monkeypatch.setattr(pickle, "Unpickler", forbidden)

    def read(content: bytes) -> Sample:
        file.write_bytes(content)
        dataset = TapVid(tmp_path)
        return dataset.load(dataset.sample_ids()[0])

    for _, result in outcomes(broken_copies(whole, count), read):
        if isinstance(result, Sample):
            assert result.video.dtype == np.uint8
            assert np.isfinite(result.targets["points"]["tracks"][result.targets["points"]["visible"]]).all()


@counts
def test_random_programs_for_the_pickle_machine_are_bounded(count: int) -> None:
    chance = random.Random(0)
    words = [b"(", b"]", b"}", b")", b"t", b"l", b"d", b"a", b"e", b"s", b"u", b"0", b"1", b"2", b"N", b"R", b"b", b"."]
    words += [b"K\x05", b"M\xff\xff", b"q\x01", b"h\x01", b"\x94", b"\x85", b"\x86", b"\x87", b"C\x02ab", b"\x8c\x01a"]
    words += [
        b"cnumpy\nndarray\n",
        b"cnumpy\ndtype\n",
        b"cnumpy.core.multiarray\n_reconstruct\n",
        b"c_codecs\nencode\n",
    ]
    words += [b"cnumpy.core.multiarray\nscalar\n", b"\x8c\x02u1", b"V1\n", b"I01\n", b"J\xff\xff\xff\x7f", b"\x89"]

    def programs() -> Iterator[bytes]:
        for _ in range(count * 10):
            yield b"".join(chance.choices(words, k=chance.randrange(1, 40))) + b"."

    for _, result in outcomes(programs(), lambda content: (read_pickle(io.BytesIO(content), "x"), OK)[1]):
        assert result == OK or isinstance(result, DataError)


@counts
def test_a_broken_csv_is_refused_row_by_row(count: int) -> None:
    whole = "".join(f"clip{row // 2},0,10" + ",0.25,0.75,0" * 8 + "\n" for row in range(8)).encode()
    for _, result in outcomes(
        broken_copies(whole, count), lambda content: read_csv_tracks(content.decode("utf-8", "replace"), "x")
    ):
        assert isinstance(result, DataError) or all(
            isinstance(found, str) or np.isfinite(found.points).all() for found in result.values()
        )


@counts
def test_a_broken_dataset_info_is_refused_or_read(count: int, tmp_path: Path) -> None:
    folder = write_build(tmp_path, [[features()], [features()]])
    file = folder / "dataset_info.json"
    whole = file.read_bytes()

    def read(content: bytes) -> tuple[str, ...]:
        file.write_bytes(content)
        return tuple(Movi(folder).sample_ids())

    results = [result for _, result in outcomes(broken_copies(whole, count), read)]
    assert any(isinstance(result, DataError) for result in results)

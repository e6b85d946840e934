"""Clips a second of one core from MOVi, Waymo and TAP-Vid files; what is not asked for costs nothing."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.timed_calls import seconds_of
from movi.made_movi import FLOWS, made_features
from probe4d_datasets.formats.tf_example import encode_example, read_example
from probe4d_datasets.formats.tfrecord import frame_record
from probe4d_datasets.formats.wire import encode_field
from probe4d_datasets.movi.dataset import Movi
from probe4d_datasets.movi.record import ALWAYS, OF_TARGET
from probe4d_datasets.tapvid.dataset import TapVid

pytestmark = pytest.mark.bench
CLIP = range(4, 20)
POINTS = sorted({*ALWAYS, *OF_TARGET["points"]})


def flows(frames: int, size: int) -> bytes:
    """Return both flow tensors as features of their true size, three bytes a number."""
    values = np.random.default_rng(0).integers(0, 65536, frames * size * size * 2).astype(np.uint32)
    packed = np.stack([values & 127 | 128, values >> 7 & 127 | 128, values >> 14], 1).astype(np.uint8).tobytes()
    feature = encode_field(2, encode_field(3, encode_field(1, packed)))
    return encode_field(1, b"".join(encode_field(1, encode_field(1, name.encode()) + feature) for name in FLOWS))


@pytest.fixture(scope="module")
def records() -> dict[str, bytes]:
    """Return a record of 24 frames of 256 x 256, with and without the flows that nobody asks for."""
    plain = encode_example(made_features(24, 256, flows=False))
    return {"plain": plain, "whole": plain + flows(24, 256)}


@pytest.fixture(scope="module")
def movi(records: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return roots with two such records each: the reader keeps the last two, so a third visit is a new one."""
    roots = {}
    for name, record in records.items():
        roots[name] = tmp_path_factory.mktemp(name)
        (roots[name] / "movi_e-train.tfrecord-00000-of-00001").write_bytes(frame_record(record) * 3)
    return roots


def loader(root: Path, **options: Any) -> Callable[[], Any]:
    """Return a function that loads a clip from the disk, another record at each call."""
    dataset = Movi(root, **options)
    names = [name for _ in range(100) for name in dataset.sample_ids()]
    return lambda: dataset.load(names.pop(), CLIP)


def test_features_that_nobody_asked_for_cost_nothing_to_decode(records: dict[str, bytes]) -> None:
    wanted, every = seconds_of(
        [
            lambda: read_example(records["whole"], POINTS, "x"),
            lambda: read_example(records["whole"], [*POINTS, *FLOWS], "x"),
        ]
    )
    print(f"record of {len(records['whole']) / 1e6:.0f} MB: {wanted * 1e3:.2f} ms, with its flows {every * 1e3:.0f} ms")
    assert wanted * 50 < every


def test_a_clip_of_a_record_with_flows_costs_about_that_of_one_without(movi: dict[str, Path]) -> None:
    plain, whole = seconds_of([loader(movi[name], targets=["points"]) for name in ("plain", "whole")])
    print(
        f"movi_e, 16 frames and 64 tracks: {whole * 1e3:.0f} ms, {1 / whole:.1f} clips/s per core; {plain * 1e3:.0f} ms"
    )
    assert whole < 1.5 * plain  # the checksum of the whole record is verified


def test_a_target_that_is_not_asked_for_is_not_paid_for(movi: dict[str, Path]) -> None:
    pose, points, every = seconds_of(
        [
            loader(movi["whole"], **({} if targets is None else {"targets": targets}))
            for targets in (["pose"], ["points"], None)
        ]
    )
    print(f"movi_e: pose {pose * 1e3:.0f} ms, points {points * 1e3:.0f} ms, all four {every * 1e3:.0f} ms")
    assert pose < 0.7 * points


def test_a_waymo_clip_is_mostly_the_decoding_of_its_pictures(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pip install 'probe4d[parquet]' for Waymo v2")
    from probe4d_datasets.own.images import read_colour
    from probe4d_datasets.resize import resize_pixels
    from probe4d_datasets.waymo.dataset import Waymo
    from waymo.made_waymo import Moment, frame, jpeg, write_both

    moments = [Moment(10 + i, {1: {"a": (900.0, 600.0, 300.0, 300.0, 1)}}, (2, 3, 4, 5)) for i in range(16)]
    roots = write_both(tmp_path, moments, size=(1280, 1920))
    sizes = dict.fromkeys(range(1, 6), (1280, 1920))
    lasers = encode_field(5, bytes(2_000_000))  # what most of a real record is
    file = next((roots[0] / "training").iterdir())
    file.write_bytes(b"".join(frame_record(frame(moment, sizes) + lasers) for moment in moments))
    picture = jpeg((1280, 1920), 11)

    def decode() -> None:
        for _ in range(16):
            video = read_colour(picture, "x")[None]
            resize_pixels(video, (320, 0, 1600, 1280), (256, 256))

    calls: list[Callable[[], Any]] = [decode]
    calls += [lambda root=root: Waymo(root).load("1_000_0_000") for root in roots]
    alone, v1, v2 = seconds_of(calls, rounds=3)
    print(f"waymo, 16 frames: v1 {1 / v1:.1f}, v2 {1 / v2:.1f} clips/s per core")
    print(f"waymo: share spent on pictures: v1 {alone / v1:.0%}, v2 {alone / v2:.0%}")
    assert v1 < 1.6 * alone
    assert v2 < 1.6 * alone


def test_a_tapvid_clip_is_read_by_its_frames_and_not_by_its_file(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    entry = {"points": draw.random((20, 60, 2)).astype(np.float32), "occluded": np.zeros((20, 60), bool)}
    videos = {f"v{i}": {**entry, "video": draw.integers(0, 256, (60, 240, 426, 3), np.uint8)} for i in range(8)}
    file = tmp_path / "tapvid_davis.pkl"
    file.write_bytes(pickle.dumps(videos, 4))
    dataset = TapVid(tmp_path)

    def whole() -> np.ndarray:
        with file.open("rb") as stream:
            return np.asarray(pickle.load(stream)["v5"]["video"][:16])

    clip, everything = seconds_of([lambda: dataset.load("v5", range(16)), whole])
    size = file.stat().st_size / 1e6
    print(f"tapvid: 16 frames {clip * 1e3:.1f} ms; pickle.load of all {size:.0f} MB {everything * 1e3:.0f} ms")
    assert clip * 3 < everything

"""Clips for pretraining, with no model: cached playroom and a made video, against plain ways to read them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numbered_videos import numbered_frames
from probe4d_datasets.pretraining import ClipData, open_stream
from probe4d_datasets.pretraining.batches import Batches
from probe4d_datasets.pretraining.sources import open_source
from probe4d_datasets.video import read_frames
from probe4d_datasets.video_index import video_index
from probe4d_datasets.video_write import write_video

pytest.importorskip("grain")
BATCH = 24


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return data of two dozen rendered rooms, 74 pixels for clips of 64."""
    patch = pytest.MonkeyPatch()
    patch.setenv("PROBE4D_CACHE_DIR", str(tmp_path_factory.mktemp("rooms")))
    yield ClipData(source="playroom", size=64, batch_size=BATCH, options={"length": BATCH})
    patch.undo()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return 240 frames of 240 x 320 in h264, a keyframe every 24."""
    path = tmp_path_factory.mktemp("made") / "made.mp4"
    write_video(path, numbered_frames(240, 240, 320), options={"g": "24", "preset": "ultrafast"})
    return path


def batches(data: ClipData) -> Batches:
    return Batches(open_source(data), data, data.share(0, 1))


def plainly(data: ClipData) -> Callable[[int], np.ndarray]:
    """Return what reads a batch of rooms as one would write it first: np.load, crop, flip, stack."""
    rooms = open_source(data).rendered
    rng = np.random.default_rng(0)

    def clip(name: str) -> np.ndarray:
        with np.load(rooms.clip_cache.folder / f"{name}.npz") as arrays:
            video = {key: arrays[key] for key in arrays}["video"]
        top, left = rng.integers(0, 11, 2)
        video = video[:, top : top + 64, left : left + 64]
        return video[:, :, ::-1] if rng.integers(2) else video

    return lambda _: np.stack([clip(name) for name in rooms.sample_ids()])


def ratio(one: Callable[[int], Any], other: Callable[[int], Any], rounds: int = 9) -> float:
    """Return the processor time of `one` over that of `other`: the median of rounds in turns."""
    ratios = []
    for number in range(rounds + 2):
        seconds = []
        for read in (one, other):
            started = time.process_time()
            read(number)
            seconds.append(time.process_time() - started)
        ratios.append(seconds[0] / seconds[1])
    return statistics.median(ratios[2:])


def test_a_batch_of_rooms(rooms: ClipData, benchmark) -> None:
    reader = batches(rooms)
    batch = benchmark.pedantic(lambda: reader[0], rounds=20, warmup_rounds=2)
    assert batch["video"].shape == (BATCH, 16, 64, 64, 3)


def test_a_batch_of_rooms_read_plainly(rooms: ClipData, benchmark) -> None:
    found = benchmark.pedantic(plainly(rooms), args=(0,), rounds=20, warmup_rounds=2)
    assert found.shape == (BATCH, 16, 64, 64, 3)


def test_a_batch_of_eight_clips_of_a_video(made: Path, benchmark) -> None:
    reader = batches(ClipData(source=str(made), batch_size=8))
    batch = benchmark.pedantic(lambda: reader[0], rounds=3, warmup_rounds=1)
    assert batch["video"].shape == (8, 16, 224, 224, 3)


@pytest.mark.bench
def test_a_room_takes_a_third_of_the_plain_way(rooms: ClipData) -> None:
    assert ratio(batches(rooms).__getitem__, plainly(rooms)) <= 1 / 3


@pytest.mark.bench
def test_reading_ahead_costs_little(rooms: ClipData) -> None:
    reader = batches(rooms)
    with open_stream(rooms) as stream:
        for _ in range(3):
            next(stream)

        def ahead(_: int) -> None:
            for _ in range(4):
                next(stream)

        def here(number: int) -> None:
            for at in range(4):
                reader[4 * number + at]

        assert ratio(ahead, here) <= 1.25


@pytest.mark.bench
def test_all_but_the_decoding_of_a_video_takes_less_than_the_decoding(made: Path) -> None:
    reader, index = batches(ClipData(source=str(made), batch_size=8)), video_index(made)
    rng = np.random.default_rng(0)

    def decode(_: int) -> None:
        for start in rng.integers(0, 240 - 31, 8).tolist():
            read_frames(made, range(start, start + 31, 2), index=index)

    assert ratio(reader.__getitem__, decode) <= 2.0

"""Clips a second of the loaders of published datasets: by one process and by two, beside PyTorch's own ways."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import statistics
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from numbered_videos import numbered_frames
from probe4d.contracts import Dataset
from probe4d.registry import find, make
from probe4d_datasets import resize, video
from probe4d_datasets.scannet import dataset as scannet_dataset
from probe4d_datasets.video_write import write_video

FRAMES = list(range(8, 40, 2))
COUNT = 2  # samples of each dataset


def webm(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = np.roll(numbered_frames(48, 240, 424), seed, axis=2)
    options = {"deadline": "realtime", "cpu-used": "8", "g": "1000"}
    write_video(path, frames, rate=12, codec="libvpx-vp9", options=options)


def ssv2(root: Path) -> None:
    """Write videos as the data set's: 240 x 424, VP9, one keyframe."""
    for number in range(COUNT):
        webm(root / f"20bn-something-something-v2/{number}.webm", number)
    (root / "labels").mkdir()
    (root / "labels/labels.json").write_text('{"Moving something": "0"}')
    clips = [{"id": str(number), "template": "Moving [something]"} for number in range(COUNT)]
    (root / "labels/train.json").write_text(json.dumps(clips))


def perception_test(root: Path) -> None:
    """Write videos of 270 x 480 in h264 with 60 tracks."""
    document = {}
    (root / "videos").mkdir(parents=True)
    for number in range(COUNT):
        write_video(root / f"videos/v{number}.mp4", np.roll(numbered_frames(60, 270, 480), number, 2), rate=30)
        tracks = [{"id": i, "frame_ids": list(range(60)), "points": [[0.01 * i] * 60, [0.5] * 60]} for i in range(60)]
        document[f"v{number}"] = {"metadata": {"num_frames": 60}, "point_tracking": tracks}
    (root / "point_tracking_train.json").write_text(json.dumps(document))


def re10k(root: Path) -> None:
    """Write a chunk of clips of 40 JPEGs of 360 x 640, as pixelSplat's."""
    torch = pytest.importorskip("torch", reason="pip install torch to write chunks")
    from PIL import Image

    clips = []
    for number in range(COUNT):
        images = [
            torch.frombuffer(bytearray(jpeg(Image, np.roll(frame, number, 1))), dtype=torch.uint8)
            for frame in numbered_frames(40, 360, 640)
        ]
        cameras = torch.cat([torch.tensor([0.5, 0.9, 0.5, 0.5, 0, 0]), torch.eye(3, 4).ravel()]).repeat(40, 1)
        clips.append(
            {"key": f"{number:016x}", "url": "https://www.youtube.com/watch?v=abcdefghijk", "images": images,
             "timestamps": torch.arange(40) * 33_367, "cameras": cameras}
        )  # fmt: skip
    (root / "re10k/train").mkdir(parents=True)
    torch.save(clips, root / "re10k/train/000000.torch")
    (root / "re10k/train/index.json").write_text(json.dumps({clip["key"]: "000000.torch" for clip in clips}))


def jpeg(image_module, frame: np.ndarray) -> bytes:
    import io

    buffer = io.BytesIO()
    image_module.fromarray(frame).save(buffer, format="JPEG", quality=90)
    return buffer.getvalue()


def scannet(root: Path) -> None:
    """Write scans of 968 x 1296 in JPEG and 480 x 640 of depth in zlib."""
    from PIL import Image

    depth = (np.random.default_rng(0).integers(0, 40, (480, 640)) + np.arange(640) * 4 + 800).astype("<u2")
    packed = zlib.compress(depth.tobytes())
    picture = jpeg(Image, numbered_frames(1, 968, 1296)[0])
    cameras = np.tile(np.eye(4, dtype="<f4").ravel(), 4).tobytes()
    head = struct.pack("<IQ", 4, 1) + b"x" + cameras + struct.pack("<2i4IfQ", 2, 1, 1296, 968, 640, 480, 1000.0, 40)
    frame = np.eye(4, dtype="<f4").tobytes() + struct.pack("<4Q", 0, 0, len(picture), len(packed)) + picture + packed
    for number in range(COUNT):
        path = root / f"scans/scene000{number}_00/scene000{number}_00.sens"
        path.parent.mkdir(parents=True)
        path.write_bytes(head + frame * 40)
    (root / "scannetv2_train.txt").write_text("".join(f"scene000{number}_00\n" for number in range(COUNT)))


MAKERS = {"ssv2": ssv2, "perception_test": perception_test, "re10k": re10k, "scannet": scannet}


@pytest.fixture(scope="module", params=sorted(MAKERS))
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Dataset]:
    root = tmp_path_factory.mktemp(request.param)
    MAKERS[request.param](root)
    data = make(find("datasets", request.param), root=str(root), split="train")
    load_all(data, 1)  # indices are made once and kept
    return request.param, data


def load_all(data: Dataset, rounds: int) -> int:
    """Load a clip of each sample so many times; return how many clips that is."""
    for _ in range(rounds):
        for name in data.sample_ids():
            assert len(data.load(name, FRAMES).video) == 16
    return rounds * len(data.sample_ids())


def test_clips_a_second(made, benchmark):
    name, data = made
    ids = data.sample_ids()
    turn = iter(range(1 << 30))
    clip = benchmark.pedantic(lambda: data.load(ids[next(turn) % COUNT], FRAMES), rounds=4)
    assert clip.video.shape[0] == 16
    benchmark.extra_info["dataset"] = name


def test_most_of_a_clip_s_time_is_decoding(made, monkeypatch, benchmark):
    """What is not decoding or resizing pixels is the loader's own."""
    _, data = made
    spent = 0.0

    def timed(function: Callable) -> Callable:
        def call(*args, **options):
            nonlocal spent
            started = time.process_time()
            try:
                return function(*args, **options)
            finally:
                spent += time.process_time() - started

        return call

    from probe4d_datasets.perception_test import dataset as perception_dataset
    from probe4d_datasets.re10k import chunks
    from probe4d_datasets.ssv2 import dataset as ssv2_dataset

    for module, function in (
        (ssv2_dataset, "read_frames"), (perception_dataset, "read_frames"), (chunks, "read_colour"),
        (scannet_dataset, "colour_of"), (scannet_dataset, "depth_of"), (scannet_dataset, "resize_pixels"),
    ):  # fmt: skip
        monkeypatch.setattr(module, function, timed(getattr(module, function)))
    assert video.read_frames is not ssv2_dataset.read_frames
    assert resize.resize_pixels is not scannet_dataset.resize_pixels
    started = time.process_time()
    benchmark.pedantic(load_all, args=(data, 1), rounds=1)
    share = spent / (time.process_time() - started)
    benchmark.extra_info["decoding"] = round(share, 3)
    assert share > 0.5


def _seconds(pool: multiprocessing.pool.Pool, data: Dataset, tasks: int, rounds: int) -> float:
    started = time.perf_counter()
    for result in [pool.apply_async(load_all, (data, rounds)) for _ in range(tasks)]:
        result.get()
    return time.perf_counter() - started


def _undisturbed(data: Dataset, rounds: int) -> float:
    """Return how long loading takes a process, without the time in which others had its core.

    What it waits for itself, a lock or the disk, counts.
    """
    before, started = _queued(), time.perf_counter()
    load_all(data, rounds)
    return time.perf_counter() - started - (_queued() - before)


def _queued() -> float:
    """Return for how many seconds this process was ready to run and did not."""
    return int(Path("/proc/self/schedstat").read_text().split()[1]) / 1e9


@pytest.mark.bench
def test_two_processes_load_1_7_times_as_much(made):
    name, data = made
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        _seconds(pool, data, 2, 1)  # imports and first files
        ratios = []
        for _ in range(7):
            alone = pool.apply(_undisturbed, (data, 4))
            both = [pool.apply_async(_undisturbed, (data, 4)) for _ in range(2)]
            ratios.append(2 * alone / max(result.get() for result in both))
    print(f"{name}: two processes load {statistics.median(ratios):.2f} times as much as one")
    assert statistics.median(ratios) >= 1.7


@pytest.mark.bench
def test_chunks_open_about_as_fast_as_with_torch(tmp_path):
    """Sixteen frames of a chunk: `torch.load(weights_only=True)` and Pillow, beside the restricted reader."""
    torch = pytest.importorskip("torch", reason="pip install torch to compare with it")
    import io

    from PIL import Image

    re10k(tmp_path)
    data = make(find("datasets", "re10k"), root=str(tmp_path), split="train")
    path = tmp_path / "re10k/train/000000.torch"

    def by_torch() -> np.ndarray:
        clip = torch.load(path, weights_only=True)[0]
        images = [Image.open(io.BytesIO(clip["images"][frame].numpy().tobytes())) for frame in FRAMES]
        return np.stack([np.asarray(image.convert("RGB")) for image in images])

    def by_probe4d() -> np.ndarray:
        return data.load(data.sample_ids()[0], FRAMES).video

    np.testing.assert_array_equal(by_torch(), by_probe4d())
    measured = ratio(by_probe4d, by_torch)
    print(f"sixteen frames of a chunk: {measured:.2f} times the time of torch.load and Pillow")
    assert measured <= 1.2


@pytest.mark.bench
def test_a_clip_of_a_video_comes_about_as_fast_as_with_decord(tmp_path):
    decord = pytest.importorskip("decord", reason="pip install decord2 to compare with it")
    ssv2(tmp_path)
    data = make(find("datasets", "ssv2"), root=str(tmp_path), split="train")
    path = str(tmp_path / "20bn-something-something-v2/0.webm")

    def by_decord() -> np.ndarray:
        return decord.VideoReader(path, num_threads=1).get_batch(FRAMES).asnumpy()

    def by_probe4d() -> np.ndarray:
        return data.load("0", FRAMES).video

    assert by_decord().shape == by_probe4d().shape
    measured = ratio(by_probe4d, by_decord)
    print(f"sixteen frames of a webm: {measured:.2f} times the time of decord")
    assert measured <= 1.5


def _load_each(data: Dataset, names: list[str]) -> float:
    """Load these samples; return the processor's seconds."""
    started = time.process_time()
    for name in names:
        data.load(name, FRAMES)
    return time.process_time() - started


@pytest.mark.bench
def test_loading_by_pytorch_s_workers_is_no_cheaper(made):
    """The dataset as it is in `torch.utils.data.DataLoader` with two workers, beside two plain processes.

    In processor seconds: the wall clock of workers that read ahead says more of who else had the cores.
    """
    data_module = pytest.importorskip("torch.utils.data", reason="pip install torch to compare with it")
    name, data = made
    items = [one for one in data.sample_ids() for _ in range(24)]
    random.Random(0).shuffle(items)

    class Clips(data_module.Dataset):
        def __len__(self) -> int:
            return len(items)

        def __getitem__(self, number: int) -> np.ndarray:
            return data.load(items[number], FRAMES).video

    def by_torch() -> float:
        loader = data_module.DataLoader(Clips(), batch_size=None, num_workers=2, multiprocessing_context="fork")
        before = sum(os.times()[:4])
        assert sum(1 for _ in loader) == len(items)  # its workers are over then, and counted
        return sum(os.times()[:4]) - before

    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as two:
        _seconds(two, data, 2, 1)
        ratios = []
        for _ in range(3):
            both = [two.apply_async(_load_each, (data, items[part::2])) for part in range(2)]
            ratios.append(sum(result.get() for result in both) / by_torch())
    measured = statistics.median(ratios)
    print(f"{name}: two processes take {measured:.2f} times the processor time of a DataLoader with two workers")
    assert measured <= 1.1


def ratio(one: Callable[[], object], other: Callable[[], object], rounds: int = 7) -> float:
    """Return how many times the processor time of `other` that of `one` is, measured in turns."""
    ratios = []
    for _ in range(rounds + 1):
        seconds = []
        for read in (one, other):
            started = time.process_time()
            read()
            seconds.append(time.process_time() - started)
        ratios.append(seconds[0] / seconds[1])
    return statistics.median(ratios[1:])

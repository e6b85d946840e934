"""Sixteen frames of a video: by index and seek, by decoding from the start, and by OpenCV's own seek."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from numbered_videos import number_of, numbered_frames
from probe4d_datasets.video import read_frames
from probe4d_datasets.video_index import build_index, video_index
from probe4d_datasets.video_write import write_video

REAL = ("cityCC0.mpg", "bikes.mp4", "vtest.avi")
MORE = ("bigbuckbunny.mp4", "cup.mp4", "box.mp4")
MADE = "made.mp4"
Reader = Callable[[Path, list[int]], np.ndarray]


def from_the_start(path: Path, wanted: list[int]) -> np.ndarray:
    """Return the frames by decoding everything before them, as a careful reader without an index does."""
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        frames = []
        for number, frame in enumerate(container.decode(stream)):
            if number in wanted:
                frames.append(frame.to_ndarray(format="rgb24"))
            if number == wanted[-1]:
                break
    return np.stack(frames)


def by_opencv(path: Path, wanted: list[int]) -> np.ndarray:
    """Return the frames as OpenCV seeks to them, in one thread as the others."""
    cv2 = pytest.importorskip("cv2", reason="pip install opencv-python-headless to compare with OpenCV")
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    capture.set(cv2.CAP_PROP_POS_FRAMES, wanted[0])
    grabbed = (number for number in range(wanted[0], wanted[-1] + 1) if capture.grab() and number in wanted)
    frames = [cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2RGB) for _ in grabbed]
    capture.release()
    return np.stack(frames)


def clip_of(path: Path) -> list[int]:
    """Return sixteen frames, every second one, that end at three quarters of the video."""
    end = len(video_index(path)) * 3 // 4
    return list(range(end - 31, end, 2))


def median_ratio(one: Reader, other: Reader, path: Path, rounds: int = 9) -> float:
    """Return how many times the processor time of `other` that of `one` is, measured in turns."""
    wanted = clip_of(path)
    ratios = []
    for _ in range(rounds + 1):
        seconds = []
        for read in (one, other):
            started = time.process_time()
            read(path, wanted)
            seconds.append(time.process_time() - started)
        ratios.append(seconds[0] / seconds[1])
    return statistics.median(ratios[1:])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return 240 frames of 240 x 320 in h264, a keyframe every 24, B-frames between."""
    path = tmp_path_factory.mktemp("made") / MADE
    write_video(path, numbered_frames(240, 240, 320), options={"bf": "2", "g": "24", "preset": "ultrafast"})
    return path


@pytest.fixture(params=[MADE, *REAL, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE)])
def any_video(request: pytest.FixtureRequest, made: Path, repository: Path) -> Iterator[Path]:
    """Return the made video, or a real one where `make samples` has brought it."""
    found = sorted((repository / "samples").glob(f"*/{request.param}"))
    if request.param != MADE and not found:
        pytest.skip(f"no samples/*/{request.param}; `make samples` brings it")
    path = made if request.param == MADE else found[0]
    video_index(path)
    return path


@pytest.mark.parametrize("read", [read_frames, from_the_start, by_opencv], ids=["index", "from-start", "opencv"])
def test_a_clip_of_sixteen_frames_is_read(read: Reader, any_video: Path, benchmark) -> None:
    wanted = clip_of(any_video)
    found = benchmark.pedantic(read, args=(any_video, wanted), rounds=5, warmup_rounds=1)
    assert len(found) == len(wanted)
    if any_video.name == MADE:
        assert [number_of(image) for image in found] == wanted


def test_a_whole_video_is_indexed(made: Path, benchmark) -> None:
    index = benchmark.pedantic(build_index, args=(made,), rounds=3)
    assert len(index) == 240


@pytest.mark.bench
def test_an_index_saves_most_of_the_decoding(made: Path) -> None:
    assert median_ratio(read_frames, from_the_start, made) <= 0.5


@pytest.mark.bench
def test_checked_frames_come_about_as_fast_as_opencv_s_unchecked_ones(made: Path) -> None:
    assert median_ratio(read_frames, by_opencv, made) <= 1.5

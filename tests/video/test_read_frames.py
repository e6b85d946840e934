"""Frames by seek are the frames of a sequential decode, in every container and codec."""

from __future__ import annotations

import itertools
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import attrs
import av
import fsspec
import numpy as np
import pytest

from numbered_videos import number_of
from probe4d.errors import DataError
from probe4d_datasets import video
from probe4d_datasets.video import read_frames
from probe4d_datasets.video_index import video_index

REAL = ["cityCC0.mpg", "bikes.mp4", "bigbuckbunny.mp4", "carphone_pristine.mp4", "vtest.avi", "box.mp4", "cup.mp4"]


def decode_all(path: Path) -> list[np.ndarray]:
    with av.open(str(path), metadata_errors="replace") as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_every_frame_alone_is_the_frame_of_a_sequential_decode(any_video: Path) -> None:
    truth = decode_all(any_video)
    index = video_index(any_video)
    assert len(index) == len(truth) == 40
    for number in range(40):
        np.testing.assert_array_equal(read_frames(any_video, [number], index=index), [truth[number]])


def test_clips_in_any_order_with_repeats_are_the_frames_asked_for(any_video: Path) -> None:
    truth = decode_all(any_video)
    for seed in range(4):
        wanted = random.Random(seed).choices(range(40), k=9)
        np.testing.assert_array_equal(read_frames(any_video, wanted), [truth[number] for number in wanted])
    np.testing.assert_array_equal(read_frames(any_video), truth)


def test_the_number_in_the_picture_is_the_number_asked_for(
    make_video: Callable[..., Path],
) -> None:
    for name in ("b_frames.mp4", "program_stream.mpg", "variable_rate.mkv", "no_times.h264"):
        frames = read_frames(make_video(name), [0, 39, 17, 17, 5])
        assert [number_of(image) for image in frames] == [0, 39, 17, 17, 5]


def test_odd_times_and_missing_times_are_what_the_files_have(make_video: Callable[..., Path]) -> None:
    variable = video_index(make_video("variable_rate.mkv"))
    assert len({b - a for a, b in itertools.pairwise(variable.pts)}) > 10
    assert variable.seekable
    assert variable.seconds()[0] == pytest.approx(variable.pts[0] / 1000)
    untimed = video_index(make_video("no_times.h264"))
    assert set(untimed.pts) == {None}
    assert not untimed.seekable
    assert set(untimed.seconds()) == {None}
    assert video_index(make_video("single_keyframe.webm")).keyframes == (0,)


def test_a_seek_that_brings_another_picture_back_is_not_believed(make_video: Callable[..., Path]) -> None:
    path = make_video()
    truth = decode_all(path)
    index = video_index(path)
    wrong = attrs.evolve(index, checksums=tuple(value ^ 1 for value in index.checksums))
    assert not list(video._by_seek(path, [20, 21], wrong, "none", 0))
    np.testing.assert_array_equal(read_frames(path, [20, 21], index=wrong), truth[20:22])


def test_an_index_of_another_file_is_found_out(make_video: Callable[..., Path]) -> None:
    other = video_index(make_video("variable_rate.mkv"))
    with pytest.raises(DataError, match=r"b_frames\.mp4: expected frame 3 as indexed"):
        read_frames(make_video("b_frames.mp4"), [3], index=other)


def test_non_monotonic_times_are_decoded_from_the_start(
    make_video: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_video()
    truth = decode_all(path)
    index = video_index(path)
    shuffled = attrs.evolve(index, pts=(index.pts[0], index.pts[0], *index.pts[2:]))
    assert not shuffled.seekable
    monkeypatch.setattr(video, "_by_seek", lambda *_: pytest.fail("sought by times that mean nothing"))
    np.testing.assert_array_equal(read_frames(path, [0, 30], index=shuffled), [truth[0], truth[30]])


def test_threads_change_nothing(make_video: Callable[..., Path]) -> None:
    path = make_video()
    np.testing.assert_array_equal(read_frames(path, [3, 30], threads="auto"), read_frames(path, [3, 30]))


def test_files_inside_archives_and_in_memory_read_like_local_ones(
    make_video: Callable[..., Path], tmp_path: Path
) -> None:
    for name in ("b_frames.mp4", "single_keyframe.webm", "program_stream.mpg"):
        path = make_video(name)
        truth = read_frames(path, [5, 33])
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(path, f"some/{name}")
        with fsspec.open(f"memory://video-tests/{name}", "wb") as file:
            file.write(path.read_bytes())
        for url in (f"zip://some/{name}::file://{path}.zip", f"memory://video-tests/{name}", f"file://{path}"):
            assert video_index(url) == video_index(path)
            np.testing.assert_array_equal(read_frames(url, [5, 33]), truth)


def test_a_file_name_that_looks_like_a_protocol_is_a_file_name(make_video: Callable[..., Path], tmp_path: Path) -> None:
    odd = tmp_path / "concat:a|b.mp4"
    shutil.copy(make_video(), odd)
    assert len(video_index(odd)) == 40


def test_a_video_that_asks_to_be_rotated_is_returned_upright(make_video: Callable[..., Path], tmp_path: Path) -> None:
    path = make_video()
    plain = read_frames(path, [7])[0]
    content = bytearray(path.read_bytes())
    matrix = (
        content.index(b"tkhd") + 4 + 40
    )  # version and flags, times, ids, layer, volume: then nine fixed-point numbers
    one = (1 << 16).to_bytes(4, "big", signed=True)
    minus = (-(1 << 16)).to_bytes(4, "big", signed=True)
    content[matrix : matrix + 20] = bytes(4) + one + bytes(4) + minus + bytes(4)  # a quarter turn clockwise
    turned = tmp_path / "turned.mp4"
    turned.write_bytes(content)
    index = video_index(turned)
    assert (index.height, index.width) == (64, 48)
    np.testing.assert_array_equal(read_frames(turned, [7])[0], np.rot90(plain, -1))


@pytest.mark.parametrize("name", REAL)
def test_real_videos_read_by_seek_as_by_sequential_decode(name: str, sample_video: Callable[[str], Path]) -> None:
    path = sample_video(name)
    index = video_index(path)
    count = len(index)
    assert index.seekable == (name != "box.mp4")  # whose times go back
    clips = [[0], [count - 1], list(range(count // 3, count // 3 + 31, 2))]
    needed = {number for clip in clips for number in clip}
    truth = {}
    with av.open(str(path), metadata_errors="replace") as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number in needed:
                truth[number] = frame.to_ndarray(format="rgb24")
    assert number == count - 1
    for clip in clips:
        found = read_frames(path, clip, index=index)
        assert all(np.array_equal(a, truth[b]) for a, b in zip(found, clip, strict=True)), (name, clip)


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_every_frame_of_the_real_videos_reads_as_by_sequential_decode(
    name: str, sample_video: Callable[[str], Path]
) -> None:
    path = sample_video(name)
    index = video_index(path)
    with av.open(str(path), metadata_errors="replace") as container:
        for number, frame in enumerate(container.decode(video=0)):
            assert np.array_equal(read_frames(path, [number], index=index)[0], frame.to_ndarray(format="rgb24")), number
    assert number == len(index) - 1

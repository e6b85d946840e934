"""What is no video, or not a whole one, is refused by name."""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probe4d.errors import DataError, UsageError
from probe4d_datasets.video import read_frames
from probe4d_datasets.video_index import build_index, video_index
from probe4d_datasets.video_write import write_video
from probe4d_datasets.whole_files import HEAD_BYTES, stated_size


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "expected a whole video"),
        (b"hello, this is text\n" * 50, "expected a whole video"),
        (bytes(range(256)) * 64, "expected a whole video"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "expected a whole video"),
    ],
)
def test_a_file_that_is_no_video_is_named(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"clip\.mp4: {reason}"):
        read_frames(path, [0])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for where in (tmp_path / "none.mp4", "memory://nowhere/none.mp4", tmp_path):
        with pytest.raises(DataError, match="expected a readable file"):
            read_frames(where, [0])


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    import av

    path = tmp_path / "sound.mkv"
    with wave.open(str(tmp_path / "sound.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 800, "NONE", ""))
        sound.writeframes(bytes(1600))
    with av.open(str(tmp_path / "sound.wav")) as source, av.open(str(path), "w") as target:
        stream = target.add_stream("pcm_s16le", rate=8000)
        for frame in source.decode(audio=0):
            frame.pts = None
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    with pytest.raises(DataError, match=r"sound\.mkv: expected a video stream, got none"):
        video_index(path)


def test_a_container_without_a_frame_is_refused(tmp_path: Path) -> None:
    import av

    path = tmp_path / "empty.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    with pytest.raises(DataError, match=r"empty\.avi: expected at least one frame|empty\.avi: expected a whole video"):
        video_index(path)


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9, 0.97])
def test_a_truncated_file_is_refused_wherever_it_is_cut(keep: float, make_video: Callable[..., Path]) -> None:
    for options in ({"movflags": "faststart"}, {}):
        path = make_video("b_frames.mp4", container_options=options)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
        with pytest.raises(DataError, match=r"b_frames\.mp4: expected"):
            video_index(path)


@pytest.mark.parametrize("name", ["variable_rate.mkv", "single_keyframe.webm", "mpeg4.avi", "motion_jpeg.avi"])
def test_a_truncated_matroska_or_avi_file_is_refused_though_a_player_would_play_it(
    name: str, make_video: Callable[..., Path]
) -> None:
    path = make_video(name)
    whole = path.read_bytes()
    assert stated_size(whole[:HEAD_BYTES]) == len(whole)
    for keep in (0.5, 0.8, 0.99):
        path.write_bytes(whole[: int(len(whole) * keep)])
        with pytest.raises(DataError, match=rf"{name}: expected {len(whole)} bytes, got \d+: it is cut off"):
            video_index(path)


def test_a_header_that_says_nothing_of_the_size_says_nothing() -> None:
    ebml = b"\x1a\x45\xdf\xa3\x82ab\x18\x53\x80\x67"
    assert stated_size(ebml + b"\x01\xff\xff\xff\xff\xff\xff\xff") is None  # an unknown size: a live recording
    assert stated_size(ebml + b"\x85abcde") == len(ebml) + 6
    assert stated_size(ebml + b"\x40\x85") == len(ebml) + 2 + 0x85
    for head in (b"", b"RIFF", b"RIFF\0\0\0\0AVI LIST", ebml, ebml[:6], b"\0\0\0\x20ftypisom"):
        assert stated_size(head) is None


def test_frames_beyond_the_end_and_negative_ones_are_refused(make_video: Callable[..., Path]) -> None:
    path = make_video()
    for wanted in ([40], [0, 39, 400], [-1]):
        with pytest.raises(DataError, match=r"b_frames\.mp4: expected frames from 0 to 39, got"):
            read_frames(path, wanted)


@pytest.mark.parametrize("name", ["list.mp4", "list.m3u8"])
def test_a_playlist_never_opens_another_file(name: str, make_video: Callable[..., Path], tmp_path: Path) -> None:
    secret = make_video("open_gop.ts")
    for content in (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.6,\nfile://{secret}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile {secret.name}\n",
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(DataError, match=r"expected a whole video"):
            read_frames(tmp_path / name, [0])


def test_a_change_of_size_in_the_middle_is_refused(make_video: Callable[..., Path], tmp_path: Path) -> None:
    import numpy as np

    write_video(tmp_path / "wide.h264", np.zeros((4, 48, 96, 3), np.uint8), options={"bf": "0"})
    narrow = make_video("narrow.h264", 4, options={"bf": "0"})
    joined = tmp_path / "joined.h264"
    joined.write_bytes(narrow.read_bytes() + (tmp_path / "wide.h264").read_bytes())
    with pytest.raises(DataError, match=r"joined\.h264, frame 4: expected \(height, width, rotation\) \(48, 64, 0\)"):
        build_index(joined)


def test_only_frames_can_be_written_as_a_video(tmp_path: Path) -> None:
    import numpy as np

    for wrong in (np.zeros((2, 8, 8, 3)), np.zeros((8, 8, 3), np.uint8), np.zeros((0, 8, 8, 3), np.uint8)):
        with pytest.raises(UsageError, match="expected frames"):
            write_video(tmp_path / "x.mp4", wrong)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_with_flipped_bytes_gives_frames_or_a_data_error(data: st.DataObject, make_video, tmp_path) -> None:
    source = tmp_path / "b_frames.mp4"
    content = bytearray((source if source.exists() else make_video()).read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[place] ^= data.draw(st.integers(1, 255))
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(content)
    try:
        index = build_index(broken)
    except DataError as error:
        message = str(error)
    else:
        message = "broken.mp4"
        assert read_frames(broken, [0], index=index).shape[0] == 1
    assert "broken.mp4" in message

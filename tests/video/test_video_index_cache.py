"""The index of a file is kept by the file's digest, and rebuilt when what is kept is not whole."""

from __future__ import annotations

import os
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from probe4d.errors import Probe4dError
from probe4d_datasets import video_index as module
from probe4d_datasets.decoder import decoder_version
from probe4d_datasets.files import digest
from probe4d_datasets.video import read_frames
from probe4d_datasets.video_index import index_path, video_index


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return the list of files that have been indexed by decoding."""
    seen: list[object] = []
    build = module.build_index
    monkeypatch.setattr(module, "build_index", lambda location: (seen.append(location), build(location))[1])
    return seen


def test_a_file_is_decoded_for_its_index_once(make_video: Callable[..., Path], builds: list, own_cache: Path) -> None:
    path = make_video()
    first = video_index(path)
    module._cached_index.cache_clear()  # as in another process
    assert video_index(path) == first
    assert builds == [str(path)]
    assert len(list(own_cache.rglob("*.json"))) == 1


def test_the_same_bytes_elsewhere_share_the_index(
    make_video: Callable[..., Path], builds: list, tmp_path: Path
) -> None:
    path = make_video()
    video_index(path)
    shutil.copy(path, tmp_path / "copy.mp4")
    video_index(tmp_path / "copy.mp4")
    assert builds == [str(path)]


def test_other_bytes_under_the_same_name_have_another_index(make_video: Callable[..., Path], builds: list) -> None:
    path = make_video()
    assert len(video_index(path)) == 40
    make_video(count=12)
    os.utime(path, ns=(1, 1))
    assert len(video_index(path)) == 12
    assert len(builds) == 2


@pytest.mark.parametrize("damage", [b"", b"{}", b"garbage\nmore\n", None])
def test_a_damaged_entry_is_built_again(
    damage: bytes | None, make_video: Callable[..., Path], builds: list, own_cache: Path
) -> None:
    path = make_video()
    first = video_index(path)
    entry = index_path(digest(path), decoder_version(), own_cache)
    whole = entry.read_bytes()
    entry.write_bytes(whole.replace(b'"height":48', b'"height":47') if damage is None else damage)
    module._cached_index.cache_clear()
    assert video_index(path) == first
    assert len(builds) == 2
    assert entry.read_bytes() == whole


def test_the_decoder_is_a_part_of_the_address(
    make_video: Callable[..., Path], builds: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_video()
    assert video_index(path).decoder == decoder_version()
    monkeypatch.setattr(module, "decoder_version", lambda: "pyav 0.0.1, libavcodec 1.2.3")
    assert video_index(path).decoder == "pyav 0.0.1, libavcodec 1.2.3"
    assert len(builds) == 2


def test_nothing_half_written_stays_when_a_write_fails(
    make_video: Callable[..., Path], own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(Probe4dError, match=r"got disk full\. Set PROBE4D_CACHE_DIR to a folder that can be written"):
        video_index(make_video())
    assert [file for file in own_cache.rglob("*") if file.is_file()] == []


def test_memory_is_bounded_by_the_frames_asked_for(tmp_path: Path) -> None:
    import numpy as np

    from probe4d_datasets.video_write import write_video

    frames = np.random.default_rng(0).integers(0, 255, (1, 240, 320, 3), dtype=np.uint8).repeat(120, 0)
    write_video(tmp_path / "long.mp4", frames, options={"preset": "ultrafast"})
    video_index(tmp_path / "long.mp4")
    tracemalloc.start()
    read_frames(tmp_path / "long.mp4", [0, 60, 119])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * frames[0].nbytes < frames.nbytes / 10

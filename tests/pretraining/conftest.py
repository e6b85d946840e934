"""Videos whose frames say which they are, and streams of clips of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numbered_videos import numbered_frames
from probe4d_datasets.pretraining import ClipData, ClipStream
from probe4d_datasets.video_write import write_video
from published_fixtures import own_cache

__all__ = ["own_cache"]

LENGTHS = {"a.mp4": 40, "b.mp4": 12, "sub/c.mkv": 25, "sub/d.mp4": 9, "sub/deep/e.mp4": 16}


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of five videos, 64 x 48 pixels, of the lengths above; nothing may write into it."""
    folder = tmp_path_factory.mktemp("videos")
    for name, length in LENGTHS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_video(folder / name, numbered_frames(length), options={"g": "8"})
    (folder / "notes.txt").write_text("no video")
    return folder


@pytest.fixture
def clips(videos: Path) -> Callable[..., ClipData]:
    """Return a function that makes data of whole, unmirrored frames of four frames a clip."""

    def make(**changes: Any) -> ClipData:
        whole = {"size": (48, 64), "margin": 1.0, "flip": False, "frames": 4, "batch_size": 2}
        return ClipData(**{"source": str(videos), **whole, **changes})

    return make


@pytest.fixture
def take() -> Callable[[ClipStream, int], list[dict[str, Any]]]:
    """Return a function that takes so many batches and closes the stream."""

    def run(stream: ClipStream, count: int) -> list[dict[str, Any]]:
        with stream:
            return [next(stream) for _ in range(count)]

    return run


@pytest.fixture
def same() -> Callable[[list[dict[str, Any]], list[dict[str, Any]]], None]:
    """Return a function that demands equal batches, bit for bit."""

    def check(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
        assert [batch["ids"] for batch in found] == [batch["ids"] for batch in expected]
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one["video"], other["video"])

    return check

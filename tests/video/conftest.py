"""Videos made for the tests, and the real ones where `make samples` has brought them."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numbered_videos import numbered_frames
from probe4d_datasets.video_write import write_video
from published_fixtures import own_cache

__all__ = ["own_cache"]

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
FRAMES = 40

ODD_TIMES = np.cumsum(np.random.default_rng(7).integers(1, 90, FRAMES)).tolist()
RECIPES: dict[str, dict[str, Any]] = {
    "b_frames.mp4": {"options": {"bf": "3", "g": "12"}},
    "open_gop.mp4": {"options": {"bf": "3", "g": "12", "x264-params": "open-gop=1:scenecut=0"}},
    "open_gop.ts": {"options": {"bf": "3", "g": "12", "x264-params": "open-gop=1:scenecut=0"}},
    "intra_refresh.mkv": {"options": {"bf": "0", "g": "20", "x264-params": "intra-refresh=1"}},
    "program_stream.mpg": {"codec": "mpeg2video", "options": {"bf": "2", "g": "12"}},
    "mpeg4.avi": {"codec": "mpeg4", "options": {"bf": "2", "g": "12"}},
    "single_keyframe.webm": {"codec": "libvpx-vp9", "options": {"g": "999", "deadline": "realtime", "cpu-used": "8"}},
    "no_times.h264": {"options": {"bf": "2", "g": "12"}},
    "motion_jpeg.avi": {"codec": "mjpeg", "pixels": "yuvj420p"},
    "variable_rate.mkv": {"pts": ODD_TIMES, "time_base": Fraction(1, 1000), "options": {"bf": "2", "g": "12"}},
    "ten_bit.mkv": {"codec": "ffv1", "pixels": "yuv422p10le"},
    "picture.gif": {"codec": "gif", "pixels": "rgb8"},
}


@pytest.fixture(params=sorted(RECIPES))
def any_video(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a video of forty numbered frames, one test per container and codec."""
    path = tmp_path / request.param
    write_video(path, numbered_frames(FRAMES), **RECIPES[request.param])
    return path


@pytest.fixture
def make_video(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes one of the recipes, or a plain video, and returns its path."""

    def make(name: str = "b_frames.mp4", count: int = FRAMES, **changes: Any) -> Path:
        write_video(tmp_path / name, numbered_frames(count), **(RECIPES.get(name, {}) | changes))
        return tmp_path / name

    return make


@pytest.fixture
def sample_video() -> Callable[[str], Path]:
    """Return a function that finds a real sample file, or skips."""

    def find(name: str) -> Path:
        if found := sorted(SAMPLES.glob(f"*/{name}")):
            return found[0]
        pytest.skip(f"no samples/*/{name}; `make samples` brings it")

    return find

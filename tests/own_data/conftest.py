"""Small datasets of one's own, in every layout, made for the tests."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import fsspec
import numpy as np
import pytest
from PIL import Image

from numbered_videos import numbered_frames
from probe4d_datasets.video_write import write_video
from published_fixtures import own_cache

__all__ = ["own_cache"]

SCALE = 5000


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Return a function that gives a video of so many numbered frames, 48 x 64."""
    folder = tmp_path_factory.mktemp("clips")

    def make(count: int) -> Path:
        path = folder / f"{count}.mp4"
        if not path.exists():
            write_video(path, numbered_frames(count), options={"bf": "2", "g": "12"})
        return path

    return make


@pytest.fixture
def put(clip: Callable[[int], Path], tmp_path: Path) -> Callable[..., Path]:
    """Return a function that puts videos under the root: `put("a/x.mp4", frames=20)`."""

    def write(*names: str, frames: int = 20, root: Path = tmp_path / "root") -> Path:
        for name in names:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(clip(frames), root / name)
        return root

    return write


@pytest.fixture
def elsewhere(tmp_path: Path) -> Callable[[Path], dict[str, str]]:
    """Return a function that copies a root into a zip archive and into memory, and gives the URLs."""

    def copy(root: Path) -> dict[str, str]:
        memory = fsspec.filesystem("memory")
        target = f"/own-data-{tmp_path.name}"
        with zipfile.ZipFile(tmp_path / "root.zip", "w") as archive:
            for file in sorted(path for path in root.rglob("*") if path.is_file()):
                name = file.relative_to(root).as_posix()
                archive.write(file, f"data/{name}")
                memory.pipe_file(f"{target}/{name}", file.read_bytes())
        return {
            "zip": f"zip://data::file://{tmp_path}/root.zip",
            "memory": f"memory:/{target}",
            "cached": f"simplecache::memory:/{target}",
        }

    return copy


@pytest.fixture
def mot_sequence(tmp_path: Path, clip: Callable[[int], Path]) -> Callable[..., Path]:
    """Return a function that writes a MOTChallenge sequence: two walkers over twelve frames of 48 x 64."""

    def write(
        name: str = "train/walk", video: bool = False, rows: str | None = None, root: Path = tmp_path / "mot"
    ) -> Path:
        folder = root / name
        (folder / "gt").mkdir(parents=True, exist_ok=True)
        if video:
            shutil.copy(clip(12), folder / "walk.mp4")
        else:
            (folder / "img1").mkdir(exist_ok=True)
            for number, image in enumerate(numbered_frames(12), start=1):
                Image.fromarray(image).save(folder / "img1" / f"{number:06d}.png")
            (folder / "seqinfo.ini").write_text("[Sequence]\nname=walk\nimDir=img1\nframeRate=25\nseqLength=12\n")
        lines = [f"{frame},1,{1 + 2 * frame},11,16,24,1,1,1.0" for frame in range(1, 13)]
        lines += [f"{frame},7,-7,41,16,24,1,1,0.5" for frame in range(9, 13)]  # leaves on two sides
        lines += ["3,9,20,20,4,4,0,8,1.0", "4,5,200,20,4,4,1,1,1"]  # to be left out; outside of the frame
        (folder / "gt" / "gt.txt").write_text("\n".join(lines) + "\n" if rows is None else rows)
        return root

    return write


@pytest.fixture
def rgbd_sequence(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a TUM sequence: six colour images, five depth images, a trajectory at 100 Hz."""

    def write(name: str = "train/desk", lists: bool = True) -> Path:
        root = tmp_path / "rgbd"
        folder = root / name
        for part in ("rgb", "depth"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        colour_times = [10.0 + i / 30 for i in range(6)]
        depth_times = [time + 0.004 for time in colour_times if time != colour_times[2]]
        for number, (time, image) in enumerate(zip(colour_times, numbered_frames(6), strict=True)):
            Image.fromarray(image).save(folder / "rgb" / f"{time:.6f}.png")
            assert number < 6
        for number, time in enumerate(depth_times):
            depth = np.full((48, 64), SCALE * (number + 1), np.uint16)
            depth[0, :] = 0
            Image.fromarray(depth).save(folder / "depth" / f"{time:.6f}.png")
        if lists:
            for part, times in (("rgb", colour_times), ("depth", depth_times)):
                text = "".join(f"{time:.6f} {part}/{time:.6f}.png\n" for time in times)
                (folder / f"{part}.txt").write_text(f"# time file\n{text}")
        # A quarter turn about z, the camera moving along world x.
        half = np.sqrt(0.5)
        poses = [f"{9.9 + i / 100:.4f} {i * 0.01:.4f} 2 3 0 0 {half:.9f} {half:.9f}\n" for i in range(40)]
        (folder / "groundtruth.txt").write_text("# t tx ty tz qx qy qz qw\n" + "".join(poses))
        return root

    return write


@pytest.fixture
def track_file(tmp_path: Path, put: Callable[..., Path]) -> Callable[..., Path]:
    """Return a function that writes three tracks over a video of ten frames of 48 x 64."""

    def write(name: str = "train/ball", meta: dict | None = None, **changes: np.ndarray | None) -> Path:
        root = put(f"{name}.mp4", frames=10)
        time = np.arange(10)
        tracks = np.stack([np.stack([5.0 + n + time, 20.0 + n + 0 * time], axis=1) for n in range(3)])
        visible = np.ones((3, 10), bool)
        visible[1, :4] = False
        visible[2] = False
        arrays: dict = {"tracks": tracks, "visible": visible} | changes
        arrays = {key: value for key, value in arrays.items() if value is not None}
        stated = {"order": "xy", "coords": "pixels"} if meta is None else meta
        np.savez(root / f"{name}.npz", meta=json.dumps(stated), **arrays)
        return root

    return write

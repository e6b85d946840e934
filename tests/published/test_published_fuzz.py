"""Broken copies of every file that the loaders read: a clear error or a whole sample, soon and in little memory."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fsspec.implementations.zip import ZipFileSystem

from probe4d.contracts import Dataset, Sample
from probe4d.errors import DataError
from probe4d_datasets.packed_tar import PackedTar, UnpackedTar
from probe4d_datasets.perception_test import PerceptionTest
from probe4d_datasets.re10k import RealEstate10K
from probe4d_datasets.scannet import ScanNet
from probe4d_datasets.ssv2 import SomethingSomething
from probe4d_datasets.video_index import _cached_index
from published_fixtures import survives

TESTS = Path(__file__).parents[1]
COUNTS = [100, pytest.param(5000, marks=pytest.mark.slow)]
CLIP = "83c659883d7614d0"


def check(sample: Sample) -> None:
    """Assert that a sample is whole: shapes that fit each other, numbers where they count."""
    t, h, w, c = sample.video.shape
    assert sample.video.dtype == np.uint8
    assert t == 2
    assert c == 3
    for kind, fields in sample.targets.items():
        if kind == "depth":
            assert fields["depth"].shape == fields["valid"].shape == (t, h, w)
            counted = fields["depth"][fields["valid"]]
            assert np.isfinite(counted).all()
            assert not counted.size or (counted.min() > 0.000_9 and counted.max() < 10.01)
        elif kind == "pose":
            assert fields["extrinsics"].shape == (t, 3, 4)
            assert np.isfinite(fields["extrinsics"]).all()
            assert np.isfinite(fields["intrinsics"]).all()
            rotation = fields["extrinsics"][:, :, :3]
            np.testing.assert_allclose(rotation @ rotation.transpose(0, 2, 1), np.tile(np.eye(3), (t, 1, 1)), atol=0.02)
        elif kind == "points":
            assert fields["visible"].shape == fields["tracks"].shape[:2]
            assert np.isfinite(fields["tracks"]).all()
        else:
            assert 0 <= int(fields["label"]) < 174


def use(data: Dataset) -> None:
    """Load the first two frames of the first samples; one that is refused is so by DataError."""
    refused: DataError | None = None
    for name in list(data.sample_ids())[:3]:
        try:
            check(data.load(name, [0, 1]))
        except DataError as error:
            refused = error
    if refused is not None:
        raise refused


@pytest.fixture
def fuzz(tmp_path: Path) -> Iterator[Callable[[Path, Callable[[], Dataset], int], int]]:
    """Return a function that breaks one file in place and opens the dataset, again and again."""

    def run(path: Path, opened: Callable[[], Dataset], count: int) -> int:
        content = path.read_bytes()
        use(opened())  # whole, it is read

        def read(broken: bytes) -> None:
            path.write_bytes(broken)
            use(opened())

        return survives(read, content, count)

    yield run
    _cached_index.cache_clear()


def copied(tmp_path: Path, dataset: str, *names: str) -> Path:
    for name in names:
        source, target = TESTS / dataset / "data" / name, tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    return tmp_path


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("file", ["labels.json", "validation.json"])
def test_ssv2_annotations(tmp_path, fuzz, file, count):
    root = copied(tmp_path, "ssv2", "labels")
    (root / "videos").mkdir()
    shutil.copy(TESTS / "ssv2/data/20bn-something-something-v2/107862.webm", root / "videos/107862.webm")
    entries = json.loads((root / "labels/validation.json").read_text())
    (root / "labels/validation.json").write_text(json.dumps([one for one in entries if one["id"] == "107862"]))
    refused = fuzz(root / "labels" / file, lambda: SomethingSomething(root, "validation"), count)
    assert refused > count // 10


@pytest.mark.parametrize("count", COUNTS)
def test_ssv2_answers(tmp_path, fuzz, count):
    root = copied(tmp_path, "ssv2", "labels", "20bn-something-something-v2/114227.webm")
    assert fuzz(root / "labels/test-answers.csv", lambda: SomethingSomething(root, "test"), count) > count // 3


@pytest.mark.parametrize("count", COUNTS)
def test_ssv2_parts(tmp_path, fuzz, count):
    root = copied(tmp_path, "ssv2", "labels", "archives")
    entries = json.loads((root / "labels/train.json").read_text())
    (root / "labels/train.json").write_text(json.dumps([one for one in entries if one["id"] == "31100"]))

    def opened() -> Dataset:
        PackedTar.clear_instance_cache()
        return SomethingSomething(root, "train")

    assert fuzz(root / "archives/20bn-something-something-v2-00", opened, count) > count // 2


@pytest.mark.parametrize("count", COUNTS)
def test_ssv2_videos(tmp_path, fuzz, count):
    root = copied(tmp_path, "ssv2", "labels")
    (root / "videos").mkdir()
    shutil.copy(TESTS / "ssv2/data/20bn-something-something-v2/107862.webm", root / "videos/107862.webm")
    entries = json.loads((root / "labels/validation.json").read_text())
    (root / "labels/validation.json").write_text(json.dumps([one for one in entries if one["id"] == "107862"]))
    fuzz(root / "videos/107862.webm", lambda: SomethingSomething(root, "validation"), count)


@pytest.mark.parametrize("count", COUNTS)
def test_re10k_camera_files(tmp_path, fuzz, count):
    root = copied(tmp_path, "re10k", "re10k_pt", "frames_png/test", f"RealEstate10K/test/{CLIP}.txt")
    path = root / f"RealEstate10K/test/{CLIP}.txt"
    options = {"frames": "images", "unmatched": "trim"}
    assert fuzz(path, lambda: RealEstate10K(root, "test", **options), count) > count // 4


@pytest.mark.parametrize("count", COUNTS)
def test_re10k_archive(tmp_path, fuzz, count):
    root = copied(tmp_path, "re10k", "RealEstate10K.tar.gz", "frames_png/test")

    def opened() -> Dataset:
        UnpackedTar.clear_instance_cache()
        return RealEstate10K(root, "test", frames="images", unmatched="trim", missing="drop", max_missing=0.5)

    assert fuzz(root / "RealEstate10K.tar.gz", opened, count) > count // 2


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("file", ["000000.torch", "index.json"])
def test_re10k_chunks(tmp_path, fuzz, file, count):
    root = copied(tmp_path, "re10k", "re10k_pt/test")
    refused = fuzz(root / "re10k_pt/test" / file, lambda: RealEstate10K(root, "test"), count)
    assert refused > count // 10


@pytest.mark.parametrize("count", COUNTS)
def test_re10k_scales(tmp_path, fuzz, count):
    root = copied(tmp_path, "re10k", "re10k_pt/test", "scales.json")
    assert fuzz(root / "scales.json", lambda: RealEstate10K(root, "test", scales="scales.json"), count) > count // 4


@pytest.mark.parametrize("count", COUNTS)
def test_perception_test_annotations(tmp_path, fuzz, count):
    root = copied(tmp_path, "perception_test", "videos/video_8216.mp4")
    document = json.loads((TESTS / "perception_test/data/point_tracking_valid.json").read_text())
    (root / "point_tracking_valid.json").write_text(json.dumps({"video_8216": document["video_8216"]}))
    assert fuzz(root / "point_tracking_valid.json", lambda: PerceptionTest(root), count) > count // 4


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("which", ["annotations", "videos"])
def test_perception_test_archives(tmp_path, fuzz, which, count):
    root = copied(
        tmp_path, "perception_test", *(f"point_tracking_valid_{one}.zip" for one in ("annotations", "videos"))
    )

    def opened() -> Dataset:
        ZipFileSystem.clear_instance_cache()
        return PerceptionTest(root, missing="drop", max_missing=0.5)

    assert fuzz(root / f"point_tracking_valid_{which}.zip", opened, count) > count // 3


@pytest.mark.parametrize("count", COUNTS)
def test_scannet_sens(tmp_path, fuzz, count):
    root = copied(tmp_path, "scannet", "scans/scene0111_00/scene0111_00.sens", "scannetv2_val.txt")
    path = root / "scans/scene0111_00/scene0111_00.sens"
    path.write_bytes(path.read_bytes())
    assert fuzz(path, lambda: ScanNet(root, "val"), count) > count // 10


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("file", ["depth/1.png", "color/1.jpg"])
def test_scannet_exports(tmp_path, fuzz, file, count):
    root = copied(tmp_path, "scannet", "exported", "scannetv2_val.txt")
    refused = fuzz(root / "exported/scene0111_00" / file, lambda: ScanNet(root, "val"), count)
    assert refused > count // 10


@pytest.mark.parametrize("count", COUNTS)
def test_scannet_lists(tmp_path, fuzz, count):
    root = copied(tmp_path, "scannet", "scans/scene0111_00", "scannetv2_val.txt")
    assert fuzz(root / "scannetv2_val.txt", lambda: ScanNet(root, "val"), count) > count // 3

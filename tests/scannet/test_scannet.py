"""ScanNet: every expected value of the samples, from `.sens` files and both exports, and scans made here."""

from __future__ import annotations

import io
import json
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from probe4d.errors import DataError, UsageError
from probe4d.specs import ClipSampling
from probe4d_datasets.clips import prepare
from probe4d_datasets.scannet import ScanNet
from probe4d_datasets.scannet.cameras import usable_poses
from probe4d_datasets.scannet.dataset import valid_depth
from probe4d_datasets.scannet.exported import open_exported, read_matrix
from published_fixtures import elsewhere, frame_codes, thumbs

DATA = Path(__file__).parent / "data"
EXPECTED = json.loads((DATA / "expected.json").read_text(encoding="utf-8"))["scenes"]
SCENES = sorted(EXPECTED)


def valid_of(expected: dict[str, np.ndarray], scene: str) -> np.ndarray:
    shape = expected[f"{scene}/depth_mm"].shape
    return np.unpackbits(expected[f"{scene}/valid_0.001_10"])[: np.prod(shape)].reshape(shape).astype(bool)


@pytest.mark.parametrize("scene", SCENES)
def test_a_scan_has_the_depth_the_validity_and_the_colours_expected(scene, expected):
    want, millimetres = EXPECTED[scene], expected[f"{scene}/depth_mm"]
    data = ScanNet(DATA, want["split"], layout="sens")
    sample = data.load(scene)
    depth = sample.targets["depth"]
    assert data.num_frames(scene) == want["num_frames"]
    assert sample.video.shape == (*millimetres.shape, 3) == (want["num_frames"], *want["depth_wh"][::-1], 3)
    np.testing.assert_array_equal(depth["depth"], (millimetres / 1000).astype(np.float32))
    np.testing.assert_array_equal(depth["valid"], valid_of(expected, scene))
    native = ScanNet(DATA, want["split"], layout="sens", size="colour").load(scene)
    assert native.video.shape[1:3] == tuple(want["color_wh"][::-1])
    np.testing.assert_allclose(thumbs(native.video), expected[f"{scene}/thumb"].astype(float), atol=1)
    assert frame_codes(native.video) == [(want["code0"] + i) % 256 for i in range(want["num_frames"])]


@pytest.mark.parametrize("scene", SCENES)
def test_the_index_of_a_scan_holds_the_cameras_the_stamps_and_the_poses_expected(scene, expected):
    want, index = EXPECTED[scene], ScanNet(DATA, EXPECTED[scene]["split"], layout="sens").scene(scene)
    assert (index.sensor, index.depth_shift, index.imu) == (want["sensor"], want["depth_shift"], want["imu"])
    assert (index.colour, index.depth) == ("jpeg", "zlib_ushort")
    for name, key in (("intrinsic_color", "K_color"), ("intrinsic_depth", "K_depth"), ("extrinsic_depth", "E_depth")):
        np.testing.assert_array_equal(index.camera(name), expected[f"{scene}/{key}"])
    poses = np.asarray(index.poses, np.float32).reshape(-1, 4, 4)
    np.testing.assert_array_equal(poses, expected[f"{scene}/poses_c2w"])
    np.testing.assert_array_equal(usable_poses(poses), expected[f"{scene}/pose_ok"])
    assert np.flatnonzero(~usable_poses(poses)).tolist() == want["bad_pose_frames"]
    stamps = np.asarray(index.stamps, np.uint64)
    np.testing.assert_array_equal(stamps[:, 0], expected[f"{scene}/ts_color"])
    np.testing.assert_array_equal(stamps[:, 1], expected[f"{scene}/ts_depth"])


def test_the_samples_hold_garbage_stamps_and_lost_poses(expected):
    """What the loader has to bear is there to be borne."""
    stamps = np.concatenate([expected[f"{scene}/ts_{which}"] for scene in SCENES for which in ("color", "depth")])
    assert {0, 2**64 - 1} <= {int(stamp) for stamp in stamps}
    poses = np.concatenate([expected[f"{scene}/poses_c2w"].ravel() for scene in SCENES])
    assert np.isneginf(poses).any()
    assert np.isnan(poses).any()


@pytest.mark.parametrize("scene", [scene for scene in SCENES if EXPECTED[scene]["exported"]])
def test_an_exported_scan_is_the_scan(scene, expected):
    split = EXPECTED[scene]["split"]
    one, other = ScanNet(DATA, split, layout="exported").load(scene), ScanNet(DATA, split, layout="sens").load(scene)
    assert one.provenance["layout"] == "exported"
    np.testing.assert_array_equal(one.targets["depth"]["depth"], other.targets["depth"]["depth"])
    np.testing.assert_array_equal(one.targets["depth"]["valid"], other.targets["depth"]["valid"])
    np.testing.assert_array_equal(one.video, other.video)
    exported = open_exported(ScanNet(DATA, split).root, f"exported/{scene}")
    assert exported.layout == "python"
    poses = np.stack([read_matrix(exported.root, exported.pose_path(frame)) for frame in range(len(exported))])
    np.testing.assert_allclose(poses, expected[f"{scene}/poses_c2w"], atol=1e-6)


def cpp_export(root: Path, scene: str) -> Path:
    """Write the exported samples again as the exporter in C++ does."""
    source, target = DATA / "exported" / scene, root / "scans" / scene
    target.mkdir(parents=True)
    for path in source.glob("color/*.jpg"):
        number = int(path.stem)
        shutil.copy(path, target / f"frame-{number:06d}.color.jpg")
        shutil.copy(source / f"pose/{number}.txt", target / f"frame-{number:06d}.pose.txt")
        depth = np.asarray(Image.open(source / f"depth/{number}.png")).astype(">u2")
        header = f"P5\n{depth.shape[1]} {depth.shape[0]}\n65535\n".encode()
        (target / f"frame-{number:06d}.depth.pgm").write_bytes(header + depth.tobytes())
    shutil.copy(DATA / "scannetv2_val.txt", root)
    return root


def test_the_export_in_cpp_is_read_too(tmp_path):
    data = ScanNet(cpp_export(tmp_path, "scene0111_00"), "val")
    want = ScanNet(DATA, "val", layout="sens").load("scene0111_00")
    found = data.load("scene0111_00")
    assert data.scene("scene0111_00").layout == "cpp"
    np.testing.assert_array_equal(found.targets["depth"]["depth"], want.targets["depth"]["depth"])
    np.testing.assert_array_equal(found.video, want.video)


def test_frames_without_a_pose_count_for_depth():
    for scene in SCENES:
        bad = EXPECTED[scene]["bad_pose_frames"]
        sample = ScanNet(DATA, EXPECTED[scene]["split"]).load(scene, bad)
        assert sample.targets["depth"]["valid"].any(axis=(1, 2)).all()


def test_poses_are_targets_where_asked_for_and_lost_tracking_is_refused():
    data = ScanNet(DATA, "train", targets=["depth", "pose"])
    scene = "scene0526_00"
    sample = data.load(scene, [0, 1, 2])
    extrinsics = sample.targets["pose"]["extrinsics"]
    pose = np.asarray(data.scene(scene).poses[1]).reshape(4, 4)
    np.testing.assert_allclose(np.vstack([extrinsics[1], [0, 0, 0, 1]]) @ pose, np.eye(4), atol=1e-5)
    with pytest.raises(DataError, match="got 1 where tracking was lost"):
        data.load(scene, [3, 4])


def test_valid_depth_is_strictly_between_one_millimetre_and_ten_metres():
    millimetres = np.array([0, 1, 2, 9999, 10000, 10001, 12345], np.uint16)
    assert valid_depth(millimetres, 1000.0, (1, 10000)).tolist() == [False, False, True, True, False, False, False]
    # In units of a quarter millimetre the same ends hold.
    quarters = np.array([4, 5, 39999, 40000], np.uint16)
    assert valid_depth(quarters, 4000.0, (1, 10000)).tolist() == [False, True, True, False]
    with pytest.raises(UsageError, match="valid_mm: expected"):
        ScanNet(DATA, valid_mm=[0.001, 10])


def test_the_ends_of_the_range_are_in_the_samples(expected):
    seen = {int(value) for scene in SCENES for value in np.unique(expected[f"{scene}/depth_mm"])}
    assert {0, 1, 2, 9999, 10000, 10001, 12345} <= seen


def test_depth_keeps_its_pixels_when_it_is_brought_to_the_size_of_colour():
    small = ScanNet(DATA, "train").load("scene0526_00", [3]).targets["depth"]
    large = ScanNet(DATA, "train", size="colour").load("scene0526_00", [3])
    depth = large.targets["depth"]["depth"][0]
    assert depth.shape == large.video.shape[1:3]
    assert set(np.unique(depth)) <= set(np.unique(small["depth"]))
    assert depth[0, 0] == small["depth"][0, 0, 0]
    assert depth[-1, -1] == small["depth"][0, -1, -1]


def test_a_crop_and_a_flip_keep_the_depth_of_each_pixel():
    """Colour that is made of depth stays made of it under every seed of the task's augmentations."""
    depth = np.repeat(np.repeat(np.random.default_rng(0).integers(2, 200, (1, 15, 20)), 8, 1), 8, 2)
    video = np.repeat(depth[..., None], 3, axis=3).astype(np.uint8)
    fields = {"depth": depth / 100.0, "valid": depth > 20}
    sampling = ClipSampling(frames=1, size=(112, 112), augment=("random-crop", "flip"))
    sample = ScanNet(DATA, "train").load("scene0526_00", [0])
    for seed in range(30):
        placed = prepare(type(sample)(id="x", video=video, targets={"depth": fields}), sampling, seed)
        made = placed.targets["depth"]
        colour = placed.video[0, :, :, 0] / 100.0
        close = np.abs(colour - made["depth"][0]) < 0.02
        assert close.mean() > 0.75  # the rest are pixels across an edge, which colours blend
        np.testing.assert_array_equal(made["valid"], made["depth"] > 0.2)


@pytest.mark.parametrize("place", ["memory", "zip", "tar", "tar.gz"])
def test_a_root_may_be_any_url(tmp_path, place):
    root = tmp_path / "root"
    for name in ("scannetv2_val.txt", "scans/scene0111_00/scene0111_00.sens"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(DATA / name, root / name)
    found = ScanNet(elsewhere(root, tmp_path)[place], "val").load("scene0111_00", [21, 0])
    want = ScanNet(DATA, "val", layout="sens").load("scene0111_00", [21, 0])
    np.testing.assert_array_equal(found.video, want.video)
    np.testing.assert_array_equal(found.targets["depth"]["depth"], want.targets["depth"]["depth"])


def test_only_the_ranges_of_the_frames_asked_for_are_read(monkeypatch):
    """After the index is made, a clip costs its own bytes, not the scan's."""
    from probe4d_datasets.scannet import sens

    data = ScanNet(DATA, "train")
    blocks = data.scene("scene0526_00").blocks
    read: list[tuple[int, int]] = []
    opened = sens.open_binary

    class Watched:
        def __init__(self, file):
            self.file = file

        def seek(self, offset):
            return self.file.seek(offset)

        def read(self, size):
            read.append((self.file.tell(), size))
            return self.file.read(size)

    from contextlib import contextmanager

    @contextmanager
    def watching(location):
        with opened(location) as file:
            yield Watched(file)

    monkeypatch.setattr(sens, "open_binary", watching)
    data.load("scene0526_00", [7, 2, 7])
    assert read == [(blocks[frame][0], blocks[frame][1] + blocks[frame][2]) for frame in (2, 7)]


def test_a_missing_scan_costs_itself_and_is_named():
    data = ScanNet(DATA, "test")
    assert data.sample_ids() == ("scene0707_00",)
    assert data.coverage()["missing"] == {"no scan": {"count": 1, "ids": ["scene0707_00"]}}
    with pytest.raises(DataError, match=r"scene0707_00: expected its data, got no scan"):
        data.load("scene0707_00")
    with pytest.raises(DataError, match="0 of 1 scenes"):
        ScanNet(DATA, "test", missing="drop", max_missing=1.0)


def sens_bytes(
    *, colour="raw", depth="raw_ushort", size=(6, 8), depth_size=(3, 4), frames=2, shift=1000.0, version=4, name=b"x",
    millimetres=None, tail=b"",
) -> bytes:  # fmt: skip
    """Return a `.sens` file of other compressions, sizes and units than the samples'."""
    numbers = np.tile(np.eye(4, dtype="<f4").ravel(), 4)
    kinds = {"raw": 0, "png": 1, "jpeg": 2, "raw_ushort": 0, "zlib_ushort": 1, "occi_ushort": 2}
    head = struct.pack("<IQ", version, len(name)) + name + numbers.tobytes()
    head += struct.pack(
        "<2i4IfQ", kinds[colour], kinds[depth], size[1], size[0], depth_size[1], depth_size[0], shift, frames
    )
    image = np.random.default_rng(0).integers(0, 255, (*size, 3)).astype(np.uint8)
    values = np.full(depth_size, 1500, "<u2") if millimetres is None else np.asarray(millimetres, "<u2")
    content = values.tobytes()
    if depth != "raw_ushort":
        content = zlib.compress(content)
    picture = image.tobytes()
    if colour != "raw":
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, format=colour.upper())
        picture = buffer.getvalue()
    frame = np.full(16, -np.inf, "<f4").tobytes() + struct.pack("<4Q", 0, 2**64 - 1, len(picture), len(content))
    return head + (frame + picture + content) * frames + tail


def scan(tmp_path: Path, content: bytes) -> ScanNet:
    (tmp_path / "scans/scene0001_00").mkdir(parents=True, exist_ok=True)
    (tmp_path / "scannetv2_train.txt").write_text("scene0001_00\n")
    (tmp_path / "scans/scene0001_00/scene0001_00.sens").write_bytes(content)
    return ScanNet(tmp_path, "train")


@pytest.mark.parametrize("colour", ["raw", "png", "jpeg"])
@pytest.mark.parametrize("depth", ["raw_ushort", "zlib_ushort"])
def test_every_compression_but_one_is_read(tmp_path, colour, depth):
    millimetres = [[0, 1, 2, 3], [4000, 39999, 40000, 40001], [9, 9, 9, 9]]
    data = scan(tmp_path, sens_bytes(colour=colour, depth=depth, shift=4000.0, millimetres=millimetres))
    sample = data.load("scene0001_00")
    np.testing.assert_allclose(sample.targets["depth"]["depth"][1], np.array(millimetres) / 4000)
    assert sample.targets["depth"]["valid"][0, 1].tolist() == [True, True, False, False]
    assert data.scene("scene0001_00").imu is None
    assert sample.provenance["depth_shift"] == 4000.0


def test_occi_is_refused_with_what_to_do(tmp_path):
    data = scan(tmp_path, sens_bytes(depth="occi_ushort"))
    with pytest.raises(DataError, match=r"expected raw or zlib compression, got occi.*SensReader"):
        data.load("scene0001_00")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (sens_bytes(version=3), "of version 4, got 3"),
        (sens_bytes()[:-1], "frame 1 of 2: expected .* it is cut off"),
        (sens_bytes()[:200], "expected a whole .sens file"),
        (b"", "expected a whole .sens file"),
        (sens_bytes(frames=1)[: 4 + 8 + 1 + 256 + 28] + struct.pack("<Q", 1 << 63), "expected room for"),
        (struct.pack("<IQ", 4, 1 << 63), "a sensor name of at most"),
        (sens_bytes(size=(6, 1 << 20))[:400], "images of 1 to 16384 pixels"),
        (sens_bytes(shift=0.0), "a depth shift above 0"),
        (sens_bytes(shift=float("nan")), "a depth shift above 0"),
        (sens_bytes(depth_size=(3, 5), millimetres=np.zeros((3, 4))), "expected 30 bytes of 3 x 5, got 24"),
        (sens_bytes(depth="zlib_ushort", millimetres=np.zeros((300, 400))), "a stream that does not end there"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_broken_scan_costs_itself_and_says_why(tmp_path, content, message):
    with pytest.raises(DataError, match=message) as error:
        scan(tmp_path, content).load("scene0001_00")
    assert "scene0001_00.sens" in str(error.value)


def test_a_depth_image_that_unpacks_to_gigabytes_is_given_up_at_its_size(tmp_path):
    bomb = zlib.compress(b"\0" * (64 << 20), 1)
    content = sens_bytes(depth="zlib_ushort", frames=1)
    small = zlib.compress(np.full((3, 4), 1500, "<u2").tobytes())
    content = content.replace(struct.pack("<Q", len(small)), struct.pack("<Q", len(bomb)))[: -len(small)] + bomb
    with pytest.raises(DataError, match="a stream that does not end there"):
        scan(tmp_path, content).load("scene0001_00")


def test_an_index_is_kept_and_made_again_when_the_file_changes(tmp_path, monkeypatch):
    data = scan(tmp_path, sens_bytes(frames=2))
    assert data.num_frames("scene0001_00") == 2
    from probe4d_datasets.scannet import sens

    sens._opened.cache_clear()
    monkeypatch.setattr(sens, "_index", lambda where: pytest.fail("made again"))
    assert data.num_frames("scene0001_00") == 2
    monkeypatch.undo()
    assert scan(tmp_path, sens_bytes(frames=3)).num_frames("scene0001_00") == 3


def exported(tmp_path: Path, numbers: list[int], missing: str = "") -> ScanNet:
    folder = tmp_path / "exported/scene0002_00"
    for name in ("color", "depth", "pose"):
        (folder / name).mkdir(parents=True)
    for number in numbers:
        Image.fromarray(np.full((6, 8, 3), number, np.uint8)).save(folder / f"color/{number}.jpg")
        Image.fromarray(np.full((3, 4), 1000 + number, np.uint16)).save(folder / f"depth/{number}.png")
    if missing:
        (folder / missing).unlink()
    (tmp_path / "scannetv2_train.txt").write_text("scene0002_00\n")
    return ScanNet(tmp_path, "train")


def test_an_export_of_every_tenth_frame_is_a_video_of_these(tmp_path):
    data = exported(tmp_path, [0, 10, 20, 100, 110, 90, 80, 70, 60, 50, 40, 30])
    depth = data.load("scene0002_00").targets["depth"]["depth"][:, 0, 0]
    np.testing.assert_allclose(depth, (1000 + np.arange(0, 120, 10)) / 1000)


def test_a_hole_in_an_export_is_refused_and_a_lacking_image_costs_its_frame(tmp_path):
    with pytest.raises(DataError, match="expected frame 2 after 1, got 3"):
        exported(tmp_path / "a", [0, 1, 3]).load("scene0002_00")
    data = exported(tmp_path / "b", [0, 1, 2], missing="depth/1.png")
    assert len(data.load("scene0002_00", [0, 2]).video) == 2
    with pytest.raises(DataError, match="frame 1: expected a depth image, got none"):
        data.load("scene0002_00")


def test_an_export_in_eight_bits_is_refused(tmp_path):
    data = exported(tmp_path, [0])
    Image.fromarray(np.zeros((3, 4), np.uint8)).save(tmp_path / "exported/scene0002_00/depth/0.png")
    with pytest.raises(DataError, match="expected a 16-bit grey image"):
        data.load("scene0002_00")


@pytest.mark.parametrize("text", ["../../etc\n", "scene1\n", "\xff"])
def test_a_list_of_something_else_is_refused(tmp_path, text):
    (tmp_path / "scannetv2_train.txt").write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match=r"scannetv2_train\.txt: expected"):
        ScanNet(tmp_path, "train")


def test_a_root_without_lists_says_where_they_are(tmp_path):
    with pytest.raises(DataError, match=r"expected scannetv2_val.txt at the root or in Tasks/Benchmark/"):
        ScanNet(tmp_path, "val")

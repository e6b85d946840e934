"""MOVi records: every stored feature comes out as its writer put it in, and nothing else is looked at."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from movi.made_movi import made_features, png
from probe4d.errors import DataError
from probe4d_datasets.formats.record_index import record_index, record_of
from probe4d_datasets.formats.tf_example import encode_example, read_example
from probe4d_datasets.movi.record import OF_TARGET, Record, open_record
from probe4d_datasets.own.root import Root

BUILD = "movi_e/28x28/1.0.0"
RECORDS = {
    "train0": "movi_e-train.tfrecord-00000-of-00002",
    "train1": "movi_e-train.tfrecord-00001-of-00002",
    "validation2": "movi_e-validation.tfrecord-00000-of-00001",
}
NUMBERS = {
    "depth_range": "metadata/depth_range",
    "focal_length": "camera/focal_length",
    "sensor_width": "camera/sensor_width",
    "camera_positions": "camera/positions",
    "camera_quaternions": "camera/quaternions",
    "bboxes_3d": "instances/bboxes_3d",
    "obj_positions": "instances/positions",
    "obj_quaternions": "instances/quaternions",
    "visibility": "instances/visibility",
    "bbox_row_lengths": "instances/bboxes/ragged_row_lengths_0",
    "bbox_flat": "instances/bboxes/ragged_flat_values",
    "category": "instances/category",
    "num_instances": "metadata/num_instances",
    "forward_flow_u16": "forward_flow",
    "forward_flow_range": "metadata/forward_flow_range",
}
IMAGES = {
    "video": "video",
    "segmentations": "segmentations",
    "depth_u16": "depth",
    "normal_u16": "normal",
    "object_coordinates_u16": "object_coordinates",
}


def content(tfds: Path, tag: str) -> bytes:
    return record_of(Root(str(tfds)), f"{BUILD}/{RECORDS[tag]}", 0, tag)


@pytest.mark.parametrize("tag", RECORDS)
def test_every_stored_feature_is_reproduced(tag: str, tfds: Path, expected: dict[str, np.ndarray]) -> None:
    data = content(tfds, tag)
    compared = 0
    for name, key in NUMBERS.items():
        if f"{tag}/{name}" in expected:
            want = expected[f"{tag}/{name}"]
            got = read_example(data, (key,), tag)[key]
            np.testing.assert_array_equal(got.reshape(want.shape), want, err_msg=name)
            assert got.dtype == (np.int64 if want.dtype == np.uint16 else want.dtype), name
            compared += 1
    record = open_record(data, tuple(OF_TARGET), tag)
    for name, key in IMAGES.items():
        if f"{tag}/{name}" in expected:
            want = expected[f"{tag}/{name}"]
            got = record.images(key, range(record.length))
            np.testing.assert_array_equal(got, want, err_msg=name)
            assert got.dtype == want.dtype, name
            compared += 1
    mine = [key for key in expected if key.startswith(f"{tag}/")]
    others = (
        "depth_m",
        "query_tyx_pixel",
        "tapvid_",
        "analytic_",
    )  # compared in test_movi_tracks and test_movi_targets
    assert compared == len([key for key in mine if not key.removeprefix(f"{tag}/").startswith(others)])


def test_the_names_of_the_records_are_those_stated(tfds: Path) -> None:
    stated = json.loads((tfds.parent / "expected.json").read_text())["records"]
    for tag, facts in stated.items():
        record = open_record(content(tfds, tag), (), tag)
        assert (record.video_name, RECORDS[tag]) == (facts["video_name"], facts["key"])


def test_sixteen_bits_survive_where_pillow_would_cut_them(tfds: Path) -> None:
    normals = open_record(content(tfds, "train0"), ("points",), "").images("normal", [3])
    assert normals.dtype == np.uint16
    assert len(np.unique(normals & 0xFF)) > 8  # the low bytes carry something


def test_only_the_features_asked_for_are_looked_at() -> None:
    features = made_features(frames=2)
    hostile = encode_example({**features, "depth": [b"no image"] * 2})
    assert open_record(hostile, ("boxes", "pose"), "x").images("video", [0, 1]).shape == (2, 16, 16, 3)
    with pytest.raises(DataError, match=r"x, depth, image 0: expected a PNG image"):
        open_record(hostile, ("depth",), "x").images("depth", [0])
    record = open_record(encode_example(features), ("pose",), "x")
    assert "forward_flow" not in record.features
    assert "segmentations" not in record.features


@pytest.mark.parametrize(
    ("change", "targets", "message"),
    [
        ({"metadata/num_frames": np.array([3])}, (), "expected 3 frames as num_frames says, got 2"),
        ({"camera/positions": None}, ("pose",), "expected the feature 'camera/positions', got none"),
        ({"video": np.array([1, 2])}, (), "video: expected byte strings, got numbers"),
        ({"video": []}, (), "video: expected byte strings, got numbers or nothing"),
        ({"metadata/num_frames": [b"2"]}, (), "metadata/num_frames: expected numbers, got byte strings"),
    ],
)
def test_a_record_that_contradicts_itself_says_where(change: dict, targets: tuple[str, ...], message: str) -> None:
    features = {key: value for key, value in {**made_features(frames=2), **change}.items() if value is not None}
    with pytest.raises(DataError, match=message):
        open_record(encode_example(features), targets, "x")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("camera/positions", np.full(6, np.nan, np.float32), "expected finite numbers"),
        ("camera/positions", np.zeros(5, np.float32), r"expected \(2, 3\), got 5 numbers"),
        ("camera/focal_length", np.zeros(1, np.float32), "expected a focal length above 0"),
    ],
)
def test_cameras_that_cannot_be_are_refused(key: str, value: np.ndarray, message: str) -> None:
    record = open_record(encode_example({**made_features(frames=2), key: value}), ("pose",), "x")
    with pytest.raises(DataError, match=message):
        record.cameras()


def test_image_sequences_of_another_length_or_size_are_refused() -> None:
    features = made_features(frames=2)
    short = open_record(encode_example({**features, "depth": features["depth"][:1]}), ("depth",), "x")
    with pytest.raises(DataError, match="x, depth: expected 2 images as the video has, got 1"):
        short.images("depth", [0])
    mixed = [features["depth"][0], png(np.zeros((4, 4), np.uint16))]
    with pytest.raises(DataError, match=r"image 1: expected \(16, 16\)"):
        open_record(encode_example({**features, "depth": mixed}), ("depth",), "x").images("depth", [0, 1])


def test_frames_come_in_the_order_asked_and_each_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import probe4d_datasets.movi.record as module

    decoded: list[int] = []
    real = module.decode_pngs
    monkeypatch.setattr(module, "decode_pngs", lambda images, *rest: decoded.append(len(images)) or real(images, *rest))
    record: Record = open_record(encode_example(made_features(frames=4)), (), "x")
    whole = record.images("video", range(4))
    np.testing.assert_array_equal(record.images("video", [3, 1, 3, 3]), whole[[3, 1, 3, 3]])
    assert decoded == [4, 2]


def test_the_index_of_a_file_is_built_once_and_again_when_the_file_changes(
    tfds: Path, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import probe4d_datasets.formats.record_index as module

    scans: list[str] = []
    real = module.scan_records
    monkeypatch.setattr(module, "scan_records", lambda file, where: scans.append(where) or real(file, where))
    path = tmp_path / "a.tfrecord"
    whole = (tfds / BUILD / RECORDS["train0"]).read_bytes()
    path.write_bytes(whole)
    assert len(record_index(Root(str(tmp_path)), path.name).records) == 1
    module._index.cache_clear()  # as in another process
    assert len(record_index(Root(str(tmp_path)), path.name).records) == 1
    assert len(scans) == 1
    path.write_bytes(whole * 2)
    assert len(record_index(Root(str(tmp_path)), path.name).records) == 2
    assert len(scans) == 2
    (kept, _) = sorted((own_cache / "record-index").rglob("*.json"), key=lambda file: file.stat().st_size)
    kept.write_text("no index")
    module._index.cache_clear()
    assert len(record_index(Root(str(tmp_path)), path.name).records) == 2

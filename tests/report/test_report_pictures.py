"""Pictures show what predictions and targets say, on frames where they are to be had."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from probe4d.errors import DataError
from probe4d_report.panels import boxes, depth, labels, points, pose
from probe4d_report.view import RunView


def of_kind(run, kind):
    """Return the only column's records of a kind, by backbone."""
    view = RunView(run)
    records = [record for found in view.of_kind(kind).values() for record in found]
    return view, {record.cell.backbone: record for record in records}


def test_predicted_points_lie_where_they_were_predicted(made, tmp_path):
    perfect = made.Backbone(label="perfect", params=1, noise=0.0)
    made.write_cell(tmp_path, perfect, "points")
    view, records = of_kind(tmp_path, "points")
    text = points.panel(view)
    assert re.findall(r"median error ([0-9.]+) px<", text) == ["0.0"] * 6
    pair = view.pairs(records["perfect"]).load("val-000000")
    frame = int(np.flatnonzero(pair.targets["visible"].any(axis=0)).max())
    row = int(np.flatnonzero(pair.targets["visible"][:, frame])[0])
    x, y = (f"{v:.2f}".rstrip("0").rstrip(".") for v in pair.targets["tracks"][row, frame].astype(float))
    assert f'<circle cx="{x}" cy="{y}" r="5"' in text
    assert f'<circle cx="{x}" cy="{y}" r="2.8"' in text


def test_points_that_are_not_finite_are_left_out_of_the_picture(made, tmp_path, monkeypatch):
    monkeypatch.setitem(
        made.PREDICT,
        "points",
        lambda true, noise, random: {"tracks": true["tracks"] * np.nan, "visible": true["visible"]},
    )
    made.write_cell(tmp_path, made.THREE[1], "points")
    text = points.panel(RunView(tmp_path))
    assert "no finite prediction" in text
    assert not re.search(r'"nan|nan"', text)


def test_true_boxes_are_dashed_and_predicted_ones_solid(made, tmp_path):
    made.write_cell(tmp_path, made.Backbone(label="perfect", params=1, noise=0.0), "boxes")
    view, records = of_kind(tmp_path, "boxes")
    text = boxes.panel(view)
    rects = re.findall(r'<rect x="([^"]+)" y="([^"]+)" width="([^"]+)" height="([^"]+)" style="([^"]+)"', text)
    dashed = [rect[:4] for rect in rects if "dasharray" in rect[4]]
    solid = [rect[:4] for rect in rects if "dasharray" not in rect[4] and "fill-opacity" in rect[4]]
    assert dashed == solid  # a perfect prediction lies on the truth
    assert "mean IoU 1.00" in text
    pair = view.pairs(records["perfect"]).load("val-000000")
    assert len(dashed) >= int(pair.targets["present"].any(axis=1).sum())


def test_depth_maps_are_pictures_on_the_scale_of_the_true_one(made, tmp_path):
    made.write_cell(tmp_path, made.Backbone(label="perfect", params=1, noise=0.0), "depth")
    text = depth.panel(RunView(tmp_path))
    assert text.count('src="data:image/png;base64,') == 6 * 3  # frame, true, predicted
    assert re.search(r"true · \d\.\d – \d\.\d m", text)
    assert all(float(error) < 0.04 for error in re.findall(r"AbsRel ([0-9.]+)", text))


def test_the_perfect_pose_lies_on_the_true_one(made, tmp_path):
    made.write_cell(tmp_path, made.Backbone(label="perfect", params=1, noise=0.0), "pose")
    text = pose.panel(RunView(tmp_path))
    assert text.count("end point error: perfect 0.00 m</figcaption>") == 6
    for picture in re.findall(r"<svg.*?</svg>", text, re.S):
        found = re.findall(r'<polygon points="([^"]+)"[^>]*><title>([^<]+)', picture)
        place = {title: corners for corners, title in found}
        if place:
            assert place["perfect"] == place["true last camera"]
            assert place["first camera"] != place["perfect"]


def test_a_camera_that_moved_right_stands_to_the_right():
    moved = np.concatenate([np.eye(3), [[-2.0], [0.0], [0.0]]], axis=1)  # points move left as the camera moves right
    camera = pose._camera(moved, "red", "moved")
    assert camera.place.tolist() == [2.0, 0.0]
    assert camera.ahead.tolist() == [0.0, 1.0]


def test_confusion_counts_each_sample_once(made, tmp_path):
    made.write_cell(tmp_path, made.THREE[2], "labels")
    view, records = of_kind(tmp_path, "labels")
    counts = labels.confusion_of(view, records["4ds-b"], 12)
    assert counts.sum() == 24
    primary = records["4ds-b"].content["primary"]["value"]
    assert np.trace(counts[:, :12]) / 24 == pytest.approx(primary)
    assert "Confusion of 4ds-b" in labels.panel(view)


def test_two_backbones_stand_side_by_side_by_class(whole_run):
    view, _ = of_kind(whole_run, "labels")
    text = labels.panel(view)
    assert "classes are ordered by that of patch-colours" in text
    bars = re.findall(r"<title>(\d+), (patch-colours|4ds-b): ([0-9.]+)% of 2</title>", text)
    assert len(bars) == 24
    first = [float(share) for _, name, share in bars if name == "patch-colours"]
    assert first == sorted(first)


def test_without_the_dataset_pictures_stand_on_a_grid_and_say_why(made, tmp_path):
    data = {"evaluate": {**made.DATA, "dataset": "gone/dataset"}}
    made.write_cell(tmp_path, made.THREE[1], "points", data=data)
    text = points.panel(RunView(tmp_path))
    assert "Drawn on a grid, as the frames are not to be had here" in text
    assert "gone/dataset" in text
    assert "<image" not in text
    assert 'class="grid"' in text


def test_frames_of_another_version_of_the_dataset_are_not_shown(made, tmp_path):
    made.write_cell(tmp_path, made.THREE[1], "points", data={"evaluate": {**made.DATA, "version": "probe4d 9.9.9"}})
    text = points.panel(RunView(tmp_path))
    assert "as probe4d 9.9.9 reads it" in text
    assert "<image" not in text


def test_frames_are_those_of_the_clip(made, tmp_path):
    record = made.write_cell(tmp_path, made.THREE[1], "points")
    clip = RunView(tmp_path).clip(record, "val-000003")
    assert np.array_equal(clip, made.samples()[3].video)


def test_a_record_cannot_name_files_outside_its_run(made, tmp_path):
    secret = tmp_path / "secret.npz"
    secret.write_bytes(b"x")
    record = made.write_cell(tmp_path / "run", made.THREE[1], "labels", targets="../secret.npz")
    with pytest.raises(DataError, match="expected a file inside"):
        RunView(tmp_path / "run").pairs(record)
    assert "No pictures:" in labels.panel(RunView(tmp_path / "run"))


def test_damaged_predictions_cost_their_pictures_and_no_more(made, tmp_path):
    record = made.write_cell(tmp_path, made.THREE[1], "boxes")
    (record.folder / "predictions.npz").write_bytes(b"\x80\x04K\x07.")
    text = boxes.panel(RunView(tmp_path))
    assert "No pictures:" in text
    assert "never loaded" in text


def test_at_most_so_many_samples_and_backbones_are_drawn(made, tmp_path):
    many = [made.Backbone(label=f"b{i}", params=i + 1, noise=0.1 * i) for i in range(6)]
    for backbone in many:
        made.write_cell(tmp_path, backbone, "boxes")
    view = RunView(tmp_path, pictures=2, shown=3)
    text = boxes.panel(view)
    assert text.count("<figcaption>") == 2 * 3
    assert "3 more backbones are in the table" in text
    assert {"b0", "b5"} <= set(re.findall(r"<figcaption>(b\d)", text))  # best and worst are among them


def test_stated_names_of_classes_are_used(made, tmp_path):
    record = made.write_cell(tmp_path, made.THREE[1], "labels")
    names = [f"move {i}" for i in range(12)]
    file = tmp_path / record.content["targets"]
    arrays = dict(np.load(file))
    meta = json.loads(str(arrays.pop("meta")))
    np.savez(file, meta=json.dumps({**meta, "classes": names}), **arrays)
    assert "move 11" in labels.panel(RunView(tmp_path))


def test_predictions_that_stream_from_zarr_are_drawn_too(made, tmp_path):
    zarr = pytest.importorskip("zarr", reason="needs the extra probe4d[zarr]")
    record = made.write_cell(tmp_path, made.THREE[1], "depth")
    expected = depth.panel(RunView(tmp_path))
    arrays = dict(np.load(record.folder / "predictions.npz"))
    root = zarr.open_group(str(record.folder / "predictions.zarr"), mode="w")
    root.attrs["meta"] = json.loads(str(arrays.pop("meta")))
    for name, value in arrays.items():
        root.create_array(name, data=value, chunks=(4, *value.shape[1:]))
    file = record.folder / "record.json"
    file.write_text(file.read_text().replace('"predictions.npz",', '"predictions.zarr",', 1))
    view = RunView(tmp_path)
    assert view.records[0].content["predictions"] == "predictions.zarr"
    assert depth.panel(view) == expected

"""Formats of other programs: a real tracker's output, challenge JSON, trajectories, depth images."""

from __future__ import annotations

import csv
import importlib.util
import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial.transform import Rotation

from probe4d.errors import DataError, UsageError
from probe4d.scoring import score

TUD = Path(importlib.util.find_spec("motmetrics").origin).parent / "data"
FIRST_OVERLAP = {"formats": "mot", "match": "first-overlap"}


def mot(*lines):
    return "".join(line + "\n" for line in lines)


def iou(a, b):
    """Return the IoU of two (left, top, width, height), for the independent computation."""
    width = max(0.0, min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1]))
    shared = width * height
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def independent(predictions: Path, targets: Path):
    """Return all IoUs of a sequence: the csv module, plain loops, scipy's assignment."""
    tracks = {"p": {}, "t": {}}
    for role, path in (("p", predictions), ("t", targets)):
        for row in csv.reader(path.read_text().splitlines()):
            tracks[role].setdefault(int(row[1]), {})[int(row[0])] = tuple(map(float, row[2:6]))
    target_ids, pred_ids = sorted(tracks["t"]), sorted(tracks["p"])
    weights = np.zeros((len(target_ids), len(pred_ids)))
    for i, target in enumerate(target_ids):
        first = min(tracks["t"][target])
        for j, pred in enumerate(pred_ids):
            if first in tracks["p"][pred]:
                weights[i, j] = iou(tracks["t"][target][first], tracks["p"][pred][first])
    pairs = {
        target_ids[i]: pred_ids[j]
        for i, j in zip(*linear_sum_assignment(weights, maximize=True), strict=True)
        if weights[i, j] > 0
    }
    values = []
    for target in target_ids:
        for number, box in tracks["t"][target].items():
            if number > 1:  # the first frame is given
                other = tracks["p"].get(pairs.get(target), {}).get(number)
                values.append(iou(box, other) if other else 0.0)
    return values


def test_a_real_trackers_output_scores_as_an_independent_computation_says():
    answer = score("boxes", str(TUD / "TUD-*/test.txt"), str(TUD / "TUD-*/gt.txt"), **FIRST_OVERLAP)
    own = {
        name: independent(TUD / f"TUD-{name}/test.txt", TUD / f"TUD-{name}/gt.txt") for name in ("Campus", "Stadtmitte")
    }
    pooled = [value for values in own.values() for value in values]
    assert answer.values["mean_iou"] == pytest.approx(np.mean(pooled), rel=1e-9)
    assert answer.values["mean_iou_nested"] == pytest.approx(
        np.mean([np.mean(values) for values in own.values()]), rel=1e-9
    )
    for name, values in own.items():
        assert answer.per_sample[name]["mean_iou"] == pytest.approx(np.mean(values), rel=1e-9)
    assert 0.1 < answer.values["mean_iou"] < 0.9


def test_the_ground_truth_scored_against_itself_is_perfect():
    gt = str(TUD / "TUD-Campus" / "gt.txt")
    answer = score("boxes", gt, gt, **FIRST_OVERLAP)
    assert answer.values["mean_iou"] == pytest.approx(1)
    assert list(answer.per_sample) == ["sequence"]


def test_mot_frames_count_from_1_and_tracks_may_be_of_different_lengths(tmp_path):
    (tmp_path / "p.txt").write_text(mot("1,7,0,0,10,10,-1,-1,-1,-1", "2,7,5,0,10,10,-1,-1,-1,-1"))
    (tmp_path / "t.txt").write_text(mot(*(f"{frame},1,0,0,10,10,1,-1,-1,-1" for frame in (1, 2, 3))))
    answer = score("boxes", str(tmp_path / "p.txt"), str(tmp_path / "t.txt"), **FIRST_OVERLAP)
    assert answer.values["mean_iou"] == pytest.approx((1 / 3 + 0) / 2)  # frame 2 half over, frame 3 absent


def test_ground_truth_flagged_0_is_not_evaluated_and_predictions_of_confidence_0_are(tmp_path):
    (tmp_path / "p.txt").write_text(mot("1,7,0,0,10,10,0,-1,-1,-1", "2,7,0,0,10,10,0,-1,-1,-1"))
    (tmp_path / "t.txt").write_text(
        mot("1,1,0,0,10,10,1,1,1", "2,1,0,0,10,10,1,1,1", "1,2,50,50,9,9,0,8,1", "2,2,50,50,9,9,0,8,1")
    )
    answer = score("boxes", str(tmp_path / "p.txt"), str(tmp_path / "t.txt"), **FIRST_OVERLAP)
    assert answer.values["mean_iou"] == 1


def test_a_folder_of_sequences_is_a_sample_each(tmp_path):
    for role in ("p", "t"):
        (tmp_path / role).mkdir()
        for name in ("MOT17-02", "MOT17-04"):
            (tmp_path / role / f"{name}.txt").write_text(mot("1,1,0,0,9,9,1,1,1", "2,1,0,0,9,9,1,1,1"))
    assert set(score("boxes", str(tmp_path / "p"), str(tmp_path / "t"), **FIRST_OVERLAP).per_sample) == {
        "MOT17-02",
        "MOT17-04",
    }


def test_one_file_may_be_mot_and_the_other_not(tmp_path):
    (tmp_path / "p.txt").write_text(mot("1,1,16,9,16,9,1,1,1", "2,1,16,9,16,9,1,1,1"))
    target = {"sequence": {"boxes": np.array([[[0.1, 0.1, 0.2, 0.2]] * 2])}}
    meta = {"predictions.frame_size": [90, 160], "targets.order": "yxyx", "targets.coords": "normalized"}
    answer = score(
        "boxes", str(tmp_path / "p.txt"), target, formats={"predictions": "mot"}, match="first-overlap", meta=meta
    )
    assert answer.values["mean_iou"] == pytest.approx(1)


def test_two_boxes_of_a_track_in_one_frame_are_refused(tmp_path):
    (tmp_path / "p.txt").write_text(mot("1,1,0,0,9,9,1,1,1", "1,1,0,0,9,9,1,1,1"))
    with pytest.raises(DataError, match="two of track 1 in frame 1"):
        score("boxes", str(tmp_path / "p.txt"), str(TUD / "TUD-Campus" / "gt.txt"), **FIRST_OVERLAP)


def annotation(tracks, frames=6):
    """Return a video as the Perception Test's annotation file has it: points are two rows, y first."""
    items = []
    for track_id, seen in tracks.items():
        points = [[y for y, _ in seen.values()], [x for _, x in seen.values()]]
        items.append({"id": track_id, "label": f"point_{track_id}", "frame_ids": list(seen), "points": points})
    meta = {"split": "valid", "video_id": "video_1", "num_frames": frames, "resolution": [90, 160]}
    return {"metadata": meta, "object_tracking": [], "point_tracking": items}


PERCEPTION = {"predictions": "perception-test", "targets": "perception-test"}


def test_perception_test_points_are_rows_of_y_then_x_and_absent_frames_are_occluded(tmp_path):
    target = {0: {f: (0.25, 0.5 + 0.01 * f) for f in range(6)}, 1: dict.fromkeys((1, 2, 3), (0.7, 0.2))}
    (tmp_path / "t.json").write_text(json.dumps({"video_1": annotation(target)}))
    # A submission: lists of tracks, in another order; the second is lost after frame 2.
    predicted = annotation({1: dict.fromkeys((1, 2), (0.7, 0.2)), 0: target[0]})["point_tracking"]
    (tmp_path / "p.json").write_text(json.dumps({"video_1": predicted}))
    answer = score("points", str(tmp_path / "p.json"), str(tmp_path / "t.json"), formats=PERCEPTION)
    # After the queries: 5 visible of track 0, 2 of track 1, of which one is predicted.
    assert answer.values["jaccard_1"] == pytest.approx(6 / 7)
    # 5 of track 0 and 4 of track 1 are evaluated; one visibility is wrong.
    assert answer.values["occlusion_accuracy"] == pytest.approx(8 / 9)


def test_perception_test_predictions_may_end_before_the_video_does(tmp_path):
    target = {0: {0: (0.5, 0.5), 1: (0.5, 0.5)}}
    (tmp_path / "t.json").write_text(json.dumps({"video_1": annotation(target, frames=40)}))
    (tmp_path / "p.json").write_text(json.dumps({"video_1": annotation(target)["point_tracking"]}))
    answer = score("points", str(tmp_path / "p.json"), str(tmp_path / "t.json"), formats=PERCEPTION)
    assert answer.values["occlusion_accuracy"] == 1


def test_perception_test_points_the_other_way_round_are_refused(tmp_path):
    wrong = [{"id": 0, "frame_ids": [0, 1, 2], "points": [[0.1, 0.2], [0.1, 0.2], [0.1, 0.2]]}]
    (tmp_path / "t.json").write_text(json.dumps({"video_1": wrong}))
    with pytest.raises(DataError, match=r"expected shape \(2, 3\), got shape \(3, 2\). Points are two rows"):
        score("points", str(tmp_path / "t.json"), str(tmp_path / "t.json"), formats=PERCEPTION)


def test_perception_test_boxes_are_corners_with_x_first(tmp_path):
    track = [{"id": 4, "frame_ids": [0, 1, 2], "bounding_boxes": [[0.1, 0.2, 0.3, 0.6]] * 3}]
    (tmp_path / "t.json").write_text(json.dumps({"video_1": {"metadata": {"num_frames": 3}, "object_tracking": track}}))
    (tmp_path / "p.json").write_text(json.dumps({"video_1": track}))
    answer = score("boxes", str(tmp_path / "p.json"), str(tmp_path / "t.json"), formats=PERCEPTION, match="ids")
    assert answer.values["mean_iou"] == 1
    corners = {"video_1": {"boxes": np.array([[[0.2, 0.1, 0.6, 0.3]] * 3]), "track_ids": np.array([4])}}
    meta = {"predictions.order": "yxyx", "predictions.coords": "normalized"}
    again = score(
        "boxes", corners, str(tmp_path / "t.json"), formats={"targets": "perception-test"}, match="ids", meta=meta
    )
    assert again.values["mean_iou"] == 1


def trajectory(seed=0, frames=4):
    """Return camera-to-world matrices `(frames, 3, 4)` and quaternions, real part last."""
    random = np.random.default_rng(seed)
    turns = Rotation.from_euler("xyz", np.cumsum(random.normal(0, 0.1, (frames, 3)), axis=0))
    places = np.cumsum(random.normal(0, 0.3, (frames, 3)), axis=0)
    return np.concatenate([turns.as_matrix(), places[:, :, None]], axis=2), turns.as_quat(), places


def first_to_last(camera_to_world):
    full = [np.vstack([matrix, [0, 0, 0, 1]]) for matrix in camera_to_world]
    return (np.linalg.inv(full[-1]) @ full[0])[:3]


def test_kitti_and_tum_trajectories_give_the_pose_from_first_to_last(tmp_path):
    matrices, quaternions, places = trajectory()
    np.savetxt(tmp_path / "kitti.txt", matrices.reshape(-1, 12))
    rows = np.concatenate([np.arange(4)[:, None] * 0.1 + 1.3e9, places, quaternions], axis=1)
    (tmp_path / "tum.txt").write_text("# timestamp tx ty tz qx qy qz qw\n")
    with (tmp_path / "tum.txt").open("a") as file:
        np.savetxt(file, rows, fmt="%.12f")
    expected = {"sequence": {"pose": first_to_last(matrices)}}
    meta = {"unit": "metre", "targets.direction": "first_to_last", "targets.axes": "opencv"}
    for name in ("kitti", "tum"):
        formats = {"predictions": "kitti-poses" if name == "kitti" else "tum"}
        answer = score("pose", str(tmp_path / f"{name}.txt"), expected, formats=formats, meta=meta)
        assert answer.values["epe"] == pytest.approx(0, abs=1e-6)
    with pytest.raises(UsageError, match=r"meta\.unit is stated neither"):
        score(
            "pose",
            str(tmp_path / "tum.txt"),
            expected,
            formats=formats,
            meta={k: v for k, v in meta.items() if k != "unit"},
        )


def test_a_quaternion_with_its_real_part_first_is_refused(tmp_path):
    (tmp_path / "t.txt").write_text("0 0 0 0 0 0 0 1\n1 0 0 0 2 0 0 1\n")
    formats = {"predictions": "tum", "targets": "tum"}
    with pytest.raises(DataError, match="quaternions of length 1"):
        score("pose", str(tmp_path / "t.txt"), str(tmp_path / "t.txt"), formats=formats, meta={"unit": "metre"})


def write_depth(folder, frames):
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        PIL.Image.fromarray(frame.astype(np.uint16)).save(folder / f"{number:06d}.png")


def test_depth_images_are_scaled_as_stated(tmp_path):
    random = np.random.default_rng(0)
    millimetres = random.integers(500, 5000, (3, 6, 8))
    millimetres[0, 0] = 0
    write_depth(tmp_path / "t" / "scene_0", millimetres)
    write_depth(tmp_path / "t" / "scene_1", millimetres[:2])
    predictions = {"scene_0": {"depth": millimetres / 1000 * 1.1}, "scene_1": {"depth": millimetres[:2] / 1000 * 1.1}}
    meta = {"predictions.unit": "metre", "predictions.quantity": "depth", "targets.unit": "millimetre", "surface": "z"}
    formats = {"targets": "depth-png"}
    answer = score("depth", predictions, str(tmp_path / "t"), formats=formats, meta={**meta, "targets.scale": 1})
    assert answer.values["abs_rel"] == pytest.approx(0.1, rel=1e-5)
    assert set(answer.per_sample) == {"scene_0", "scene_1"}
    with pytest.raises(UsageError, match=r"Add --meta targets\.scale=<number>"):
        score("depth", predictions, str(tmp_path / "t"), formats=formats, meta=meta)


def test_depth_images_of_8_bit_or_colour_are_refused(tmp_path):
    (tmp_path / "t").mkdir()
    PIL.Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "t" / "0.png")
    meta = {"unit": "millimetre", "surface": "z", "scale": 1}
    with pytest.raises(DataError, match="expected 16-bit grey, got mode RGB"):
        score(
            "depth",
            str(tmp_path / "t"),
            str(tmp_path / "t"),
            formats={"predictions": "depth-png", "targets": "depth-png"},
            meta=meta,
        )


def test_a_tapvid_pickle_is_refused_with_the_conversion(tmp_path):
    (tmp_path / "tapvid_davis.pkl").write_bytes(b"\x80\x04.")
    for options in ({"formats": {"targets": "tapvid-pickle"}}, {}):
        with pytest.raises((UsageError, DataError), match=r"a pickle runs whatever code.*numpy\.savez"):
            score("points", {"a": {}}, str(tmp_path / "tapvid_davis.pkl"), **options)

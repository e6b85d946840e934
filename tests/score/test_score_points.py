"""Point tracks: every convention leads to the same raster, and rows and frames find each other."""

from __future__ import annotations

import numpy as np
import pytest

from probe4d.errors import DataError, UsageError
from probe4d.scoring import score

CONVENTION = {"order": "xy", "coords": "pixels", "frame_size": [256, 256], "query_mode": "first"}


def one(tracks, visible=None, **fields):
    found = {"tracks": np.asarray(tracks, dtype=float), **fields}
    return {"a": found if visible is None else {**found, "visible": np.asarray(visible)}}


def target(tracks, visible, **fields):
    tracks = np.asarray(tracks, dtype=float)
    queries = np.concatenate([np.zeros((len(tracks), 1)), tracks[:, 0, ::-1]], axis=1)
    return one(tracks, visible, **{"query_points": queries, **fields})


def test_the_values_are_those_worked_out_by_hand():
    tracks = [[[10, 10], [10, 10], [10, 10], [10, 10]]]
    moved = [[[10, 10], [11.5, 10], [13, 10], [60, 10]]]  # off by 1.5, 3 and 50 px after the query
    answer = score("points", one(moved, [[True] * 4]), target(tracks, [[True] * 4]), meta=CONVENTION)
    assert [answer.values[f"points_within_{px}"] for px in (1, 2, 4, 8, 16)] == [0, 1 / 3, 2 / 3, 2 / 3, 2 / 3]
    # Two within: 2 true positives, 3 visible, 1 false positive.
    assert answer.values["jaccard_4"] == 2 / 4
    assert answer.values["occlusion_accuracy"] == 1


@pytest.mark.parametrize("order", ["xy", "yx"])
@pytest.mark.parametrize(("coords", "origin"), [("pixels", "corner"), ("pixels", "center"), ("normalized", "corner")])
def test_a_prediction_in_any_convention_is_the_same_prediction(points, order, coords, origin):
    expected = score("points", points.predictions, points.targets, meta=points.stated)
    changed = {}
    for sample_id, fields in points.predictions.items():
        tracks = fields["tracks"] - (0.5 if origin == "center" else 0)
        tracks = tracks / np.array([320, 240]) if coords == "normalized" else tracks
        changed[sample_id] = {**fields, "tracks": tracks if order == "xy" else tracks[..., ::-1]}
    stated = {key: value for key, value in points.stated.items() if not key.startswith("predictions.")}
    own = {"order": order, "coords": coords, "pixel_origin": origin, "frame_size": [240, 320]}
    found = score("points", changed, points.targets, meta={**stated, **{f"predictions.{k}": v for k, v in own.items()}})
    assert found.values == pytest.approx(dict(expected.values), abs=1e-12)


def test_distances_are_measured_in_a_square_raster():
    # 3 px in a frame 512 wide are 1.5 px of the raster; 3 px in one 128 high are 6.
    meta = {**CONVENTION, "frame_size": [128, 512]}
    across = score("points", one([[[10, 10], [13, 10]]]), target([[[10, 10], [10, 10]]], [[True, True]]), meta=meta)
    down = score("points", one([[[10, 10], [10, 13]]]), target([[[10, 10], [10, 10]]], [[True, True]]), meta=meta)
    assert [across.values["points_within_1"], across.values["points_within_2"]] == [0, 1]
    assert [down.values["points_within_4"], down.values["points_within_8"]] == [0, 1]


def test_a_frame_size_may_differ_by_sample():
    meta = {key: value for key, value in CONVENTION.items() if key != "frame_size"}
    predictions = one([[[10, 10], [13, 10]]], frame_size=np.array([128, 512]))
    answer = score(
        "points",
        predictions,
        target([[[20, 20], [20, 20]]], [[True, True]], frame_size=np.array([256, 1024])),
        meta=meta,
    )
    assert answer.values["points_within_2"] == 1


def test_without_visibility_only_positions_are_scored(points):
    bare = {sample_id: {"tracks": fields["tracks"]} for sample_id, fields in points.predictions.items()}
    answer = score("points", bare, points.targets, meta=points.stated)
    assert set(answer.values) == {"points_within_delta", *(f"points_within_{px}" for px in (1, 2, 4, 8, 16))}
    assert set(answer.ci95) == set(answer.values)


def test_positions_alone_stay_alone_when_a_missing_sample_is_scored_as_wrong(points):
    bare = {sample_id: {"tracks": fields["tracks"]} for sample_id, fields in points.predictions.items()}
    whole = score("points", bare, points.targets, meta=points.stated)
    del bare["clip_0"]
    answer = score("points", bare, points.targets, meta=points.stated, missing="worst")
    assert set(answer.values) == set(whole.values)
    assert answer.values["points_within_16"] < whole.values["points_within_16"]


@pytest.mark.parametrize(
    ("fields", "seen"),
    [
        ({"visible_logit": [[1.0, -0.1, 0.1]]}, [True, False, True]),
        ({"visible_prob": [[0.6, 0.5, 0.4]]}, [True, False, False]),
        ({"visible_prob": [[0.9, 0.9, 0.9]], "certainty_prob": [[0.6, 0.5, 0.9]]}, [True, False, True]),
        ({"visible_logit": [[5.0, 5.0, 5.0]], "certainty_logit": [[5.0, -5.0, 0.1]]}, [True, False, True]),
    ],
)
def test_soft_visibility_is_cut_at_the_stated_threshold(fields, seen):
    tracks = np.full((1, 3, 2), 9.0)
    soft = one(tracks, **{name: np.array(value) for name, value in fields.items()})
    hard = one(tracks, [seen])
    targets = target(tracks, [[True, True, False]])
    found = score("points", soft, targets, meta={**CONVENTION, "threshold": 0.5})
    assert dict(found.values) == dict(score("points", hard, targets, meta=CONVENTION).values)
    with pytest.raises(UsageError, match=r"meta\.threshold is stated neither"):
        score("points", soft, targets, meta=CONVENTION)


def test_rows_are_matched_by_track_ids_where_both_have_them(points):
    expected = score("points", points.predictions, points.targets, meta=points.stated)
    order = np.array([3, 1, 4, 0, 2])
    for sample_id in points.targets:
        points.targets[sample_id]["track_ids"] = np.arange(5) + 10
        fields = points.predictions[sample_id]
        points.predictions[sample_id] = {
            "tracks": fields["tracks"][order],
            "occluded": fields["occluded"][order],
            "track_ids": order + 10,
        }
    assert dict(score("points", points.predictions, points.targets, meta=points.stated).values) == dict(expected.values)


def test_strided_queries_are_matched_by_query_ids():
    tracks = np.array([[[1.0, 1], [2, 2], [3, 3]]] * 2) * 10
    queries = np.array([[0, 10, 10], [1, 20, 20.0]])
    targets = {
        "a": {
            "tracks": tracks,
            "visible": np.ones((2, 3), bool),
            "query_points": queries,
            "query_ids": np.array([5, 6]),
        }
    }
    wrong_first = tracks.copy()
    wrong_first[0] += 100  # the row of query 6, which stands first
    predictions = {"a": {"tracks": wrong_first, "query_ids": np.array([6, 5])}}
    strided = {**CONVENTION, "query_mode": "strided"}
    assert score("points", predictions, targets, meta=strided).values["points_within_16"] == 0.5
    del targets["a"]["query_ids"]
    with pytest.raises(DataError, match="query_ids in the targets too"):
        score("points", predictions, targets, meta=strided)


def test_strided_queries_evaluate_the_frames_before_them_too():
    tracks = np.array([[[10.0, 10], [20, 20], [30, 30]]])
    moved = tracks.copy()
    moved[0, 0] += 50
    fields = {"tracks": tracks, "visible": np.ones((1, 3), bool), "query_points": np.array([[1, 20, 20.0]])}
    values = {
        mode: score("points", one(moved), {"a": fields}, meta={**CONVENTION, "query_mode": mode}).values
        for mode in ("first", "strided")
    }
    assert (values["first"]["points_within_16"], values["strided"]["points_within_16"]) == (1, 0.5)


def test_frame_ids_pick_the_frames_of_the_targets():
    long = np.cumsum(np.ones((1, 9, 2)), axis=1) * 5
    targets = target(long[:, ::4], [[True] * 3], frame_ids=np.array([0, 4, 8]))
    whole = one(long, frame_ids=np.arange(9))
    assert score("points", whole, targets, meta=CONVENTION).values["points_within_1"] == 1
    with pytest.raises(DataError, match="every frame of the targets, got none that is 8"):
        score("points", one(long[:, :8], frame_ids=np.arange(8)), targets, meta=CONVENTION)


def test_other_queries_than_the_targets_are_refused():
    tracks = [[[10, 20], [10, 20]]]
    targets = target(tracks, [[True, True]])
    same = one(tracks, query_points=np.array([[0.0, 20, 10]]))
    assert score("points", same, targets, meta=CONVENTION).values["points_within_1"] == 1
    with pytest.raises(DataError, match="query_points: expected the targets' queries, got another at row 0"):
        score("points", one(tracks, query_points=np.array([[0.0, 10, 20]])), targets, meta=CONVENTION)


def test_nan_in_predicted_tracks_counts_as_not_within_and_is_counted():
    tracks = [[[10, 10], [10, 10], [10, 10]]]
    broken = [[[10, 10], [np.nan, 10], [10, 10]]]
    answer = score("points", one(broken), target(tracks, [[True] * 3]), meta=CONVENTION)
    assert answer.values["points_within_16"] == 0.5
    assert answer.counts["nan_points"] == 1


def test_a_sample_without_anything_to_evaluate_is_left_out_and_named(points):
    answer = score("points", points.predictions, points.targets, meta=points.stated)
    assert [(item.id, item.reason) for item in answer.left_out] == [
        ("clip_3", "no target point is visible after its query frame")
    ]
    without = {sample_id: fields for sample_id, fields in points.targets.items() if sample_id != "clip_3"}
    del points.predictions["clip_3"]
    again = score("points", points.predictions, without, meta=points.stated)
    assert again.values["average_jaccard"] == answer.values["average_jaccard"]
    assert (answer.samples, again.samples) == (6, 5)

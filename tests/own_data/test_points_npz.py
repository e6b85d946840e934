"""`points-npz`: what the numbers mean is stated, converted once, and never guessed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from own_data.same_samples import check_elsewhere, check_selected_frames
from probe4d.errors import DataError, UsageError
from probe4d_datasets.own.points_npz import PointsNpz

TIME = np.arange(10)
X = np.stack([5.0 + n + TIME for n in range(3)])
Y = np.stack([20.0 + n + 0 * TIME for n in range(3)])


def test_tracks_come_in_pixels_with_queries_where_they_are_first_seen(track_file: Callable[..., Path]) -> None:
    dataset = PointsNpz(track_file(), "train")
    sample = dataset.load("train/ball")
    points = sample.targets["points"]
    np.testing.assert_array_equal(points["tracks"], np.stack([X, Y], -1)[:2])
    np.testing.assert_array_equal(points["query_points"], [[0, 20, 5], [4, 21, 10]])
    assert points["visible"].tolist() == [[True] * 10, [False] * 4 + [True] * 6]
    assert sample.provenance["rows"] == [0, 1]  # the third point is never seen
    assert dataset.num_frames("train/ball") == 10


def test_every_stated_convention_gives_the_same_points(track_file: Callable[..., Path]) -> None:
    xy = np.stack([X, Y], -1)
    ways = [
        ({"order": "yx", "coords": "pixels"}, xy[..., ::-1]),
        ({"order": "xy", "coords": "normalized"}, xy / [64, 48]),
        ({"order": "yx", "coords": "normalized"}, (xy / [64, 48])[..., ::-1].astype(np.float32)),
        ({"order": "xy", "coords": "pixels", "pixel_origin": "center"}, xy - 0.5),
        ({"order": "xy", "coords": "pixels", "frame_size": [96, 640]}, xy * [10, 2]),
        ({"order": "xy", "coords": "pixels", "pixel_origin": "center", "frame_size": [24, 32]}, xy / 2 - 0.5),
    ]
    for meta, tracks in ways:
        sample = PointsNpz(track_file(meta=meta, tracks=tracks), "train").load("train/ball")
        np.testing.assert_allclose(sample.targets["points"]["tracks"], xy[:2], rtol=1e-6, err_msg=str(meta))


def test_own_queries_move_with_the_coordinates_and_with_the_frames(track_file: Callable[..., Path]) -> None:
    queries = np.array([[3, 19.5, 7.5], [9, 20.5, 14.5], [2, 21.5, 8.5]])  # t y x, from the centre of the first pixel
    root = track_file(meta={"order": "xy", "coords": "pixels", "pixel_origin": "center"}, query_points=queries)
    whole = PointsNpz(root, "train").load("train/ball")
    np.testing.assert_array_equal(whole.targets["points"]["query_points"], queries + np.array([0, 0.5, 0.5]))
    part = PointsNpz(root, "train").load("train/ball", [8, 9, 3])
    np.testing.assert_array_equal(
        part.targets["points"]["query_points"],
        [[2, 20, 8], [1, 21, 15], [0, 22.5, 15.5]],  # the third point's query frame was not asked for
    )


def test_frames_and_windows_select_without_changing_the_rows(track_file: Callable[..., Path]) -> None:
    root = track_file()
    check_selected_frames(PointsNpz(root, "train"), "train/ball", "points", ("tracks", "visible"))
    windowed = PointsNpz(root, "train", windows={"frames": 4})
    assert windowed.sample_ids() == ("train/ball@0-4", "train/ball@4-8")
    assert windowed.load("train/ball@0-4").provenance["rows"] == [0]
    second = windowed.load("train/ball@4-8")
    np.testing.assert_array_equal(second.targets["points"]["query_points"], [[0, 20, 9], [0, 21, 10]])


def test_positions_need_not_be_finite_where_a_point_is_hidden(track_file: Callable[..., Path]) -> None:
    tracks = np.stack([X, Y], -1)
    tracks[1, :4] = np.nan
    sample = PointsNpz(track_file(tracks=tracks), "train").load("train/ball", [0, 1])
    assert np.isfinite(sample.targets["points"]["query_points"]).all()
    tracks[1, 4] = np.nan
    with pytest.raises(DataError, match=r"ball\.npz, tracks: expected finite positions wherever visible"):
        PointsNpz(track_file(tracks=tracks), "train").load("train/ball")


def test_what_files_do_not_state_the_option_may(track_file: Callable[..., Path]) -> None:
    root = track_file(meta={})
    with pytest.raises(DataError, match=r"ball\.npz: expected meta\.order to be stated, got \[\]"):
        PointsNpz(root, "train").load("train/ball")
    stated = PointsNpz(root, "train", meta={"order": "xy", "coords": "pixels"}).load("train/ball")
    assert stated.targets["points"]["tracks"][0, 0].tolist() == [5, 20]
    with pytest.raises(DataError, match=r"meta\.order: expected 'yx' by the option, got 'xy'"):
        PointsNpz(track_file(), "train", meta={"order": "yx"}).load("train/ball")
    with pytest.raises(UsageError, match=r"meta: expected order, coords, .* got 'ordre'\. Did you mean 'order'"):
        PointsNpz(root, "train", meta={"ordre": "xy"})


def test_archives_and_memory_give_the_same(
    track_file: Callable[..., Path], elsewhere: Callable[[Path], dict[str, str]]
) -> None:
    root = track_file()
    check_elsewhere(lambda url: PointsNpz(url, "train").load("train/ball", [1, 5]), root, elsewhere(root).values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tracks": None}, "expected tracks"),
        ({"tracks": np.zeros((3, 9, 2))}, r"tracks: expected numbers \(n, 10, 2\), as the video has 10 frames"),
        ({"tracks": np.zeros((3, 10, 3))}, "tracks: expected numbers"),
        ({"tracks": np.zeros((3, 10, 2), bool)}, "tracks: expected numbers"),
        ({"visible": None}, "expected visible or occluded .* got neither"),
        ({"occluded": np.zeros((3, 10), bool)}, "got visible and occluded"),
        ({"visible": np.full((3, 10), 0.5)}, "visible: expected true or false"),
        ({"visible": np.full((3, 10), 2)}, "visible: expected true or false"),
        ({"visible": np.ones((3, 9), bool)}, "visible: expected true or false"),
        ({"query_points": np.zeros((2, 3))}, r"query_points: expected finite numbers \(3, 3\)"),
        ({"query_points": np.full((3, 3), np.nan)}, "query_points: expected finite numbers"),
        ({"query_points": np.full((3, 3), 10.0)}, "query_points: expected frames from 0 to 9"),
        ({"tracks": np.array([[object()]])}, "expected an npz file of plain arrays"),
        ({"meta": {"order": "ab", "coords": "pixels"}}, r"order: expected xy, yx, got 'ab'"),
        ({"meta": {"order": "xy", "coords": "pixel"}}, r"Did you mean 'pixels'"),
        ({"meta": {"order": "xy", "coords": "pixels", "fps": 3}}, "got 'fps'"),
        ({"meta": {"order": "xy", "coords": "pixels", "frame_size": [48]}}, "frame_size: expected"),
        (
            {"meta": {"order": "xy", "coords": "normalized", "pixel_origin": "center"}},
            "expected pixel_origin = 'corner'",
        ),
        (
            {"meta": {"order": "xy", "coords": "pixels", "schema": "other/1"}},
            "schema: expected probe4d/points/1, got 'other/1'",
        ),
        ({"meta": [1, 2]}, "expected one JSON object"),
    ],
)
def test_a_broken_track_file_says_what_is_wrong(changes: dict, message: str, track_file: Callable[..., Path]) -> None:
    dataset = PointsNpz(track_file(**changes), "train")
    with pytest.raises((DataError, UsageError), match=message) as caught:
        dataset.load("train/ball")
    assert "ball.npz" in str(caught.value)
    assert isinstance(caught.value, DataError)


def test_a_track_file_needs_one_video_and_has_to_be_whole(track_file: Callable[..., Path]) -> None:
    root = track_file()
    whole = (root / "train/ball.npz").read_bytes()
    (root / "train/lonely.npz").write_bytes(whole)
    (root / "train/twice.npz").write_bytes(whole)
    for suffix in (".mp4", ".MKV"):
        (root / f"train/twice{suffix}").write_bytes((root / "train/ball.mp4").read_bytes())
    dataset = PointsNpz(root, "train")
    for name, message in (("lonely", "got none"), ("twice", r"got \['train/twice\.MKV', 'train/twice\.mp4'\]")):
        with pytest.raises(DataError, match=rf"{name}\.npz: expected one video .* {message}"):
            dataset.load(f"train/{name}")
    for content in (b"", whole[:200], b"PK\x03\x04" + bytes(60), json.dumps({}).encode()):
        (root / "train/ball.npz").write_bytes(content)
        with pytest.raises(DataError, match=r"ball\.npz: expected an npz file"):
            dataset.load("train/ball")


def test_occluded_is_the_contrary_of_visible(track_file: Callable[..., Path]) -> None:
    visible = np.zeros((3, 10), np.uint8)
    visible[0, 3:] = 1
    one = PointsNpz(track_file(visible=visible), "train").load("train/ball")
    other = PointsNpz(track_file(visible=None, occluded=visible == 0), "train").load("train/ball")
    np.testing.assert_array_equal(one.targets["points"]["visible"], other.targets["points"]["visible"])
    assert one.targets["points"]["query_points"].tolist() == [[3, 20, 8]]

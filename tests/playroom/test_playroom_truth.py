"""The targets against each other and against geometry written here once more, with matrices."""

from __future__ import annotations

import numpy as np
import pytest

from probe4d_datasets.playroom import Playroom

CLIPS = range(12)  # one of each class
SIZE = (72, 96)
FRAMES = 5


@pytest.fixture(scope="module")
def dataset():
    return Playroom(split="val", size=SIZE, frames=FRAMES, points=96, length=12)


@pytest.fixture(scope="module")
def clips(dataset):
    return [(dataset.scene(i), dataset.load(i), dataset.object_ids(i)) for i in dataset.sample_ids()]


def camera_of(sample, t):
    pose, intrinsics = sample.targets["pose"]["extrinsics"][t], sample.targets["pose"]["intrinsics"][t]
    return pose[:, :3], pose[:, 3], intrinsics


def to_world(sample, t, x, y, z):
    """Return (n, 3) world points of image points (n,) at depth z."""
    rotation, translation, intrinsics = camera_of(sample, t)
    rays = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(intrinsics).T
    return (rays * z[:, None] - translation) @ rotation


def to_image(sample, t, points):
    """Return x, y, z of (n, 3) world points."""
    rotation, translation, intrinsics = camera_of(sample, t)
    local = points @ rotation.T + translation
    image = local @ intrinsics.T
    return image[:, 0] / image[:, 2], image[:, 1] / image[:, 2], local[:, 2]


def pose_of(scene, thing, t):
    rotation, center = scene.things[thing].path.pose(scene.time(t, FRAMES))
    return np.array(rotation), np.array(center)


def depth_at(sample, row, column):
    return sample.targets["depth"]["depth"][0, row, column].astype(np.float64)


def world_map(sample, t):
    h, w = SIZE
    x, y = np.meshgrid(np.arange(w) + 0.5, np.arange(h) + 0.5)
    return to_world(sample, t, x.ravel(), y.ravel(), sample.targets["depth"]["depth"][t].ravel().astype(np.float64))


def test_tracks_reproject_to_a_thousandth_of_a_pixel(clips):
    for scene, sample, ids in clips:
        x, y = sample.targets["points"]["tracks"][:, 0].T.astype(np.float64)
        row, column = y.astype(int), x.astype(int)
        np.testing.assert_array_equal(np.stack([x, y]), np.stack([column, row]) + 0.5)
        start = to_world(sample, 0, x, y, depth_at(sample, row, column))
        own = ids[0, row, column]
        for t in range(FRAMES):
            moved = start.copy()
            for i in range(len(scene.things)):
                (first, origin), (now, center) = pose_of(scene, i, 0), pose_of(scene, i, t)
                moved[own == i + 1] = (start[own == i + 1] - origin) @ first @ now.T + center
            u, v, _ = to_image(sample, t, moved)
            wanted = sample.targets["points"]["tracks"][:, t]
            assert np.abs(np.stack([u, v], 1) - wanted).max() < 1e-3


def test_points_are_seeded_where_they_are_visible_half_of_them_on_things(clips):
    for _, sample, ids in clips:
        points = sample.targets["points"]
        assert points["visible"][:, 0].all()
        np.testing.assert_array_equal(points["query_points"][:, 0], 0.0)
        np.testing.assert_array_equal(points["query_points"][:, 1:], points["tracks"][:, 0, ::-1])
        x, y = points["tracks"][:, 0].astype(int).T
        assert len(set(zip(x, y, strict=True))) == 96
        assert (ids[0, y, x] > 0).sum() == 48
        shown = set(np.unique(ids[0])) - {0}
        assert set(ids[0, y, x]) - {0} == shown


def test_a_point_is_visible_where_the_id_map_and_depth_show_its_surface(clips):
    decided = total = hidden = 0
    for _, sample, ids in clips:
        tracks, visible = sample.targets["points"]["tracks"], sample.targets["points"]["visible"]
        column, row = np.floor(tracks[:, 0]).astype(int).T
        own = ids[0, row, column]
        world = to_world(
            sample,
            0,
            *tracks[:, 0].T.astype(np.float64),
            sample.targets["depth"]["depth"][0, row, column].astype(float),
        )
        for n, t in np.ndindex(len(tracks), FRAMES):
            total += 1
            x, y = tracks[n, t]
            if not (0 <= x <= SIZE[1] and 0 <= y <= SIZE[0]):
                assert not visible[n, t]
                decided += 1
                hidden += 1
                continue
            c, r = min(int(x), SIZE[1] - 1), min(int(y), SIZE[0] - 1)
            around = (slice(max(r - 1, 0), r + 2), slice(max(c - 1, 0), c + 2))
            seen = set(ids[t][around].ravel().tolist())
            if own[n] not in seen:
                assert not visible[n, t]
                decided += 1
                hidden += 1
            elif seen == {0} and own[n] == 0:
                # The room hides nothing of itself, so here the depth must be the point's.
                assert visible[n, t]
                decided += 1
                depth = sample.targets["depth"]["depth"][t][around]
                if depth.shape == (3, 3):
                    z = to_image(sample, t, world[n : n + 1])[2][0]
                    assert depth.min() - 0.03 < z < depth.max() + 0.03  # in a corner, between pixels' centres
    assert decided > 0.45 * total  # the rest are points on things, of the next test, or at edges
    assert hidden > 100


def test_a_point_on_a_thing_is_hidden_exactly_where_something_is_nearer(clips):
    checked = {True: 0, False: 0}
    for scene, sample, ids in clips:
        tracks, visible = sample.targets["points"]["tracks"], sample.targets["points"]["visible"]
        column, row = np.floor(tracks[:, 0]).astype(int).T
        own = ids[0, row, column].astype(int)
        start = to_world(
            sample,
            0,
            *tracks[:, 0].T.astype(np.float64),
            sample.targets["depth"]["depth"][0, row, column].astype(float),
        )
        for n, t in np.ndindex(len(tracks), FRAMES):
            x, y = tracks[n, t]
            if own[n] == 0 or not (1 <= x < SIZE[1] - 1 and 1 <= y < SIZE[0] - 1):
                continue
            (first, origin), (now, center) = pose_of(scene, own[n] - 1, 0), pose_of(scene, own[n] - 1, t)
            z = to_image(sample, t, ((start[n] - origin) @ first @ now.T + center)[None])[2][0]
            depth = sample.targets["depth"]["depth"][t, int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2]
            if z > depth.max() + 0.02:
                assert not visible[n, t]
                checked[False] += 1
            elif depth.max() - depth.min() < 0.1 and z < depth.max() + 1e-3:
                assert visible[n, t]
                checked[True] += 1
    assert checked[True] > 500
    assert checked[False] > 30


def test_boxes_are_the_extent_of_visible_pixels(clips):
    h, w = SIZE
    for scene, sample, ids in clips:
        for i, t in np.ndindex(len(scene.things), FRAMES):
            rows, columns = np.nonzero(ids[t] == i + 1)
            assert sample.targets["boxes"]["present"][i, t] == bool(rows.size)
            box = sample.targets["boxes"]["boxes"][i, t]
            if rows.size:
                wanted = (rows.min() / h, columns.min() / w, (rows.max() + 1) / h, (columns.max() + 1) / w)
                np.testing.assert_allclose(box, wanted, rtol=1e-6)
            else:
                np.testing.assert_array_equal(box, 0.0)


def test_every_pixel_lies_on_the_surface_that_its_id_names(clips):
    for scene, sample, ids in clips:
        for t in (0, FRAMES - 1):
            points, of = world_map(sample, t), ids[t].ravel()
            room = points[of == 0]
            away = np.minimum(np.abs(room - scene.room.low), np.abs(room - scene.room.high)).min(1)
            assert away.max() < 1e-5
            for i, thing in enumerate(scene.things):
                rotation, center = pose_of(scene, i, t)
                local = (points[of == i + 1] - center) @ rotation / np.array(thing.half)
                size = np.abs(local).max(1) if thing.shape == "box" else np.sqrt((local**2).sum(1))
                assert np.abs(size - 1.0).max(initial=0.0) < 1e-4


def test_nothing_that_a_pixel_shows_is_behind_another_thing(clips):
    for scene, sample, ids in clips:
        points, of = world_map(sample, 2), ids[2].ravel()
        eye = np.array(scene.camera.pose(scene.time(2, FRAMES))[1])
        for i, thing in enumerate(scene.things):
            rotation, center = pose_of(scene, i, 2)
            for part in np.linspace(0.02, 0.995, 30):
                local = (eye + (points - eye) * part - center) @ rotation / np.array(thing.half)
                size = np.abs(local).max(1) if thing.shape == "box" else np.sqrt((local**2).sum(1))
                assert (size[of != i + 1] > 0.999).all()


def test_depth_and_poses_rerender_one_frame_from_another(clips):
    """The room's pixels, carried from the first frame into the last, meet its depth and its colours there."""
    compared, unmoved, warped = 0, [], []
    for _, sample, ids in clips:
        last = FRAMES - 1
        x, y, z = to_image(sample, last, world_map(sample, 0))
        inside = (ids[0].ravel() == 0) & (x > 1) & (y > 1) & (x < SIZE[1] - 1) & (y < SIZE[0] - 1) & (z > 0)
        x, y, z = x[inside] - 0.5, y[inside] - 0.5, z[inside]
        left, top = np.floor(x).astype(int), np.floor(y).astype(int)
        fx, fy = x - left, y - top
        corners = [(top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)]
        weights = [(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx]
        # On a plane 1/z is linear in the image, so interpolating it is exact.
        inverse = [1.0 / sample.targets["depth"]["depth"][last][corner].astype(np.float64) for corner in corners]
        flat = np.abs(inverse[0] + inverse[3] - inverse[1] - inverse[2]) < 1e-6
        flat &= np.all([ids[last][corner] == 0 for corner in corners], axis=0)
        found = 1.0 / sum(weight * value for weight, value in zip(weights, inverse, strict=True))
        assert np.abs(found - z)[flat].max() < 2e-4
        compared += int(flat.sum())
        start = sample.video[0].reshape(-1, 3)[inside][flat].astype(float)
        there = sum(w[:, None] * sample.video[last][c] for w, c in zip(weights, corners, strict=True))[flat]
        warped.append(np.median(np.abs(there - start)))
        unmoved.append(np.median(np.abs(sample.video[last].reshape(-1, 3)[inside][flat] - start)))
    assert compared > 10_000
    assert np.mean(warped) < 5.0
    assert np.mean(warped) < 0.5 * np.mean(unmoved)


def test_poses_are_rotations_and_intrinsics_have_the_centre_of_the_image(clips):
    for _, sample, _ in clips:
        for t in range(FRAMES):
            rotation, _, intrinsics = camera_of(sample, t)
            np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-14)
            assert np.linalg.det(rotation) == pytest.approx(1.0)
            np.testing.assert_array_equal(intrinsics[:2, 2], (SIZE[1] / 2, SIZE[0] / 2))
            assert intrinsics[0, 0] == intrinsics[1, 1]
            # The world's z is up and the image's y is down.
            assert rotation[1, 2] < -0.5


def test_depth_is_metric_and_within_ten_metres(clips):
    for _, sample, _ in clips:
        depth, valid = sample.targets["depth"]["depth"], sample.targets["depth"]["valid"]
        assert valid.all()
        assert 0.3 < depth.min() < 4.0
        assert 3.0 < depth.max() < 10.0

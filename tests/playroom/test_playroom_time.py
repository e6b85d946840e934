"""The direction of time: exact reversal, and what of it a frame or a bag of frames can know."""

from __future__ import annotations

import numpy as np
import pytest

from probe4d_datasets.playroom import CLASSES, PAIRS, Playroom
from probe4d_datasets.playroom.leakage import CEILING, ceiling_over_classes, first_frame_ceiling, rival
from probe4d_datasets.playroom.render import render
from probe4d_datasets.playroom.sampling import draw_playback, draw_scene
from probe4d_datasets.playroom.scene import MOTIONS, class_of, project

SIZE = (20, 28)


@pytest.mark.parametrize("motion", MOTIONS)
def test_a_clip_backwards_is_the_clip_of_the_partner_class(motion):
    for seed in (3, 4):
        forwards, backwards = draw_scene(seed, motion, False), draw_scene(seed, motion, True)
        one, other = render(forwards, SIZE, 5), render(backwards, SIZE, 5)
        np.testing.assert_array_equal(one.video, other.video[::-1])
        np.testing.assert_array_equal(one.depth, other.depth[::-1])
        np.testing.assert_array_equal(one.ids, other.ids[::-1])
        if motion not in ("swap", "static"):
            assert {forwards.label // 2} == {backwards.label // 2}
            assert backwards.label == forwards.label + 1
            assert not np.array_equal(one.video, other.video)
        else:
            assert forwards.label == backwards.label


def test_classes_do_what_their_names_say():
    for seed in range(20):
        for name, motion, measure in (
            ("push left", "push", lambda scene, s: place(scene, s)[0]),
            ("approach", "approach", lambda scene, s: place(scene, s)[1]),
            ("drop", "lift", lambda scene, s: place(scene, s)[2]),
            ("collide", "collide", gap),
        ):
            label = CLASSES.index(name)
            scene = draw_scene(seed, motion, bool(label % 2))
            assert scene.label == label
            first, last = (measure(scene, scene.time(i, 16)) for i in (0, 15))
            assert last < first - 0.3, name


def test_spins_turn_the_way_their_name_says_seen_from_above():
    for seed in range(20):
        scene = draw_scene(seed, "spin", CLASSES.index("spin clockwise") % 2 == 1)
        assert CLASSES[scene.label] == "spin clockwise"
        path = scene.things[scene.movers[0]].path
        now, soon = (np.array(path.pose(s)[0]) for s in (0.0, 0.1))
        turn = soon @ now.T
        assert turn[1, 0] < -0.01  # the sine of the angle about z: from above, clockwise is negative
        np.testing.assert_allclose(turn[2], (0, 0, 1), atol=1e-12)


def place(scene, s):
    return scene.stage.locate(scene.things[scene.movers[0]].path.pose(s)[1])


def gap(scene, s):
    one, other = (np.array(scene.things[i].path.pose(s)[1]) for i in scene.movers)
    return float(np.sqrt(((one - other) ** 2).sum()))


def test_left_is_left_in_the_picture():
    moved = []
    for seed in range(60):
        scene = draw_scene(seed, "push", False)
        path = scene.things[scene.movers[0]].path
        first, last = (project(scene.camera, path.pose(s)[1], 0.5)[0] for s in (0.0, 1.0))
        moved.append(last - first)
    assert max(moved) < 0


def test_each_dozen_of_clips_has_every_class_once():
    dataset = Playroom(split="train", length=48, cache=False, seed=3)
    labels = [dataset.scene(i).label for i in dataset.sample_ids()]
    for start in range(0, 48, 12):
        assert sorted(labels[start : start + 12]) == list(range(12))
    assert labels[:12] != labels[12:24]


def test_swap_and_static_play_both_ways():
    coins = [draw_playback(seed, n)[1] for seed in range(40) for n in range(12) if draw_playback(seed, n)[0] == "swap"]
    assert 8 < sum(coins) < 32


def test_class_of_pairs_partners():
    labels = {class_of(motion, reverse) for motion in MOTIONS for reverse in (False, True)}
    assert labels == set(range(12))
    assert [class_of(motion, True) - class_of(motion, False) for motion in MOTIONS] == [1] * PAIRS + [0, 0]


@pytest.mark.parametrize("motion", MOTIONS)
def test_the_camera_moves_alike_in_both_directions(motion):
    """Its law is the same backwards: no mean way from first to last, in any axis, in roll or in aim."""
    ways = []
    for seed in range(150):
        scene = draw_scene(seed, motion, False)
        (first, eye), (last, end) = scene.camera.pose(0.0), scene.camera.pose(1.0)
        start, stop = scene.stage.locate(eye), scene.stage.locate(end)
        aim = [scene.stage.locate(target) for target in scene.camera.targets]
        ways.append([*np.subtract(stop, start), last[0][2] - first[0][2], *np.subtract(aim[1], aim[0])])
    mean, error = np.mean(ways, 0), np.std(ways, 0) / np.sqrt(len(ways))
    assert (np.abs(mean) < 4.5 * error).all()
    assert (np.std(ways, 0) > 0.05).all()


@pytest.mark.parametrize("motion", MOTIONS[:PAIRS])
def test_the_rival_of_a_scene_begins_the_same_and_goes_the_other_way(motion):
    for seed in range(5):
        scene = draw_scene(seed, motion, False)
        other = rival(scene)
        assert {scene.label, other.label} == {scene.label, scene.label + 1}
        one, same = render(scene, SIZE, 4, only=[0]), render(other, SIZE, 4, only=[0])
        np.testing.assert_allclose(one.depth, same.depth, rtol=1e-5)
        np.testing.assert_array_equal(one.ids, same.ids)
        assert np.abs(one.video.astype(int) - same.video).mean() < 0.5  # but for rounding at edges of patterns
        last = render(scene, SIZE, 4, only=[3]), render(other, SIZE, 4, only=[3])
        assert not np.array_equal(last[0].video, last[1].video)


def test_the_stated_ceiling_of_a_single_frame_holds():
    seeds = range(10_000, 10_150)
    pairs = [first_frame_ceiling(motion, seeds) for motion in MOTIONS[:PAIRS]]
    assert pairs[MOTIONS.index("spin")] == 0.5
    assert np.mean(pairs) == pytest.approx(CEILING.within_pairs, abs=0.03)
    assert ceiling_over_classes(range(60)) == pytest.approx(CEILING.over_classes, abs=0.05)


def features(scene, s):
    """What one frame shows of its mover and the camera: the strongest honest cues of direction."""
    numbers = []
    for mover in (scene.movers * 2)[:2]:
        x, y, z = project(scene.camera, scene.things[mover].path.pose(s)[1], s)
        numbers += [x, y, z, x * z, y * z]
    axes, eye = scene.camera.pose(s)
    return np.array([*numbers, eye[2], axes[2][2], axes[0][2], scene.camera.tan_half, 1.0])


def probe(train, test):
    """Return the accuracy of ridge regression on standardised features and their squares."""

    def spread(x):
        x = (x - mean) / scale
        return np.concatenate([x, x * x, np.ones((len(x), 1))], 1)

    (x, y), (u, v) = train, test
    mean, scale = x.mean(0), x.std(0) + 1e-9
    weights = np.linalg.solve(spread(x).T @ spread(x) + np.eye(2 * x.shape[1] + 1), spread(x).T @ (2.0 * y - 1))
    return float(((spread(u) @ weights > 0) == v).mean())


def test_a_probe_of_order_knows_the_direction_but_frames_and_bags_do_not():
    scores = {"first frame": [], "bag": [], "order": []}
    for motion in ("push", "approach", "lift", "collide"):
        scenes = [draw_scene(seed, motion, bool(seed % 2)) for seed in range(400)]
        bits = np.arange(400) % 2 == 1
        first, last = (np.array([features(s, s.time(t, 16)) for s in scenes]) for t in (0, 15))
        for name, x in (("first frame", first), ("bag", first + last), ("order", last - first)):
            scores[name].append(probe((x[:240], bits[:240]), (x[240:], bits[240:])))
    assert np.mean(scores["order"]) > 0.85
    assert 0.44 < np.mean(scores["bag"]) < 0.56  # 640 coins: three standard errors
    assert 0.5 < np.mean(scores["first frame"]) < 0.76  # the ceiling of these four pairs is 0.70

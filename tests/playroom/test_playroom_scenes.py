"""Scenes: nothing interpenetrates, the mover stays in view, splits share nothing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from probe4d_datasets.playroom import Playroom
from probe4d_datasets.playroom.dataset import CLIPS, SEEDS, SPLITS
from probe4d_datasets.playroom.sampling import draw_scene
from probe4d_datasets.playroom.scene import MOTIONS, project

TIMES = np.linspace(0, 1, 25).tolist()


@pytest.fixture(scope="module", params=MOTIONS)
def scenes(request):
    return [draw_scene(seed, request.param, False) for seed in range(100, 125)]


def test_things_never_interpenetrate_nor_leave_the_room(scenes):
    for scene in scenes:
        radii = np.array([thing.radius for thing in scene.things])
        for s in TIMES:
            centers = np.array([thing.path.pose(s)[1] for thing in scene.things])
            apart = np.sqrt(((centers[:, None] - centers[None]) ** 2).sum(-1)) - radii[:, None] - radii[None]
            assert apart[~np.eye(len(radii), dtype=bool)].min() > 0.01
            assert (centers - radii[:, None] >= scene.room.low).all()
            assert (centers + radii[:, None] <= scene.room.high).all()


def test_camera_and_lamp_are_in_the_room_and_in_no_thing(scenes):
    for scene in scenes:
        for s in TIMES:
            eye = np.array(scene.camera.pose(s)[1])
            assert (eye > scene.room.low).all()
            assert (eye < scene.room.high).all()
            for thing in scene.things:
                center = np.array(thing.path.pose(s)[1])
                assert np.sqrt(((center - eye) ** 2).sum()) > thing.radius + 0.1
                assert np.sqrt(((center - scene.light.position) ** 2).sum()) > thing.radius


def test_movers_stay_in_view(scenes):
    for scene in scenes:
        for s in TIMES:
            for mover in scene.movers:
                x, y, z = project(scene.camera, scene.things[mover].path.pose(s)[1], s)
                assert z > 0.4
                assert max(abs(x), abs(y)) < scene.camera.tan_half


def test_only_movers_move(scenes):
    for scene in scenes:
        for i, thing in enumerate(scene.things):
            moved = thing.path.pose(0.0) != thing.path.pose(1.0)
            assert moved == (i in scene.movers and scene.motion != "static")


def test_which_thing_moves_is_no_fixed_row():
    first = [draw_scene(seed, "push", False).movers[0] for seed in range(60)]
    assert set(first) == {0, 1, 2, 3}


def test_rooms_cameras_and_looks_vary():
    scenes = [draw_scene(seed, "static", False) for seed in range(60)]
    for numbers in (
        [s.room.high[0] - s.room.low[0] for s in scenes],
        [s.room.high[2] for s in scenes],
        [s.camera.eyes[0][2] for s in scenes],
        [s.camera.tan_half for s in scenes],
        [s.camera.rolls[0] for s in scenes],
        [s.light.position[0] for s in scenes],
    ):
        assert np.std(numbers) > 0.04
    assert {s.room.floor.pattern for s in scenes} == {"checker", "stripes", "dots"}
    assert {thing.shape for s in scenes for thing in s.things} == {"box", "ellipsoid"}
    assert {len(s.things) for s in scenes} == {3, 4}


def test_movers_are_seen_in_most_frames():
    dataset = Playroom(split="train", size=32, frames=8, length=24, cache=False)
    for clip in dataset.sample_ids():
        scene, ids = dataset.scene(clip), dataset.object_ids(clip)
        for mover in scene.movers:
            assert (ids == mover + 1).any((1, 2)).sum() >= 4


def test_splits_are_disjoint_ranges_of_seeds():
    ranges = []
    for split in SPLITS:
        first = Playroom(split=split, length=1, cache=False)
        last = Playroom(split=split, length=CLIPS, seed=SEEDS - 1, cache=False)
        ranges.append((first.clip_seed(0), last.clip_seed(CLIPS - 1)))
    assert all(low <= high for low, high in ranges)
    assert all(high < low for (_, high), (low, _) in itertools.pairwise(ranges))


def test_another_seed_is_other_clips_and_a_longer_dataset_begins_with_the_shorter():
    def seeds(**options):
        dataset = Playroom(split="val", cache=False, **options)
        return [dataset.scene(clip).seed for clip in dataset.sample_ids()]

    assert seeds(length=30)[:12] == seeds(length=12)
    assert not set(seeds(length=30)) & set(seeds(length=30, seed=1))

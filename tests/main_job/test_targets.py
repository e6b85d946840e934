"""Targets as readouts take them: fixed shapes, padding masked, nothing lost in evaluation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe4d.contracts import Sample
from probe4d.errors import DataError, UsageError
from probe4d.specs import ClipSampling
from probe4d_datasets.playroom import Playroom
from probe4d_runners.targets import relative_pose, stack_targets, target_shapes

SETTINGS = {"points": {"tracks": 70}, "boxes": {"boxes": 9}, "depth": {}, "pose": {}, "labels": {}}


@pytest.fixture(scope="module")
def clips():
    dataset = Playroom(split="val", length=12, size=32, cache=False)
    return [dataset.load(name) for name in dataset.sample_ids()[:3]]


@pytest.mark.parametrize("kind", SETTINGS)
def test_shapes_are_known_before_a_clip_is_read(kind, clips):
    stacked = stack_targets(kind, clips, SETTINGS[kind])
    shapes = target_shapes(kind, ClipSampling(size=(32, 32)), SETTINGS[kind])
    assert {name: (value.shape[1:], value.dtype.name) for name, value in stacked.items()} == shapes


def test_queries_are_the_tracks_on_the_first_frame(clips):
    stacked = stack_targets("points", clips, SETTINGS["points"])
    real = stacked["mask"]
    np.testing.assert_array_equal(stacked["query_points"][real][:, 1:], stacked["tracks"][real][:, 0, ::-1])
    assert (stacked["query_points"][..., 0] == 0).all()
    assert stacked["visible"][real][:, 0].all()
    assert not stacked["visible"][~real].any()


def test_in_training_tracks_are_drawn_the_same_each_time_and_not_the_first_ones(clips):
    few = stack_targets("points", clips, {"tracks": 5})
    np.testing.assert_array_equal(few["tracks"], stack_targets("points", clips, {"tracks": 5})["tracks"])
    first = stack_targets("points", clips, {"tracks": 70})["tracks"][:, :5]
    assert not np.array_equal(few["tracks"], first)


def test_in_evaluation_no_track_is_dropped(clips):
    with pytest.raises(DataError, match="eval_tracks"):
        stack_targets("points", clips, {"tracks": 5, "all": True})
    whole = stack_targets("points", clips, {"tracks": 64, "all": True})
    seen = sum(clip.targets["points"]["visible"][:, 0].sum() for clip in clips)
    assert whole["mask"].sum() == seen


def test_the_largest_boxes_are_kept(clips):
    few = stack_targets("boxes", clips, {"boxes": 1})
    for i, clip in enumerate(clips):
        first, present = clip.targets["boxes"]["boxes"][:, 0], clip.targets["boxes"]["present"][:, 0]
        area = (first[:, 2] - first[:, 0]) * (first[:, 3] - first[:, 1]) * present
        if area.max() > 0:
            np.testing.assert_allclose(few["boxes"][i, 0, 0], first[area.argmax()], rtol=1e-6)
    none = stack_targets("boxes", clips, {"boxes": 3, "min_area": 1.0})
    assert not none["mask"].any()


@given(st.integers(0, 2**32))
def test_the_relative_pose_maps_points_of_the_first_camera_to_the_last(seed):
    random = np.random.default_rng(seed)
    rotations = np.linalg.qr(random.normal(size=(2, 3, 3)))[0]
    cameras = np.concatenate([rotations, random.normal(size=(2, 3, 1))], axis=2)
    world = random.normal(size=3)
    first, last = (camera[:, :3] @ world + camera[:, 3] for camera in cameras)
    pose = relative_pose(cameras)
    np.testing.assert_allclose(pose[:, :3] @ first + pose[:, 3], last, atol=1e-9)


def test_a_sample_without_the_kind_is_named(clips):
    bare = Sample(id="bare", video=clips[0].video, targets={})
    with pytest.raises(DataError, match="bare: expected targets of kind 'depth'"):
        stack_targets("depth", [bare], {})
    with pytest.raises(UsageError, match="there is none of that name"):
        stack_targets("sound", clips, {})
    with pytest.raises(UsageError, match="Did you mean 'tracks'"):
        stack_targets("points", clips, {"track": 5})

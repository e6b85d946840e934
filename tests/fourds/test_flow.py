"""The yardstick for motion: its flow follows what moves, whatever the machine's threads."""

import numpy as np
import pytest

from probe4d import load_backbone
from probe4d.errors import UsageError
from probe4d_datasets.playroom import Playroom

cv2 = pytest.importorskip("cv2", reason="pip install opencv-python-headless for optical flow")


@pytest.fixture(scope="module")
def clips():
    opened = Playroom(split="val", size=64, length=4, cache=False)
    return [opened.load(sample) for sample in opened.sample_ids()]


@pytest.fixture(scope="module")
def clip(clips):
    return clips[0]


def as_float(sample):
    return np.asarray(sample.video, np.float32) / 255


def test_points_are_followed_more_than_twice_closer_than_by_standing_still(clips):
    from probe4d_fourds.flow import dense_flow, followed

    moved, error = [], []
    for clip in clips:
        tracks, visible = (np.asarray(clip.targets["points"][name]) for name in ("tracks", "visible"))
        x, y = np.floor(tracks[:, 0]).astype(int).T
        found = tracks[:, :1] + followed(dense_flow(as_float(clip)))[:, y, x].swapaxes(0, 1)
        moved.append(np.linalg.norm(tracks - tracks[:, :1], axis=-1)[visible])
        error.append(np.linalg.norm(tracks - found, axis=-1)[visible])
    assert np.median(np.concatenate(error)) < np.median(np.concatenate(moved)) / 2


def test_a_picture_that_shifts_has_that_flow_and_that_way():
    from probe4d_fourds.flow import WAY_SCALE, Flow

    random = np.random.default_rng(0)
    picture = cv2.GaussianBlur(random.random((96, 96, 3)).astype(np.float32), (0, 0), 2.0)
    picture = (picture - picture.min()) / np.ptp(picture)
    video = np.stack([picture[16:80, 16 - t : 80 - t] for t in range(5)])  # to the right, a pixel a frame
    (features,) = Flow(patch=8, cells=1).encode(video[None], (1,))
    assert features.shape == (1, 5, 64, 7 + 16)
    way = features[0, -1, :, -2:].reshape(8, 8, 2)[2:-2, 2:-2] / WAY_SCALE * 64
    np.testing.assert_allclose(way, np.broadcast_to([4.0, 0.0], way.shape), atol=0.3)
    assert not features[0, 0, :, -4:].any()


def test_the_first_frame_alone_carries_no_motion_and_time_reversed_motion_is_another(clip):
    flow = load_backbone("flow")
    video = as_float(clip)[None]
    forward, backward = (flow.encode(each, (1.0,))[0] for each in (video, video[:, ::-1]))
    assert not forward[:, 0, :, -16:].any()
    assert np.abs(forward[:, ::-1] - backward).max() > 0.1
    np.testing.assert_array_equal(forward[:, ::-1, :, :28], backward[..., :28])  # colours and places are the same


def test_flow_is_the_same_with_any_number_of_threads(clip):
    flow, video = load_backbone("flow"), as_float(clip)[None]
    before = cv2.getNumThreads()
    try:
        found = []
        for threads in (1, 4):
            cv2.setNumThreads(threads)
            found.append(flow.encode(video, (1.0,))[0])
            assert cv2.getNumThreads() == threads
    finally:
        cv2.setNumThreads(before)
    np.testing.assert_array_equal(*found)


def test_flow_takes_no_weights_and_only_frames_that_its_patches_tile():
    from probe4d_fourds.flow import Flow

    with pytest.raises(UsageError, match="expected no weights"):
        Flow(weights="some.npz")
    with pytest.raises(UsageError, match="multiples of 8"):
        load_backbone("flow").encode(np.zeros((1, 2, 60, 64, 3), np.float32), (1.0,))


@pytest.mark.parametrize(("name", "options"), [("flow", {}), ("flow", {"size": 32, "cells": 1}), ("pixels", {}),
                                               ("pixels", {"size": 64, "patch": 8})])  # fmt: skip
def test_the_spec_says_what_the_options_make_of_it(name, options):
    from probe4d.registry import registry
    from probe4d_fourds.floors import configure

    spec, kept = configure(registry().find("backbones", name).spec, options)
    assert kept == options
    video = np.zeros((1, spec.input.frames, spec.input.height, spec.input.width, 3), np.float32)
    (features,) = load_backbone(name, **options).encode(video, (1.0,))
    assert features.shape[1:] == (spec.tokens.time, spec.tokens.space, spec.tokens.channels)


@pytest.mark.parametrize("options", [{"patch": 12}, {"patches": 8}, {"cells": 0}, {"size": True}])
def test_options_that_fit_nothing_are_refused(options):
    from probe4d_fourds.floors import configure, pixels

    with pytest.raises(UsageError, match=r"pixels: expected"):
        configure(pixels(), options)

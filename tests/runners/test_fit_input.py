"""A clip reaches a backbone at the size, and by the rule, that its spec states."""

from __future__ import annotations

import numpy as np
import pytest

from probe4d.errors import UsageError
from probe4d.specs import VideoInput

image = pytest.importorskip("PIL.Image", reason="needs pillow: pixels are resized by it")

from probe4d_runners.encoding import fit_input  # noqa: E402

RULES = {"bilinear": image.Resampling.BILINEAR, "bicubic": image.Resampling.BICUBIC, "area": image.Resampling.BOX}


@pytest.fixture
def clip():
    return np.random.default_rng(0).integers(0, 256, (2, 24, 36, 3), dtype=np.uint8)


@pytest.mark.parametrize("rule", RULES)
def test_pixels_are_resized_by_the_rule_of_the_spec(clip, rule):
    fitted = fit_input(clip, VideoInput(frames=2, height=8, width=10, resize=rule))
    for frame, before in zip(fitted, clip, strict=True):
        np.testing.assert_array_equal(frame, image.fromarray(before).resize((10, 8), RULES[rule]))


def test_the_rules_are_different_ones(clip):
    made = [fit_input(clip, VideoInput(frames=2, height=8, width=10, resize=rule)) for rule in RULES]
    assert len({one.tobytes() for one in made}) == 3


def test_a_clip_of_the_right_size_is_left_as_it_is_and_one_of_other_frames_refused(clip):
    assert fit_input(clip, VideoInput(frames=2, height=24, width=36)) is clip
    with pytest.raises(UsageError, match="expected 3 frames"):
        fit_input(clip, VideoInput(frames=3, height=24, width=36))

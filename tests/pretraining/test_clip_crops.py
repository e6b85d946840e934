"""The paper's augmentation: resized to 1.15 of the clip, cropped, mirrored, and nothing else."""

import numpy as np
import pytest
from PIL import Image

from probe4d_datasets.pretraining import ClipData
from probe4d_datasets.pretraining.crop import Place, choose_place, cut
from probe4d_datasets.pretraining.draws import draws

VIDEO = np.random.default_rng(0).integers(0, 256, (3, 40, 60, 3), np.uint8)


def data(**changes):
    return ClipData(**{"source": "x", "batch_size": 1, **changes})


def cropped(video, place, size):
    out = np.empty((len(video), *size, 3), np.uint8)
    cut(video, place, out)
    return out


@pytest.mark.parametrize(
    ("frame", "size", "scaled"),
    [
        ((480, 640), 224, (258, 343)),  # 257.6 = 1.15 x 224 on the short side
        ((640, 480), 224, (343, 258)),
        ((720, 1280), 256, (294, 523)),
        ((74, 74), 64, (74, 74)),  # what playroom is rendered at
        ((100, 100), (64, 128), (147, 147)),  # a wide clip: the longer edge decides
    ],
)
def test_the_short_side_becomes_the_margin_times_the_clip(frame, size, scaled):
    assert choose_place(frame, data(size=size), draws(0, 0, 0)).scaled == scaled


def test_every_place_inside_and_only_those_are_drawn():
    places = [choose_place((20, 24), data(size=16), draws(0, 0, index)) for index in range(2000)]
    assert {place.scaled for place in places} == {(18, 22)}
    assert {(place.top, place.left) for place in places} == {(top, left) for top in range(3) for left in range(7)}
    assert {place.flip for place in places} == {True, False}
    assert not any(choose_place((20, 24), data(size=16, flip=False), draws(0, 0, i)).flip for i in range(50))


@pytest.mark.parametrize(
    "place", [Place((32, 48), 3, 7, False), Place((51, 77), 20, 0, True), Place((18, 27), 2, 11, True)]
)
def test_a_resized_crop_is_the_crop_of_the_resized_frame(place):
    height, width = place.scaled
    whole = np.stack([np.asarray(Image.fromarray(f).resize((width, height), Image.Resampling.BILINEAR)) for f in VIDEO])
    expected = whole[:, place.top : place.top + 16, place.left : place.left + 16]
    found = cropped(VIDEO, place, (16, 16))
    expected = expected[:, :, ::-1] if place.flip else expected
    # Pillow rounds to bytes between the two directions, and its weights to 22 bits, of other offsets here.
    assert abs(found.astype(int) - expected).max() <= 1
    assert (found == expected).mean() > 0.98


@pytest.mark.parametrize("flip", [True, False])
def test_what_has_the_size_already_is_copied_bit_for_bit(flip):
    found = cropped(VIDEO, Place((40, 60), 5, 9, flip), (20, 30))
    expected = VIDEO[:, 5:25, 9:39]
    np.testing.assert_array_equal(found, expected[:, :, ::-1] if flip else expected)

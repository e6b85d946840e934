"""What a readout answers is what its metric takes; what it reads of a batch is what it may."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from probe4d_readouts.depth import _join_patches, _patch_centres


def test_points_decode_to_the_256_raster_and_are_visible_when_both_logits_say_so(make):
    readout, _, batch = make("points")
    position = np.full((4, 3, 4, 2), 0.5, np.float32)
    position[..., 1] = 0.25
    visible, certainty = np.full((4, 3, 4), 5.0), np.full((4, 3, 4), 5.0)
    visible[0], certainty[1] = -1, -1
    visible[2] = certainty[2] = 0.87  # sigma(0.87)^2 = 0.496: each is likely, both are not
    decoded = readout.decode({"position": position, "visible": visible, "certainty": certainty}, batch)
    np.testing.assert_array_equal(decoded["tracks"][0, 0, 0], [128, 64])
    np.testing.assert_array_equal(decoded["visible"][:, 0, 0], [False, False, False, True])


def test_boxes_decode_to_a_box_in_every_frame_of_a_real_track(make):
    readout, _, batch = make("boxes")
    outputs = np.random.default_rng(0).random((4, 3, 4, 4))
    decoded = readout.decode(outputs, batch)
    np.testing.assert_array_equal(decoded["boxes"], outputs)
    np.testing.assert_array_equal(decoded["present"], np.repeat(batch["mask"][..., None], 4, axis=2))


def test_labels_and_depth_decode_to_their_outputs(make):
    for kind, field in (("labels", "logits"), ("depth", "depth")):
        readout, _, batch = make(kind)
        outputs = np.ones((4, 5))
        assert set(readout.decode(outputs, batch)) == {field}
        np.testing.assert_array_equal(readout.decode(outputs, batch)[field], outputs)


def test_patches_are_joined_time_row_column(make):
    video = np.arange(4 * 6 * 8).reshape(4, 6, 8)
    patches = [video[t : t + 2, y : y + 3, x : x + 4].ravel() for t in (0, 2) for y in (0, 3) for x in (0, 4)]
    np.testing.assert_array_equal(_join_patches(np.stack(patches)[None], (2, 2, 2), (2, 3, 4))[0], video)
    np.testing.assert_allclose(_patch_centres((2, 2, 2))[1], [0.25, 0.25, 0.75])


@pytest.mark.parametrize(("kind", "read"), [("points", ("query_points", "frame_size", "mask")), ("depth", ("depth",))])
def test_only_queries_are_read_of_the_targets(make, kind, read):
    readout, features, batch = make(kind)
    blind = {name: batch[name] for name in read}
    params = jax.eval_shape(readout.init, jax.random.key(0), features, batch)
    assert jax.tree.leaves(jax.eval_shape(readout.apply, params, features, blind))


def test_of_boxes_only_the_first_frame_is_read(make, start, compiled):
    readout, features, batch = make("boxes")
    apply = compiled(readout.apply)
    later = np.arange(4)[:, None] > 0
    blind = {**batch, "boxes": np.where(later, np.nan, batch["boxes"]), "present": batch["present"] & ~later[:, 0]}
    np.testing.assert_array_equal(apply(start("boxes"), features, blind), apply(start("boxes"), features, batch))


def test_a_track_does_not_see_the_other_tracks(make, start, compiled):
    readout, features, batch = make("points")
    apply = compiled(readout.apply)
    alone = {**batch, "mask": batch["mask"] & (np.arange(3) == 0)}
    together, by_itself = (apply(start("points"), features, each)["position"][2, 0] for each in (batch, alone))
    np.testing.assert_allclose(by_itself, together, atol=1e-6)


def test_query_order_and_time_are_part_of_the_query(make):
    at = {
        "query_points": np.array([[[2.0, 12.0, 48.0]]]),
        "frame_size": np.array([[48, 64]]),
        "mask": np.ones((1, 1), bool),
    }
    expected = {("xy", False): [0.75, 0.25], ("yx", False): [0.25, 0.75], ("xy", True): [0.5, 0.75, 0.25]}
    for (order, time), coordinates in expected.items():
        readout = make("points", query_order=order, query_time=time)[0]
        np.testing.assert_allclose(readout._coordinates(at)[0, 0], coordinates)


def test_the_order_of_box_coordinates_is_inside_the_readout_only(make, start, compiled):
    first, features, batch = make("boxes")
    other = make("boxes", order="xyxy")[0]
    params = start("boxes")
    swapped = {**batch, "boxes": batch["boxes"][..., [1, 0, 3, 2]]}
    np.testing.assert_allclose(
        compiled(other.apply)(params, features, batch),
        np.asarray(compiled(first.apply)(params, features, swapped))[..., [1, 0, 3, 2]],
        atol=1e-6,
    )

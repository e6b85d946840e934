"""The table of parameters: shapes, starts, axes; strict options; errors at the door."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from probe4d.errors import UsageError
from probe4d_readouts.boxes import BoxesReadout
from probe4d_readouts.configs import BoxesConfig, DepthConfig, LabelsConfig, PointsConfig, PoseConfig
from probe4d_readouts.depth import DepthReadout
from probe4d_readouts.labels import LabelsReadout
from probe4d_readouts.points import PointsReadout
from probe4d_readouts.pose import PoseReadout

FEATURES = jax.ShapeDtypeStruct((1, 8, 196, 1024), np.float32)
POINTS = {"query_points": jax.ShapeDtypeStruct((1, 64, 3), np.float32)}
DEPTH = {"depth": jax.ShapeDtypeStruct((1, 16, 224, 224), np.float32)}


def trunk_size(width, channels, frames, outputs):
    norms = 2 * channels + 2 * width
    projections = 2 * channels * width + width  # keys have no bias
    tail = width * width + width + 8 * width * width + 5 * width + width * outputs + outputs
    return norms + frames * channels + projections + tail


def fourier_size(coordinates, width):
    return 32 * coordinates * 512 + 512 + 512 * 512 + 512 + 512 * width + width


@pytest.mark.parametrize(
    ("readout", "batch", "count"),
    [
        (LabelsReadout(), {}, trunk_size(768, 1024, 16, 174) + 768),
        (PoseReadout(), {}, trunk_size(768, 1024, 2, 12) + 768),
        (PointsReadout(), POINTS, trunk_size(1024, 1024, 16, 8) + fourier_size(2, 1024) + 8 * 512),
        (DepthReadout(), DEPTH, trunk_size(1024, 1024, 16, 128) + 6272 * 1024),
        (BoxesReadout(), {}, trunk_size(1024, 1024, 16, 64) + fourier_size(4, 1024)),
    ],
    ids=["labels", "pose", "points", "depth", "boxes"],
)
def test_at_paper_size_the_parameters_are_counted_exactly(readout, batch, count):
    shapes = jax.eval_shape(readout.init, jax.random.key(0), FEATURES, batch)
    assert sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(shapes)) == count


def test_the_papers_sizes_are_the_defaults():
    sizes = {
        config: (config().width, config().heads)
        for config in (LabelsConfig, PoseConfig, PointsConfig, DepthConfig, BoxesConfig)
    }
    assert list(sizes.values()) == [(768, 12), (768, 8), (1024, 8), (1024, 16), (1024, 4)]


def test_parameters_start_as_the_table_says(start, kind):
    params = start(kind, width=64)
    assert (params["norm"]["scale"] == 1).all()
    assert all((layer["bias"] == 0).all() for layer in params.values() if "bias" in layer)
    kernel = params["mlp_out"]["kernel"]  # (256, 64), lecun normal
    assert abs(np.std(kernel) * np.sqrt(256) - 1) < 0.03
    assert np.abs(kernel).max() <= 2 / np.sqrt(256) / 0.879
    assert abs(np.std(params["attention_out"]["kernel"]) * np.sqrt(64) - 1) < 0.06
    if "embedding" in params["query"]:
        assert abs(np.std(params["query"]["embedding"]) / 0.02 - 1) < 0.25


def test_no_two_parameters_start_alike(make, start, compiled):
    readout, features, batch = make("labels")
    params = start("labels")
    assert not np.allclose(params["key"]["kernel"], params["value"]["kernel"])
    other = compiled(readout.init)(jax.random.key(1), features, batch)
    assert not np.allclose(params["key"]["kernel"], other["key"]["kernel"])


def test_axes_and_kernels_match_the_parameters_leaf_by_leaf(make, kind):
    for options in ({}, {"temporal_embedding": "time_space"}):
        readout, features, batch = make(kind, **options)
        params = jax.eval_shape(readout.init, jax.random.key(0), features, batch)
        axes = jax.tree.leaves_with_path(readout.param_axes(), is_leaf=lambda node: isinstance(node, tuple))
        kernels = jax.tree.leaves_with_path(readout.kernels())
        leaves = jax.tree.leaves_with_path(params)
        assert [path for path, _ in axes] == [path for path, _ in leaves] == [path for path, _ in kernels]
        for (_, names), (_, leaf), (path, is_kernel) in zip(axes, leaves, kernels, strict=True):
            assert len(names) == leaf.ndim
            assert len(set(names) - {None}) == len([name for name in names if name])
            assert is_kernel == (path[-1].key == "kernel")


def test_fourier_depth_queries_have_parameters_of_their_own_and_serve_any_clip_size(make):
    readout, features, batch = make("depth", queries="fourier")
    params = jax.eval_shape(readout.init, jax.random.key(0), features, batch)
    assert "query_mlp" in params
    assert jax.tree.structure(params) == jax.tree.structure(readout.kernels())
    larger = {"depth": np.zeros((4, 8, 16, 12), np.float32)}
    assert jax.eval_shape(readout.apply, params, features, larger).shape == (4, 8, 16, 12)


@pytest.mark.parametrize(
    ("make_readout", "message"),
    [
        (lambda: LabelsReadout(widht=3), "got 'widht'. Did you mean 'width'"),
        (lambda: LabelsReadout(width=10, heads=3), "'heads' must divide width 10: 3"),
        (lambda: LabelsReadout(classes=0), "'classes' must be >= 1"),
        (lambda: LabelsReadout(classes="many"), "'classes' must be <class 'int'>"),
        (lambda: PointsReadout(frames_per_query=3), "'frames_per_query' must divide frames 16: 3"),
        (lambda: PointsReadout(query_order="xyz"), "'query_order' must be in"),
        (lambda: PointsReadout(huber_delta=0), "'huber_delta' must be > 0"),
        (lambda: PoseReadout(project_in_loss=1), "'project_in_loss' must be <class 'bool'>"),
        (lambda: DepthReadout(valid_range=(3, 1)), "'valid_range' must be"),
        (lambda: DepthReadout(patch=[2, 8]), "'patch'"),
    ],
)
def test_a_wrong_option_is_named(make_readout, message):
    with pytest.raises(UsageError, match=r"readout '.*': expected") as caught:
        make_readout()
    assert message in str(caught.value)


def test_options_from_a_suite_file_arrive_as_lists():
    config = DepthReadout(patch=[1, 4, 4], valid_range=[0.1, 5]).config
    assert config.patch == (1, 4, 4)
    assert config.valid_range == (0.1, 5)


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("points", {"tracks": None}, "expected the field 'tracks' .b n t 2."),
        ("points", {"visible": np.ones((4, 3, 5), bool)}, r"expected 'visible' to be \(b n t\) with"),
        ("boxes", {"boxes": np.ones((4, 3, 9, 4))}, r"expected 'boxes' to be \(b n t 4\) with .*t=4"),
        ("labels", {"label": np.zeros((4, 5))}, r"expected 'label' to be \(b\)"),
        ("pose", {"sample_mask": np.ones(3, bool)}, r"expected 'sample_mask' to be \(b\) with b=4"),
    ],
)
def test_a_batch_of_the_wrong_layout_is_refused(make, kind, change, message):
    readout, features, batch = make(kind)
    params = jax.eval_shape(readout.init, jax.random.key(0), features, batch)
    outputs = jax.eval_shape(readout.apply, params, features, batch)
    wrong = {name: value for name, value in {**batch, **change}.items() if value is not None}
    with pytest.raises(UsageError, match=message):
        jax.eval_shape(readout.loss, outputs, wrong)


def test_features_of_another_shape_than_the_parameters_are_refused(make):
    readout, features, batch = make("labels")
    params = jax.eval_shape(readout.init, jax.random.key(0), features, batch)
    with pytest.raises(UsageError, match=r"expected features .b, t, k, c. that are \(4, 3, 8\)"):
        jax.eval_shape(readout.apply, params, features[..., :4], batch)
    with pytest.raises(UsageError, match=r"expected 'features' to be \(b t k c\)"):
        jax.eval_shape(readout.apply, params, features[0], batch)


def test_learned_depth_queries_serve_one_clip_size_only(make):
    readout, features, batch = make("depth")
    params = jax.eval_shape(readout.init, jax.random.key(0), features, batch)
    with pytest.raises(UsageError, match="expected 4 patches"):
        jax.eval_shape(readout.apply, params, features, {"depth": np.zeros((4, 8, 8, 4))})
    with pytest.raises(UsageError, match=r"that patches of \(2, 4, 4\) divide, got \(4, 9, 4\)"):
        jax.eval_shape(readout.apply, params, features, {"depth": np.zeros((4, 4, 9, 4))})


def test_an_output_may_start_at_the_mean_of_the_first_targets(start, kind):
    released, ours = start(kind), start(kind, output_start="targets")
    assert not np.asarray(released["out"]["bias"]).any()
    assert np.isfinite(ours["out"]["bias"]).all()
    assert ours["out"]["bias"].shape == released["out"]["bias"].shape
    assert np.asarray(ours["out"]["bias"]).any()
    assert not np.asarray(ours["out"]["kernel"]).any()
    assert np.asarray(released["out"]["kernel"]).any()


@pytest.mark.parametrize("kind", ["pose", "depth", "boxes"])
def test_no_other_constant_fits_those_targets_better(start, make, compiled, kind):
    readout, features, batch = make(kind, output_start="targets")
    params = start(kind, output_start="targets")
    loss = compiled(lambda p: readout.loss(readout.apply(p, features, batch), batch)[0])
    kernel, bias = params["out"]["kernel"], params["out"]["bias"]
    found = [float(loss({**params, "out": {"kernel": kernel, "bias": bias + by}})) for by in (0.0, 0.05, -0.05)]
    assert found[0] < min(found[1:])


def test_embeddings_start_as_wide_as_they_are_told(start):
    for std in (0.02, 0.5):
        params = start("depth", width=64, embedding_std=std)
        assert float(np.std(params["temporal"]["embedding"])) == pytest.approx(std, rel=0.4)
        assert float(np.std(params["query"]["embedding"])) == pytest.approx(std, rel=0.2)


@pytest.mark.parametrize(("kind", "output"), [("points", "position"), ("boxes", None)])
def test_who_predicts_ways_starts_at_the_query_in_every_frame(start, make, kind, output):
    readout, features, batch = make(kind, output_start="targets", predicts="way")
    params = start(kind, output_start="targets", predicts="way")
    out = readout.apply(params, features, batch)
    place = np.asarray(out[output] if output else out)
    if kind == "points":
        size = np.asarray(batch["frame_size"], np.float32)[:, None]
        query = (np.asarray(batch["query_points"])[..., 1:] / size)[..., ::-1]
    else:
        query = np.asarray(batch["boxes"])[:, :, 0]
    real = np.asarray(batch["mask"], bool)
    want = np.broadcast_to(query[:, :, None], place.shape)
    np.testing.assert_allclose(place[real], want[real], atol=1e-6)
    moved = {**params, "out": {**params["out"], "bias": params["out"]["bias"] + 2.0}}  # may leave the frame
    out = readout.apply(moved, features, batch)
    np.testing.assert_allclose(np.asarray(out[output] if output else out)[real], want[real] + 2.0, atol=1e-5)

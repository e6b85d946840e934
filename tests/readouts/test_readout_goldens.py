"""Parity with arrays that the authors' released readout code wrote (tiny sizes, float32).

The pose golden is our reading of the paper run through the released module. Tolerance: float32 rounding,
`atol = 5e-6` on outputs of size up to 6.5; the largest difference measured was 2.4e-6. Readouts run the way
that they choose for themselves; labels, and the trunk alone, every way.
"""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest

from probe4d.errors import DataError
from probe4d_readouts.boxes import BoxesReadout
from probe4d_readouts.configs import TrunkConfig
from probe4d_readouts.depth import DepthReadout
from probe4d_readouts.fourier import fourier_features
from probe4d_readouts.labels import LabelsReadout
from probe4d_readouts.points import PointsReadout
from probe4d_readouts.pose import PoseReadout
from probe4d_readouts.released import read_released
from probe4d_readouts.resample import cubic_matrix, resample
from probe4d_readouts.trunk import run_trunk

GOLDENS = Path(__file__).parent / "goldens"
EXACT = {"rtol": 0, "atol": 5e-6}
WAYS = [
    {"attention": "projected"},
    {"attention": "absorbed"},
    {"attention": "projected", "query_tile": 5},
]


def golden(name):
    return dict(np.load(GOLDENS / f"{name}.npz", allow_pickle=False))


def released(arrays):
    return read_released({name.removeprefix("param:"): value for name, value in arrays.items() if "param:" in name})


@pytest.fixture(params=WAYS, ids=["projected", "absorbed", "projected-in-tiles"])
def way(request):
    return request.param


def test_labels_equal_the_released_readout(way, compiled):
    arrays = golden("readout_ssv2")
    readout = LabelsReadout(width=24, heads=3, classes=17, **way)
    np.testing.assert_allclose(
        compiled(readout.apply)(released(arrays), arrays["features"], {}), arrays["out"], **EXACT
    )


def test_pose_equals_our_reading_of_the_paper(compiled):
    arrays = golden("readout_re10k_assumed")
    readout = PoseReadout(width=32, heads=8, frames=2)
    out = compiled(readout.apply)(released(arrays), arrays["features"], {})
    np.testing.assert_allclose(out.reshape(2, 12), arrays["out"], **EXACT)


def test_depth_equals_the_released_readout(compiled):
    arrays = golden("readout_scannet")
    readout = DepthReadout(width=24, heads=4, frames=4, query_tile=5)
    out = compiled(readout.apply)(released(arrays), arrays["features"], {"depth": np.zeros((2, 4, 16, 24), np.float32)})
    np.testing.assert_allclose(out, arrays["out"][..., 0], **EXACT)


def test_boxes_equal_the_released_readout(compiled):
    arrays = golden("readout_boxes")
    readout = BoxesReadout(width=32, heads=4, query_mlp=24)
    batch = {
        "boxes": np.repeat(arrays["queries"][:, :, None], 16, axis=2),
        "present": np.ones((2, 3, 16), bool),
        "mask": np.ones((2, 3), bool),
    }
    out = compiled(readout.apply)(released(arrays), arrays["features"], batch)
    np.testing.assert_allclose(np.swapaxes(out, 1, 2), arrays["out:values"], **EXACT)


def test_points_equal_the_released_readout(compiled):
    arrays = golden("readout_points")
    readout = PointsReadout(width=32, heads=8, query_mlp=24, query_order="yx")
    points = np.concatenate([np.zeros((2, 3, 1), np.float32), arrays["queries"]], axis=-1)
    batch = {"query_points": points, "frame_size": np.ones((2, 2)), "mask": np.ones((2, 3), bool)}
    out = compiled(readout.apply)(released(arrays), arrays["features"], batch)
    np.testing.assert_allclose(np.swapaxes(out["position"], 1, 2), arrays["out:values"], **EXACT)
    for name in ("visible", "certainty"):
        expected = arrays[f"out:logits_{name}"][..., 0]
        np.testing.assert_allclose(np.swapaxes(out[name], 1, 2), expected, **EXACT)
    seen = np.swapaxes(readout.decode(out, batch)["visible"], 1, 2)
    np.testing.assert_array_equal(seen, arrays["out:visible"][..., 0] > 0)


def test_the_trunk_equals_the_released_one_with_given_queries(way, compiled):
    arrays = golden("readout_explicit_queries")
    out = run_trunk(TrunkConfig(width=24, heads=4, **way), released(arrays), arrays["features"], arrays["queries"])
    np.testing.assert_allclose(out, arrays["out"], **EXACT)


@pytest.mark.parametrize("name", ["readout_points", "readout_boxes"])
def test_fourier_features_equal_the_released_ones(name):
    arrays = golden(name)
    out = fourier_features(arrays["queries"], 16)
    np.testing.assert_allclose(out, arrays["fourier_of_queries"], rtol=0, atol=2e-7)


def test_resampling_equals_the_released_one():
    arrays = golden("temporal_resize_cubic")
    np.testing.assert_allclose(resample(arrays["x"], 16), arrays["y16"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(resample(arrays["x"][:, :1], 16), arrays["y16_from1"], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(resample(arrays["x16"], 16), arrays["y16_from16"])


@pytest.mark.parametrize("source", [1, 3, 8, 15, 16, 31, 32])
def test_the_cubic_matrix_is_the_library_resize_up_and_down(source):
    expected = jax.image.resize(np.eye(source, dtype=np.float32), (16, source), "cubic")
    np.testing.assert_allclose(cubic_matrix(source, 16), expected, rtol=0, atol=5e-7)


def test_frames_that_are_not_wanted_are_not_resampled_and_change_nothing():
    x = golden("temporal_resize_cubic")["x"]
    np.testing.assert_allclose(resample(x, 16, (0, -1)), resample(x, 16)[:, [0, -1]], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(resample(x, 8, (0, -1)), x[:, [0, -1]])


def test_a_missing_or_foreign_parameter_is_named():
    arrays = {name.removeprefix("param:"): value for name, value in golden("readout_ssv2").items()}
    lacking = {name: value for name, value in arrays.items() if name != "params/key_embedding/bias"}
    with pytest.raises(DataError, match="params/key_embedding/bias"):
        read_released(lacking)
    with pytest.raises(DataError, match=r"no parameter but a readout's, got also .'Dense_9/kernel'"):
        read_released({**arrays, "params/Dense_9/kernel": np.zeros(3)})

"""A ViT as a backbone of probe4d, and as a Flax module: the same numbers."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys

import jax
import numpy as np
import pytest
from attrs import evolve

from probe4d.contracts import FrozenBackbone, TrainableBackbone
from probe4d.errors import UsageError
from probe4d_vit import model
from probe4d_vit.backbone import VitBackbone
from probe4d_vit.config import VitConfig
from probe4d_vit.flax_module import Vit

CONFIG = VitConfig(width=12, depth=4, heads=2, mlp=20, patch=(2, 4, 4), grid=(2, 2, 3))
VIDEO = np.random.default_rng(0).random((2, 4, 8, 12, 3), dtype=np.float32)


class Weights:
    """Weights that count how often and how far they are read; can be pickled."""

    def __init__(self, params):
        self.params, self.log = params, []

    def __call__(self, blocks):
        self.log.append(blocks)
        tree = {name: node for name, node in self.params.items() if name != "norm" or blocks == CONFIG.depth}
        return {**tree, "blocks": jax.tree.map(lambda stacked: stacked[:blocks], tree["blocks"])}


@pytest.fixture(scope="module")
def params(made_params):
    return made_params(CONFIG)


def test_it_offers_both_contracts_and_they_agree():
    backbone = VitBackbone(CONFIG, seed=3)
    assert isinstance(backbone, FrozenBackbone)
    assert isinstance(backbone, TrainableBackbone)
    encoded = backbone.encode(VIDEO, (0.5, 1.0))
    applied = backbone.apply(backbone.init(jax.random.key(3)), VIDEO, (0.5, 1.0))
    for one, other in zip(encoded, applied, strict=True):
        assert isinstance(one, np.ndarray)
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, other, atol=2e-6)
    assert jax.tree.structure(backbone.param_axes(), is_leaf=lambda x: isinstance(x, tuple)) == jax.tree.structure(
        backbone.init(jax.random.key(0))
    )


def test_weights_are_read_only_as_far_as_a_layer_needs_and_only_once(params):
    weights = Weights(params)
    backbone, log = VitBackbone(CONFIG, weights), weights.log
    backbone.encode(VIDEO, (0.5,))
    backbone.encode(VIDEO, (1,))
    assert log == [2]
    backbone.encode(VIDEO, (0.5, 3))
    assert log == [2, 3]
    assert backbone.init(jax.random.key(0), layers=(0.25,))["blocks"]["q"]["kernel"].shape[0] == 1
    assert log == [2, 3, 1]


def test_mean_and_standard_deviation_are_the_backbones_own_business(params):
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    backbone = VitBackbone(CONFIG, Weights(params), mean=mean, std=std)
    normalised = ((VIDEO - np.float32(mean)) / np.float32(std)).astype(np.float32)
    want = model.apply(params, normalised, (4,), CONFIG)[0]
    np.testing.assert_allclose(backbone.encode(VIDEO, (1.0,))[0], want, atol=5e-6)


def test_it_can_be_pickled_without_the_values_that_it_has_read():
    backbone = VitBackbone(CONFIG)
    before = backbone.encode(VIDEO, (1.0,))[0]
    sent = pickle.dumps(backbone)
    assert len(sent) < 4000
    np.testing.assert_array_equal(pickle.loads(sent).encode(VIDEO, (1.0,))[0], before)


def test_a_call_without_layers_or_with_a_single_clip_is_refused():
    with pytest.raises(UsageError, match="at least one layer"):
        VitBackbone(CONFIG).encode(VIDEO, ())
    with pytest.raises(UsageError, match="Add the batch axis"):
        VitBackbone(CONFIG).encode(VIDEO[0], (1.0,))


def test_the_flax_module_has_the_same_tree_and_the_same_features(params):
    module = Vit(CONFIG)
    variables = module.init(jax.random.key(0), VIDEO)
    (layer, last) = module.apply(variables, VIDEO, (0.5, 1.0))
    want = model.apply(variables["params"], VIDEO, (2, 4), CONFIG)
    np.testing.assert_array_equal(layer, want[0])
    np.testing.assert_array_equal(last, want[1])
    assert jax.tree.structure(dict(variables["params"])) == jax.tree.structure(params)
    ours = params
    np.testing.assert_array_equal(module.apply({"params": ours}, VIDEO)[0], model.apply(ours, VIDEO, (4,), CONFIG)[0])


SPREAD = """
import json, sys, numpy as np, jax
from probe4d_vit.backbone import VitBackbone
from probe4d_vit.config import VitConfig
from probe4d_vit.table import map_table, param_table
rng = np.random.default_rng(1)
config = VitConfig(width=12, depth=2, heads=2, mlp=20, patch=(2, 4, 4), grid=(2, 2, 3))
video = np.random.default_rng(0).random((4, 4, 8, 12, 3), dtype=np.float32)
params = map_table(lambda param: rng.normal(size=param.shape, scale=0.1).astype(np.float32), param_table(config))
backbone = VitBackbone(config, lambda blocks: params)
whole = backbone.encode(video, (0.5, 1.0))
odd = backbone.encode(video[:3], (0.5, 1.0))
worst = max(float(np.abs(whole[n][:3] - odd[n]).max()) for n in range(2))
print(json.dumps({"devices": jax.local_device_count(), "worst": worst}))
"""


def test_a_batch_is_spread_over_virtual_devices_with_the_same_features():
    env = {"JAX_NUM_CPU_DEVICES": "2", "JAX_PLATFORMS": "cpu", "PATH": "/usr/bin:/bin"}
    out = subprocess.run([sys.executable, "-c", SPREAD], env=env, capture_output=True, text=True, check=True)
    result = json.loads(out.stdout)
    assert result["devices"] == 2
    assert result["worst"] < 5e-6


def test_another_layer_rule_is_another_layer():
    released = VitBackbone(evolve(CONFIG, layer_rule="released"), seed=0)
    assert VitBackbone(CONFIG).blocks((0.5, 0.75, 1.0)) == (2, 3, 4)
    assert released.blocks((0.5, 0.75, 1.0)) == (0, 1, 3)

"""The kit's checks of a backbone that trains: tiny linear toys in jax."""

import numpy as np
import pytest

from probe4d import BackboneSpec
from probe4d.testing import check_backbone

jax = pytest.importorskip("jax")
jnp = jax.numpy


class Sound:
    """One linear map of 2x4x4 patches, as both contracts."""

    def __init__(self, weights=None, seed=0):
        self.params = self.init(jax.random.key(seed))

    def init(self, key):
        return {"map": jax.random.normal(key, (96, 6)), "bias": jax.random.normal(key, (6,))}

    def apply(self, params, video, layers):
        if video.shape[1:] != (4, 8, 8, 3):
            from probe4d.errors import DataError

            raise DataError("shape")
        from probe4d.errors import UsageError

        if any(layer not in (1, 1.0) for layer in layers):
            raise UsageError("layer")
        patches = jnp.asarray(video).reshape(-1, 2, 2, 2, 4, 2, 4, 3).transpose(0, 1, 3, 5, 2, 4, 6, 7)
        tokens = patches.reshape(-1, 2, 4, 96) @ params["map"] + params["bias"]
        return tuple(tokens for _ in layers)

    def param_axes(self):
        return {"map": ("patch", "embed"), "bias": ("embed",)}

    def encode(self, video, layers):
        return tuple(np.asarray(one) for one in self.apply(self.params, video, layers))


class OtherAxes(Sound):
    def param_axes(self):
        return {"map": ("patch",), "bias": ("embed",)}


class OtherTree(Sound):
    def param_axes(self):
        return {"map": ("patch", "embed")}


class Unused(Sound):
    def init(self, key):
        return {**super().init(key), "unused": jnp.ones(3)}

    def param_axes(self):
        return {**super().param_axes(), "unused": (None,)}


class AnotherKey(Sound):
    def __init__(self, weights=None, seed=0):
        self.params = self.init(jax.random.key(seed + 1))


class Unkeyed(Sound):
    def init(self, key):
        return super().init(jax.random.key(np.random.default_rng().integers(1 << 30)))

    def __init__(self, weights=None, seed=0):
        self.params = super().init(jax.random.key(seed))


class OneLayerTooMany(Sound):
    def apply(self, params, video, layers):
        found = super().apply(params, video, layers)
        return (*found, found[0])

    def encode(self, video, layers):
        return tuple(np.asarray(one) for one in super().apply(self.params, video, layers))


FAULTS = {
    OtherAxes: "param_axes_match_the_params",
    OtherTree: "param_axes_match_the_params",
    Unused: "gradients_reach_every_parameter",
    AnotherKey: "encode_and_apply_agree",
    Unkeyed: "init_gives_params",
    OneLayerTooMany: "apply_gives_the_token_grid",
}


def spec(target, **facts):
    grid = {"time": 2, "space": 4, "channels": 6}
    size = {"frames": 4, "height": 8, "width": 8}
    made = {"name": "toy", "target": target, "input": size, "tokens": grid, "params": 582, "trainable": True, **facts}
    return BackboneSpec(**made)


def test_a_sound_backbone_passes_both_contracts(target_of, failed):
    results = check_backbone(spec(target_of(Sound)))
    assert failed(results) == []
    assert [result.name for result in results if result.status == "skipped"] == ["train_mode_has_no_effect"]


def test_a_backbone_that_only_trains_is_not_asked_to_encode(target_of):
    results = check_backbone(spec(target_of(Sound), frozen=False))
    assert len(results) == 5
    assert {result.status for result in results} == {"passed"}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_each_fault_fails_the_check_that_names_it_and_no_other(fault, target_of, failed):
    assert failed(check_backbone(spec(target_of(fault)))) == [FAULTS[fault]]


def test_without_jax_the_checks_that_need_it_are_skipped_and_counted(target_of, monkeypatch):
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "jax" else found(name))
    results = check_backbone(spec(target_of(Sound), frozen=False))
    skipped = [result for result in results if result.status == "skipped"]
    assert len(skipped) == 4
    assert {result.reason for result in skipped} == {"needs jax: pip install 'probe4d[jax]'"}

"""The kit's checks of a readout: linear toys for labels, in jax."""

import numpy as np
import pytest

from probe4d import ReadoutSpec
from probe4d.testing import check_readout

jax = pytest.importorskip("jax")
jnp = jax.numpy


class Sound:
    def init(self, key, features, batch):
        return {"map": jax.random.normal(key, (features.shape[-1], 7)), "bias": jnp.zeros(7)}

    def apply(self, params, features, batch):
        return features.mean(axis=(1, 2)) @ params["map"] + params["bias"]

    def loss(self, outputs, batch):
        own = jnp.take_along_axis(jax.nn.log_softmax(outputs), jnp.asarray(batch["label"])[:, None], axis=1)
        return -own.mean(), {"cross_entropy": -own.mean()}

    def decode(self, outputs, batch):
        return {"logits": outputs}

    def param_axes(self):
        return {"map": ("embed", "classes"), "bias": ("classes",)}


class LossPerClip(Sound):
    def loss(self, outputs, batch):
        return outputs.mean(axis=1), {}


class NoAxes(Sound):
    def param_axes(self):
        return {}


class StoppedGradient(Sound):
    def apply(self, params, features, batch):
        return super().apply({**params, "bias": jax.lax.stop_gradient(params["bias"])}, features, batch)


class Uphill(Sound):
    def loss(self, outputs, batch):
        loss, terms = super().loss(outputs, batch)
        # The value is right, its gradient points the wrong way.
        return 2 * jax.lax.stop_gradient(loss) - loss, terms


class NoClips(Sound):
    def decode(self, outputs, batch):
        return {"logits": outputs[0]}


class OtherName(Sound):
    def decode(self, outputs, batch):
        return {"scores": outputs}


class Unkeyed(Sound):
    def init(self, key, features, batch):
        return super().init(jax.random.key(np.random.default_rng().integers(1 << 30)), features, batch)


FAULTS = {
    dict: "target_constructs",
    Unkeyed: "init_gives_params",
    NoAxes: "param_axes_match_the_params",
    LossPerClip: "loss_is_a_finite_scalar",
    StoppedGradient: "gradients_reach_every_parameter",
    Uphill: "loss_decreases_on_one_batch",
    NoClips: "decode_gives_the_fields_of_the_kind",
    OtherName: "decode_gives_the_fields_of_the_kind",
}


def test_a_sound_readout_passes_everything(target_of):
    results = check_readout(ReadoutSpec(name="toy", target=target_of(Sound), kind="labels"))
    assert {result.status for result in results} == {"passed"}
    assert {result.name for result in results} == set(FAULTS.values())


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_each_fault_fails_the_check_that_names_it_and_no_other(fault, target_of, failed):
    assert failed(check_readout(ReadoutSpec(name="toy", target=target_of(fault), kind="labels"))) == [FAULTS[fault]]

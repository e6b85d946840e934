"""The kit passes a sound backbone, and finds each fault by the check that names it."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from probe4d import BackboneSpec
from probe4d.errors import DataError, UsageError
from probe4d.testing import check_backbone
from probe4d.testing.subject import Given

FRAMES, SIZE, TIME, SPACE, CHANNELS, DEPTH = 4, 8, 2, 4, 6, 4
SHAPE = (FRAMES, SIZE, SIZE, 3)


class Sound:
    """Random projections of patches, one per layer."""

    def __init__(self, weights=None, seed=0):
        self.maps = np.random.default_rng(seed).standard_normal((DEPTH, 96, CHANNELS)).astype(np.float32)

    def encode(self, video, layers):
        if video.shape[1:] != SHAPE:
            raise DataError("shape")
        patches = video.reshape(-1, 2, 2, 2, 4, 2, 4, 3).transpose(0, 1, 3, 5, 2, 4, 6, 7).reshape(-1, 2, 4, 96)
        return tuple(np.einsum("btkp,pc->btkc", patches, self.maps[self.block(layer) - 1]) for layer in layers)

    def block(self, layer):
        if isinstance(layer, float) and 0 < layer <= 1:
            return max(1, round(layer * DEPTH))
        if isinstance(layer, int) and 1 <= layer <= DEPTH:
            return layer
        raise UsageError("layer")


class WrongGrid(Sound):
    def encode(self, video, layers):
        return tuple(one[:, :, :-1] for one in super().encode(video, layers))


class Integers(Sound):
    def encode(self, video, layers):
        return tuple((one * 1000).astype(np.int32) for one in super().encode(video, layers))


class NotFinite(Sound):
    def encode(self, video, layers):
        return tuple(one + np.where(np.arange(CHANNELS) == 2, np.inf, 0) for one in super().encode(video, layers))


class Random(Sound):
    def encode(self, video, layers):
        noise = np.random.default_rng()
        return tuple(one + noise.random(one.shape) for one in super().encode(video, layers))


class Unseeded(Sound):
    def __init__(self, weights=None, seed=0):
        super().__init__(seed=next(itertools.count(id(self))))


class NormalisedOverTheBatch(Sound):
    def encode(self, video, layers):
        return tuple(one - one.mean(axis=0) for one in super().encode(video, layers))


class SortedLayers(Sound):
    def encode(self, video, layers):
        return super().encode(video, sorted(layers))


class FractionsOnly(Sound):
    def block(self, layer):
        return 1 if layer == DEPTH else super().block(layer)


class AnyLayer(Sound):
    def block(self, layer):
        return min(max(1, round(layer * DEPTH) if isinstance(layer, float) else layer), DEPTH)


class AnyShape(Sound):
    def encode(self, video, layers):
        if video.shape[1:] != SHAPE:
            video = np.zeros((1, *SHAPE), np.float32)
        return super().encode(video, layers)


class Dropout(Sound):
    training = False

    def train(self):
        self.training = True

    def encode(self, video, layers):
        return tuple(one * (0.5 if self.training else 1) for one in super().encode(video, layers))


class InPlace(Sound):
    def encode(self, video, layers):
        features = super().encode(video, layers)
        video *= 0.5
        return features


class Litter(Sound):
    def __init__(self, weights=None, seed=0):
        super().__init__(seed=seed)
        Path("litter.txt").write_text("here I was")


FAULTS = {
    WrongGrid: "token_grid_is_as_declared",
    Integers: "features_are_floats",
    NotFinite: "features_are_finite",
    Random: "encode_is_deterministic",
    Unseeded: "seed_fixes_the_weights",
    NormalisedOverTheBatch: "batch_makes_no_difference",
    SortedLayers: "layers_come_in_the_order_asked",
    FractionsOnly: "a_layer_is_named_by_number_too",
    AnyLayer: "a_layer_that_does_not_exist_is_refused",
    AnyShape: "a_clip_of_another_shape_is_refused",
    Dropout: "train_mode_has_no_effect",
    InPlace: "encode_leaves_the_clip_alone",
    Litter: "nothing_is_written_outside_the_cache",
    dict: "target_constructs",
}


def spec(target, **facts):
    grid = {"time": TIME, "space": SPACE, "channels": CHANNELS}
    size = {"frames": FRAMES, "height": SIZE, "width": SIZE}
    return BackboneSpec(
        **{"name": "toy", "target": target, "input": size, "tokens": grid, "params": 0, "depth": DEPTH, **facts}
    )


def test_a_sound_backbone_passes_everything_but_the_switch_that_it_lacks(target_of):
    results = check_backbone(spec(target_of(Sound)))
    assert {result.name: result.reason for result in results if result.status != "passed"} == {
        "train_mode_has_no_effect": "it has no train() switch"
    }
    assert len(results) == len(FAULTS)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_each_fault_fails_the_check_that_names_it_and_no_other(fault, target_of, failed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert failed(check_backbone(spec(target_of(fault)))) == [FAULTS[fault]]


def test_a_large_backbone_is_not_built_and_every_check_says_so(target_of):
    results = check_backbone(spec(target_of(Sound), params=300_000_000))
    assert {result.status for result in results} == {"skipped"}
    assert all("300,000,000 parameters" in result.reason for result in results)


def test_a_large_backbone_is_checked_in_the_small_configuration_given(target_of, failed):
    big = spec(target_of(Sound), params=300_000_000, tokens={"time": 8, "space": 196, "channels": 1024})
    small = {"params": 9, "tokens": spec("a:b").tokens}
    results = check_backbone(big, given=Given(small={"toy": small}))
    assert failed(results) == []
    assert sum(result.status == "passed" for result in results) == len(FAULTS) - 1


def test_a_requirement_that_is_not_installed_skips_and_names_the_pip_line(target_of):
    results = check_backbone(spec(target_of(Sound), requires=("no-such-package>=1",), extra="mine[all]"))
    assert {(result.status, result.reason) for result in results} == {
        ("skipped", "needs no-such-package>=1: pip install 'mine[all]'")
    }


def test_a_clip_that_sys_exits_is_a_failure_not_the_end(target_of, failed):
    class Leaving(Sound):
        def encode(self, video, layers):
            raise SystemExit(4)

    names = failed(check_backbone(spec(target_of(Leaving))))
    assert "token_grid_is_as_declared" in names

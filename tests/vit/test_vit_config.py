"""A configuration is checked when it is made, and says how many blocks a layer is."""

from __future__ import annotations

import re

import pytest
from attrs import evolve

from probe4d.errors import UsageError
from probe4d_vit.config import VitConfig, blocks_to_run

TINY = VitConfig(width=8, depth=2, heads=2, mlp=16, patch=(1, 4, 4), grid=(2, 3, 3), attends="frame")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"depth": 0}, "VitConfig.depth: expected an integer of at least 1, got 0"),
        ({"patch": (4, 4)}, "VitConfig.patch: expected three sizes"),
        ({"attends": "factorized", "temporal_depth": 1, "patch": (2, 4, 4)}, "VitConfig.patch: expected 1 frame in a"),
        ({"temporal_depth": 2}, "VitConfig.temporal_depth: expected blocks if and only if"),
        ({"attends": "factorized"}, "VitConfig.temporal_depth: expected blocks if and only if"),
        ({"cls_position": True}, "VitConfig.cls_position: expected no position without a class token"),
        ({"position": "rope"}, "VitConfig.position: expected one that needs no time axis"),
        ({"attends": "factorized", "temporal_depth": 1, "cls": True}, "VitConfig.cls: expected no prefix tokens"),
        ({"activation": "relu"}, "VitConfig.activation: expected one of gelu, gelu_tanh, swiglu, got 'relu'"),
        ({"attends": "video", "position": "rope", "head_dim": 4}, "VitConfig.head_dim: expected at least 6"),
        ({"eps": 0}, "VitConfig.eps: expected a number above 0"),
        ({"cls": 1}, "VitConfig.cls: expected true or false"),
    ],
)
def test_what_no_model_can_be_is_refused_with_the_field_and_the_value(change, words):
    with pytest.raises(UsageError, match=re.escape(words)):
        evolve(TINY, **change)


def test_heads_that_do_not_divide_the_width_need_a_head_dim_of_their_own():
    fields = {"width": 8, "depth": 2, "heads": 3, "mlp": 16, "patch": (1, 4, 4), "grid": (2, 3, 3)}
    with pytest.raises(UsageError, match=r"VitConfig.heads: expected a divisor of width 8, got 3"):
        VitConfig(**fields)
    assert VitConfig(**fields, head_dim=4).head_dim == 4


def test_a_configuration_knows_its_input_and_its_tokens():
    assert TINY.clip == (2, 12, 12)
    assert TINY.tokens == 18
    assert TINY.table_grid == (1, 3, 3)
    assert evolve(TINY, cls=True, registers=4).prefix == 5


@pytest.mark.parametrize("rule", ["released", "paper"])
def test_an_integer_layer_is_the_number_of_blocks_under_both_rules(rule):
    assert [blocks_to_run(count, 12, rule) for count in (0, 1, 12)] == [0, 1, 12]


@pytest.mark.parametrize("layer", [-1, 13, 0.0, 1.5, True, "0.95", float("nan")])
def test_a_layer_that_does_not_exist_is_refused(layer):
    with pytest.raises(UsageError, match="layer: expected"):
        blocks_to_run(layer, 12, "released")


def test_a_share_too_small_for_the_released_rule_is_refused_instead_of_meaning_the_last_layer():
    with pytest.raises(UsageError, match="at least 1/13 of 12 blocks"):
        blocks_to_run(0.05, 12, "released")
    assert blocks_to_run(0.05, 12, "paper") == 0

"""The step compiled for chips that are not here, and its traffic read from the program."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from probe4d.errors import UsageError
from probe4d_fourds.objective import mae_table
from probe4d_fourds.sizes import PAPER
from probe4d_fourds.training_config import load_config
from probe4d_runners.jax import mesh as meshes
from probe4d_runners.jax.collectives import collectives
from probe4d_runners.jax.topology import Topology
from probe4d_vit.table import leaves

PROGRAM = """
HloModule jit_step

%add (a: f32[], b: f32[]) -> f32[] {
  ROOT %sum = f32[] add(%a, %b)
}

%all-reduce-scatter.1 (x: f32[512,64]) -> f32[64,64] {
  %r = f32[512,64]{1,0} all-reduce(%x), channel_id=1, replica_groups={{0,1,2,3,4,5,6,7}}, to_apply=%add
}

%body (p: (s32[], bf16[8,4])) -> (s32[], bf16[8,4]) {
  %g = bf16[64,4]{1,0} all-gather(%shard), channel_id=2, replica_groups=[1,8]<=[8], dimensions={0}
  %f = f32[64,64]{1,0} fusion(%grad), kind=kCustom, calls=%all-reduce-scatter.1
}

%condition (p: (s32[], bf16[8,4])) -> pred[] {
  %n = s32[] constant(12)
  ROOT %less = pred[] compare(%i, %n), direction=LT
}

ENTRY %main (x: f32[8]) -> f32[8] {
  %w = (s32[], bf16[8,4]) while(%t), condition=%condition, body=%body
  %s = f32[100]{0} all-reduce(%x), replica_groups={{0,1,2,3}}, to_apply=%add
  %d = f32[10]{0} reduce-scatter(%y), replica_groups={{0,1,2,3}}, to_apply=%add
}
"""


def test_traffic_is_counted_by_hand_computed_bytes_with_loops_unrolled():
    traffic = collectives(PROGRAM)
    assert {kind: each.count for kind, each in traffic.items()} == {
        "all-gather": 12,
        "reduce-scatter": 13,
        "all-reduce": 1,
    }
    assert traffic["all-gather"].wire == 12 * 64 * 4 * 2 * 7 / 8
    assert traffic["reduce-scatter"].wire == 12 * 512 * 64 * 4 * 7 / 8 + 10 * 4 * 3
    assert traffic["all-reduce"].wire == 2 * 100 * 4 * 3 / 4


def _dry_run(*arguments):
    environment = {**os.environ, "XLA_FLAGS": ""}
    return subprocess.run(
        [sys.executable, "-m", "probe4d", "train", "4ds-micro", "--dry-run", *arguments],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
        env=environment,
    )


@pytest.mark.slow
def test_a_dry_run_reports_bytes_flops_and_traffic():
    ran = _dry_run("--topology", "v6e:2x2", "--json")
    assert ran.returncode == 0, ran.stderr[-2000:]
    found = json.loads(ran.stdout)
    assert found["mesh"] == "1x4x1"
    assert found["real"] is (importlib.util.find_spec("libtpu") is not None)
    assert 0 < found["arguments"] < found["peak"]
    assert {"all-gather", "reduce-scatter"} <= set(found["traffic"])
    assert found["flops"] > 0


def test_a_topology_that_is_not_known_is_refused_before_anything_is_compiled():
    ran = _dry_run("--topology", "v6f:2x2")
    assert ran.returncode == 2
    assert "expected v6e, v5e, got 'v6f'. Did you mean 'v6e'?" in ran.stderr


@pytest.mark.parametrize("text", ["v6e", "v6e:", "v6e:2y2", "v6e:0x4", "v6e:2x2x", ""])
def test_a_topology_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match="topology: expected"):
        Topology.parse(text)


def test_a_mesh_that_is_not_stated_splits_the_parameters_of_every_size():
    """Widths that 256 chips do not divide get two copies in 128 parts, not 256 copies."""
    copies = {}
    for size in PAPER:
        table = mae_table(load_config(size).model.objective())
        copies[size] = meshes.copies([(param.shape, param.axes) for _, param in leaves(table)], 256, 1)
    assert copies == dict.fromkeys(PAPER, 1) | {"4ds-s": 2, "4ds-g": 2}
    assert meshes.MeshShape().sizes(256) == (1, 256, 1)

"""Features are extracted where there is no jax, and probes trained on them where there is no torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("torch", reason="needs torch: features are extracted with it")
pytest.importorskip("jax", reason="needs jax: probes are trained with it")

from attrs import asdict

from probe4d.planning.plan import make_plan
from probe4d.records import RunFolder
from probe4d.suites import parse

SUITE = """
name = "bridge"
tasks = ["playroom-labels"]
protocols = ["frozen-quick"]
layers = [0.5, 1.0]

[[backbones]]
name = "torch-module"
label = "tiny"
options = {config = "CONFIG"}

[clip]
size = [32, 32]
frames = 16

[data.playroom]
size = [32, 32]

[data.playroom.train]
length = 8

[data.playroom.val]
length = 8

[overrides.frozen-quick]
steps = 3
warmup_steps = 1
batch_size = 4
learning_rates = [1e-3]
readout = {width = 16, heads = 2}
"""

CONFIG = """
model = "probe4d_torch.example:TinyViT"
model_options = {patch = [2, 8, 8], tokens = 128}
frames = 16
size = 32
tokens = [8, 16, 12]
blocks = "blocks.{i}"
depth = 2
norm = "norm"
prefix = 1
"""

# Carries out units in a process that has no such package, as an environment without it.
CARRY_OUT = """
import json, sys
from probe4d.registry import load_target

absent, lines = sys.argv[1].split(","), json.load(sys.stdin)

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
for unit in lines:
    load_target(unit["target"])(**unit["arguments"])
print("had", [name for name in ("jax", "torch") if name in sys.modules])
"""


def carry_out(units, absent):
    done = subprocess.run(
        [sys.executable, "-c", CARRY_OUT, absent],
        input=json.dumps([asdict(unit) for unit in units]),
        capture_output=True,
        text=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_a_cache_filled_without_jax_is_probed_without_torch(tmp_path):
    (tmp_path / "tiny.toml").write_text(CONFIG)
    suite = parse(SUITE.replace("CONFIG", str(tmp_path / "tiny.toml")), "suite")
    plan = make_plan(suite, RunFolder(tmp_path / "run"), store=str(tmp_path / "store"))
    assert plan.problems == ()
    (features,) = {stored.row_shapes["1.0"] for stored in plan.sets if stored.row_shapes}
    assert features == (8, 16, 12)
    extracts = [unit for unit in plan.units if unit.id.startswith("extract")]
    rest = [unit for unit in plan.units if unit not in extracts]
    (tmp_path / "tiny.toml").unlink()  # what it said is in the units
    assert carry_out(extracts, "jax,jaxlib,flax,optax") == "had ['torch']"
    assert carry_out(rest, "torch") == "had ['jax']"
    cells = [plan.run.read_record(cell) for sweep in plan.sweeps for cell in sweep.cells]
    assert [record.content["backbone"]["name"] for record in cells] == ["torch/torch-module"] * 2
    assert all(record.content["backbone"]["weights"] == "random:0" for record in cells)

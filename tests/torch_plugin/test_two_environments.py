"""One store, two virtual environments: the one without jax extracts, the one without torch probes, by one command."""

from __future__ import annotations

import json
import os
import subprocess
import venv

import pytest

pytest.importorskip("torch", reason="needs torch: features are extracted with it")
pytest.importorskip("jax", reason="needs jax: probes are trained with it")

from selected_environment import without
from toy_plans import THREE_STEPS, playroom_suite

SUITE = playroom_suite(
    """
name = "bridge"
tasks = ["playroom-labels"]
protocols = ["frozen-quick"]
layers = [0.5, 1.0]

[[backbones]]
name = "torch-module"
label = "tiny"
options = {config = "tiny.toml"}
""",
    train=8,
    val=8,
    more=THREE_STEPS,
)

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

COMMAND = ("-m", "probe4d", "run", "bridge.toml", "--store", "store", "-o", "run", "--workers", "1", "--no-report")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tiny.toml").write_text(CONFIG)
    (tmp_path / "bridge.toml").write_text(SUITE)
    return tmp_path


def check_both(of_torch, of_jax, folder):
    """Extract in one environment, then probe in the other; each is a function that runs its Python."""
    assert of_torch("-c", "import jax").returncode
    assert of_jax("-c", "import torch").returncode

    # Where nothing is stored yet, the environment without torch cannot run the suite, and says why.
    refused = of_jax(*COMMAND)
    assert refused.returncode == 3
    assert "torch/torch-module needs torch>=2.4" in refused.stderr
    assert "got none of probe4d/playroom:train; none of probe4d/playroom:val" in refused.stderr
    assert "--only extract" in refused.stderr

    filled = of_torch(*COMMAND, "--only", "extract")
    assert filled.returncode == 0, filled.stderr
    assert "4 shards of 4 sets are stored" in filled.stdout
    stored = sorted(entry.name for entry in (folder / "store").iterdir())

    probed = of_jax(*COMMAND)
    assert probed.returncode == 0, probed.stderr
    said = [line for line in probed.stderr.splitlines() if line.startswith("features of another platform")]
    assert len(said) == 2
    assert all("libraries.torch" in line and "(here none)" in line for line in said)

    records = [json.loads(file.read_text()) for file in sorted((folder / "run" / "cells").glob("*/record.json"))]
    assert [record["cell"]["layer"] for record in records] == [0.5, 1.0]
    for record in records:
        assert record["backbone"]["weights"] == "random:0"
        for split in ("train", "evaluate"):
            data = record["data"][split]
            assert data["features"] in stored
            here, there = data["adopted"]["platform.libraries.torch"]
            assert (here, there.partition(".")[0]) == (None, "2")
            assert all(name.startswith("platform.libraries.") for name in data["adopted"])
        assert "torch" not in record["environment"]["probe"]["packages"]


def test_a_store_filled_without_jax_is_probed_without_torch(folder):
    of_torch = without(folder / "of-torch", ["jax", "jaxlib", "flax", "optax", "orbax-checkpoint"])
    of_jax = without(folder / "of-jax", ["torch"])
    check_both(
        lambda *line: of_torch.run(*line, cwd=folder),
        lambda *line: of_jax.run(*line, cwd=folder),
        folder,
    )


@pytest.mark.slow
def test_two_environments_that_pip_made_share_a_store(folder, repository):
    plugins = repository / "plugins"
    of_torch = installed(folder / "of-torch", str(repository), f"{plugins / 'torch'}[torch]")
    of_jax = installed(folder / "of-jax", f"{repository}[jax]", str(plugins / "torch"), str(plugins / "readouts"))
    assert str(folder) in of_torch("-c", "import probe4d; print(probe4d.__file__)").stdout
    check_both(of_torch, of_jax, folder)


def installed(root, *packages):
    """Return what runs the Python of a virtual environment that pip installs packages into."""
    venv.create(root, with_pip=True, symlinks=True)
    python = str(root / "bin" / "python")
    ambient = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}

    def run(*arguments):
        environment = {**ambient, "JAX_PLATFORMS": "cpu"}
        line = [python, *arguments]
        return subprocess.run(line, env=environment, cwd=root.parent, capture_output=True, text=True, check=False)

    done = run("-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages)
    if done.returncode:
        pytest.skip(f"needs packages that pip could not get: {done.stderr.strip().splitlines()[-1]}")
    return run

"""A run that is over in seconds, as the command line starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFIG = """
base = "4ds-micro"

[data]
source = "playroom"
batch_size = 4
options = {length = 24, size = 64, antialias = 1}
margin = 1.0

[optimizer]
steps = 8
warmup_steps = 2

[run]
checkpoint_every = 2
log_every = 4
"""


@pytest.fixture(scope="session")
def run_environment(tmp_path_factory):
    """One cache of rendered clips and of compiled programs for all runs."""
    return {
        **os.environ,
        "PROBE4D_CACHE_DIR": str(tmp_path_factory.mktemp("clips")),
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("compiled")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PLATFORMS": "cpu",
    }


@pytest.fixture(scope="session")
def config_file(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("config") / "tiny.toml"
    file.write_text(CONFIG)
    return file


@pytest.fixture(scope="session")
def start(run_environment, config_file):
    """Return `start(folder, *arguments) -> Popen` of `probe4d train`."""

    def begin(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "probe4d", "train", str(config_file), "-o", str(folder), *arguments],
            env={**run_environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return begin


@pytest.fixture(scope="session")
def finished(start, tmp_path_factory) -> Path:
    """Return the folder of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("runs") / "undisturbed"
    process = start(folder)
    out, error = process.communicate(timeout=500)
    assert process.returncode == 0, error
    assert "step 8/8" in out
    return folder

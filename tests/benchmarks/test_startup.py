"""How long the program takes to start, against importing the four libraries it stands on."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

PEER = [sys.executable, "-c", "import click, attrs, cattrs, pluggy"]
PLUGIN = """
from probe4d import BackboneSpec, TokenGrid, VideoInput, hookimpl

@hookimpl
def probe4d_backbones():
    return [BackboneSpec(name="toy", target="toy:load", params=0, input=VideoInput(frames=4, height=8, width=8),
                         tokens=TokenGrid(time=2, space=4, channels=3))]
"""


@pytest.fixture(scope="module")
def twenty_plugins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the environment of a process that sees twenty more plugins, with a cache of its own."""
    root = tmp_path_factory.mktemp("site")
    for number in range(20):
        (root / f"toy_{number}.py").write_text(PLUGIN)
        info = root / f"toy_{number}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: toy-{number}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[probe4d]\ntoy{number} = toy_{number}\n")
    return {**os.environ, "PYTHONPATH": str(root), "PROBE4D_CACHE_DIR": str(root / "cache")}


def seconds(command: list[str], environment: dict[str, str]) -> float:
    """Return the wall time of one process."""
    started = time.perf_counter()
    subprocess.run(command, env=environment, capture_output=True, check=True)
    return time.perf_counter() - started


def program() -> list[str]:
    """Return the installed script, as a user runs it."""
    script = Path(sys.executable).with_name("probe4d")
    return [str(script)] if script.exists() else [sys.executable, "-m", "probe4d"]


@pytest.mark.parametrize("arguments", [["list"], ["--help"]], ids=["list", "help"])
def test_a_command_starts_with_twenty_plugins_installed(arguments, twenty_plugins, benchmark):
    benchmark.pedantic(seconds, args=([*program(), *arguments], twenty_plugins), rounds=5, warmup_rounds=1)


@pytest.mark.bench
@pytest.mark.parametrize(("arguments", "limit"), [(["list"], 2.5), (["--help"], 1.5)], ids=["list", "help"])
def test_starting_takes_at_most_so_many_times_the_imports(arguments, limit, twenty_plugins):
    command = [*program(), *arguments]
    seconds(command, twenty_plugins)
    ratios = [seconds(command, twenty_plugins) / seconds(PEER, twenty_plugins) for _ in range(15)]
    assert statistics.median(ratios) <= limit

"""Writes toy plugins as installed distributions, so that tests load them as a user's machine does."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import textwrap
from pathlib import Path

from probe4d import loader
from probe4d.loader import Loaded, Switches

BACKBONE = """
from probe4d import BackboneSpec, TokenGrid, VideoInput, hookimpl

@hookimpl
def probe4d_backbones():
    return [BackboneSpec(name="{name}", target="{module}_model:load", summary="a toy", params=0,
                         input=VideoInput(frames=4, height=8, width=8), tokens=TokenGrid(time=2, space=4, channels=3))]
"""


class Site:
    """A folder that stands for site-packages."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def add(self, name: str, code: str, *, distribution: str = "", version: str = "1.0", module: str = "") -> str:
        """Install a plugin `name` whose entry module has this code; return the module's name."""
        distribution = distribution or f"toy-{name}"
        module = module or f"toy_{name.replace('-', '_')}_{abs(hash(self.root)) % 10**8}"
        (self.root / f"{module}.py").write_text(textwrap.dedent(code).format_map(_Keep(name=name, module=module)))
        info = self.root / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[probe4d]\n{name} = {module}\n")
        return module

    def entry_points(self) -> list[importlib.metadata.EntryPoint]:
        """Return the toys' entry points, in the loader's order."""
        found = importlib.metadata.distributions(path=[str(self.root)])
        points = [point for dist in found for point in dist.entry_points if point.group == loader.GROUP]
        return sorted(points, key=lambda point: (point.name, point.dist.name if point.dist else ""))

    def load(self, switches: Switches | None = None) -> Loaded:
        """Load the built-ins and the toys, and nothing else."""
        return loader.load(switches or Switches(), self.entry_points())

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `probe4d ARGUMENTS` in a real process that sees the toys."""
        return subprocess.run(
            [sys.executable, "-m", "probe4d", *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, "PYTHONPATH": str(self.root), **environment},
        )


class _Keep(dict[str, str]):
    """Leaves other braces of the code as they are."""

    def __missing__(self, key: str) -> str:
        return "{" + key + "}"

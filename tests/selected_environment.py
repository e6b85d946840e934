"""A virtual environment with what the running one holds but for some distributions, which cannot be imported there."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sysconfig
import venv
from collections.abc import Collection
from pathlib import Path

from attrs import frozen


@frozen
class SelectedEnvironment:
    """A virtual environment; nothing of the user's settings, and no `PYTHONPATH`, is seen in it."""

    root: Path

    def run(self, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run its Python."""
        environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        return subprocess.run(
            [str(self.root / "bin" / "python"), *arguments],
            env={**environment, "JAX_PLATFORMS": "cpu"},
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )


def without(root: Path, absent: Collection[str]) -> SelectedEnvironment:
    """Make an environment without the distributions of these names, and return it.

    Its site-packages are links to the running one's, each file and folder but those that the absent ones brought.
    """
    venv.create(root, with_pip=False, symlinks=True)
    (site,) = root.glob("lib/python*/site-packages")
    here = Path(sysconfig.get_paths()["purelib"])
    left_out = {name for one in absent for name in _brought(one)}
    assert left_out, f"expected one of {sorted(absent)} to be installed"
    for entry in here.iterdir():
        if entry.name not in left_out:
            (site / entry.name).symlink_to(entry)
    return SelectedEnvironment(root)


def _brought(distribution: str) -> set[str]:
    """Return what a distribution has at the top of site-packages; nothing where it is not installed."""
    try:
        files = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return set()
    return {file.parts[0] for file in files if file.parts[0] != ".."}

"""A fresh virtual environment that holds the built wheel and its light dependencies, as a user's would."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from attrs import frozen

WHEELHOUSE = Path(sys.prefix) / "wheelhouse"


@frozen
class FreshEnvironment:
    """A virtual environment; every process in it sees neither the checkout nor the user's settings."""

    root: Path
    wheel: Path

    @property
    def python(self) -> str:
        """The interpreter."""
        return str(self.root / "bin" / "python")

    def run(self, *command: str, check: bool = True, **options: object) -> subprocess.CompletedProcess[str]:
        """Run a command; a program of the environment's is found by its name."""
        path = f"{self.root / 'bin'}{os.pathsep}{os.environ['PATH']}"
        environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        options = {"env": {**environment, "PATH": path}, "timeout": 300, **options}
        done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
        return done

    def pip(self, *arguments: str) -> None:
        """Run pip with nothing but the wheelhouse to install from."""
        offline = ["--no-index", "--find-links", str(WHEELHOUSE)] if arguments[0] == "install" else []
        head = [self.python, "-m", "pip", "--disable-pip-version-check", "--quiet", arguments[0]]
        self.run(*head, *offline, *arguments[1:])


def build(folder: Path, repository: Path) -> FreshEnvironment:
    """Build the root distribution's wheel and install it, alone with its dependencies."""
    if not WHEELHOUSE.is_dir():
        pytest.skip(f"needs {WHEELHOUSE}, which `make install` fills")
    dist = folder / "dist"
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(dist), str(repository)],
        check=True,
        capture_output=True,
    )
    (wheel,) = dist.glob("*.whl")
    venv.create(folder / "venv", with_pip=True, symlinks=True)
    environment = FreshEnvironment(root=folder / "venv", wheel=wheel)
    environment.pip("install", str(wheel))
    return environment

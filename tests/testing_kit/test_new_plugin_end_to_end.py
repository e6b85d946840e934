"""The plugin author's journey with real processes: the wheel, a fresh environment, and every kind of new plugin."""

import importlib.metadata
import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from probe4d.scaffold import KINDS

ROOT = Path(__file__).parents[2]
WHEELHOUSE = ROOT / "wheelhouse"
PACKAGES = ("attrs", "cattrs", "click", "hatchling", "numpy", "pluggy", "pytest")

pytestmark = pytest.mark.skipif(
    not all(any(WHEELHOUSE.glob(f"{name}-*.whl")) for name in PACKAGES),
    reason=f"wheelhouse/ lacks wheels of {', '.join(PACKAGES)}: make install brings them",
)


class Environment:
    """A fresh virtual environment with the built wheel and its light dependencies."""

    def __init__(self, folder):
        self.folder = folder
        self.config = folder / "config"
        venv.create(folder, with_pip=True)

    def run(self, *line, ok=True, cwd=None):
        """Run a program of the environment and return what it did."""
        program = self.folder / "bin" / line[0]
        environment = {
            "PATH": str(self.folder / "bin"),
            "PROBE4D_CONFIG_DIR": str(self.config),
            "HOME": str(self.folder),
        }
        done = subprocess.run(
            [program, *map(str, line[1:])],
            cwd=cwd or self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not ok or done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done

    def pip(self, *line):
        return self.run("python", "-m", "pip", "-q", "--disable-pip-version-check", *line)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """Return the root distribution's wheel, built offline."""
    folder = tmp_path_factory.mktemp("dist")
    line = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run(line, check=True, capture_output=True)
    return next(folder.glob("probe4d-*.whl"))


@pytest.fixture(scope="session")
def environment(wheel, tmp_path_factory):
    made = Environment(tmp_path_factory.mktemp("environment"))
    made.pip("install", "--no-index", "--find-links", WHEELHOUSE, wheel, "hatchling", "pytest")
    return made


def listed(environment):
    """Return `category/plugin/name` of everything that `probe4d list` shows."""
    entries = json.loads(environment.run("probe4d", "list", "--json").stdout)
    return {f"{entry['category']}/{entry['name']}" for entry in entries}


def test_a_new_plugin_of_every_kind_installs_works_conforms_and_goes(environment, tmp_path):
    for kind in KINDS:
        environment.run("probe4d", "plugins", "new", f"toy-{kind}", "--kind", kind, "-o", tmp_path)
    folders = {kind: tmp_path / f"probe4d-toy-{kind}" for kind in KINDS}
    environment.pip("install", "--no-build-isolation", "--no-deps", *folders.values())

    new = {f"{template.category}/toy-{kind}/toy-{kind}" for kind, template in KINDS.items()}
    assert new <= listed(environment)

    done = environment.run(
        "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", folders["metric"] / "pyproject.toml",
        *(folder / "tests" for folder in folders.values()), cwd=tmp_path,
    )  # fmt: skip
    assert " passed" in done.stdout

    for kind in KINDS:
        report = json.loads(environment.run("probe4d", "plugins", "check", f"probe4d-toy-{kind}", "--json").stdout)
        assert report["ok"]
        assert report["counts"]["passed"] >= 3
        # jax is not installed there: what needs it is skipped, and counted.
        assert (report["counts"].get("skipped", 0) > 1) == KINDS[kind].needs_jax

    environment.run("probe4d", "plugins", "uninstall", *(f"toy-{kind}" for kind in KINDS))
    assert not new & listed(environment)


def test_the_wheel_has_the_version_that_is_developed(environment):
    done = environment.run("python", "-c", "import importlib.metadata as m; print(m.version('probe4d'))")
    assert done.stdout.strip() == importlib.metadata.version("probe4d")


def test_a_broken_plugin_fails_the_check_and_stops_nothing_else(environment, tmp_path):
    environment.run("probe4d", "plugins", "new", "broken", "--kind", "metric", "-o", tmp_path)
    impl = tmp_path / "probe4d-broken" / "probe4d_broken" / "impl.py"
    impl.write_text(impl.read_text().replace('"balanced_accuracy"', '"accuracy"'))
    done = environment.run("probe4d", "plugins", "check", f"{tmp_path}/probe4d-broken", ok=False)
    assert done.returncode == 1
    assert "values_are_as_declared" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr

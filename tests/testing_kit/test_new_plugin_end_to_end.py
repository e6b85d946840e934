"""The plugin author's journey with real processes: the wheel, a fresh environment, and every kind of new plugin."""

import importlib.metadata
import json

import pytest

from probe4d.scaffold import KINDS


@pytest.fixture(scope="module")
def environment(fresh_environment):
    """Return the fresh environment with what plugins are built and tested by."""
    fresh_environment.pip("install", "hatchling", "pytest")
    return fresh_environment


def listed(environment):
    """Return `category/plugin/name` of everything that `probe4d list` shows."""
    entries = json.loads(environment.run("probe4d", "list", "--json").stdout)
    return {f"{entry['category']}/{entry['name']}" for entry in entries}


def test_a_new_plugin_of_every_kind_installs_works_conforms_and_goes(environment, tmp_path):
    for kind in KINDS:
        environment.run("probe4d", "plugins", "new", f"toy-{kind}", "--kind", kind, "-o", str(tmp_path))
    folders = {kind: tmp_path / f"probe4d-toy-{kind}" for kind in KINDS}
    environment.pip("install", "--no-build-isolation", "--no-deps", *map(str, folders.values()))

    new = {f"{template.category}/toy-{kind}/toy-{kind}" for kind, template in KINDS.items()}
    assert new <= listed(environment)

    done = environment.run(
        "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", f"{folders['metric']}/pyproject.toml",
        *(f"{folder}/tests" for folder in folders.values()), cwd=tmp_path,
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
    environment.run("probe4d", "plugins", "new", "broken", "--kind", "metric", "-o", str(tmp_path))
    impl = tmp_path / "probe4d-broken" / "probe4d_broken" / "impl.py"
    impl.write_text(impl.read_text().replace('"balanced_accuracy"', '"accuracy"'))
    done = environment.run("probe4d", "plugins", "check", f"{tmp_path}/probe4d-broken", check=False)
    assert done.returncode == 1
    assert "values_are_as_declared" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_plugins_install_and_uninstall_work_on_a_plugin_that_kills_the_interpreter(environment, tmp_path):
    environment.run("probe4d", "plugins", "new", "deadly", "--kind", "metric", "-o", str(tmp_path))
    entry = tmp_path / "probe4d-deadly" / "probe4d_deadly" / "plugin.py"
    entry.write_text("import os\nos._exit(77)\n")
    options = ["-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    environment.run("python", "-m", "pip", "wheel", *options, str(entry.parents[1]))
    (wheel,) = tmp_path.glob("probe4d_deadly-*.whl")
    done = environment.run("probe4d", "plugins", "install", str(wheel))
    assert "runs its author's code" in done.stderr
    assert environment.run("probe4d", "list", check=False).returncode == 77
    assert "deadly" in environment.run("probe4d", "plugins", "list").stdout
    environment.run("probe4d", "plugins", "uninstall", "deadly")
    assert environment.run("probe4d", "list").returncode == 0


def test_installing_what_does_not_exist_says_so(environment):
    done = environment.run("probe4d", "plugins", "install", "probe4d-no-such-plugin-at-all", check=False)
    assert done.returncode == 3
    assert "pip install: failed" in done.stderr
    assert "Traceback" not in done.stderr

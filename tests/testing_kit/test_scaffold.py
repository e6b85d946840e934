"""`probe4d plugins new`: every kind is complete, clean and conforming, with no venv needed to see it."""

import os
import re
import subprocess
import sys
import tomllib

import pytest
from click.testing import CliRunner

from probe4d.commands.plugins_new import command
from probe4d.errors import Probe4dError, UsageError
from probe4d.scaffold import KINDS, LONGEST, check_name, render, write

LONG = "a" * (LONGEST - 2) + "-b"


@pytest.fixture(scope="module")
def projects(tmp_path_factory):
    """Return the folder of a new project of each kind."""
    return {kind: write(f"toy-{kind}", kind, tmp_path_factory.mktemp("new")) for kind in KINDS}


def run(*arguments, folder):
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    line = [sys.executable, "-m", *map(str, arguments)]
    return subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_project_is_complete_and_declares_its_entry_point(kind, projects):
    folder = projects[kind]
    files = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    package = f"probe4d_toy_{kind}"
    assert files >= {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        ".gitignore",
        ".github/workflows/test.yml",
        f"{package}/__init__.py",
        f"{package}/plugin.py",
        "tests/test_conformance.py",
        f"tests/test_{package}.py",
    }
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == f"probe4d-toy-{kind}"
    assert project["entry-points"]["probe4d"] == {f"toy-{kind}": f"{package}.plugin"}
    assert "test" in project["optional-dependencies"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["x", LONG])
def test_no_placeholder_is_left_and_no_line_depends_on_the_name(kind, name, tmp_path):
    for path, text in render(name, kind).items():
        assert not re.search(r"\{\{\w+\}\}", path + text), path
    folder = write(name, kind, tmp_path)
    for check in (["check"], ["format", "--check"]):
        done = run("ruff", *check, "--no-cache", ".", folder=folder)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_new_code_is_typed(projects, tmp_path):
    # All at once: mypy's start is most of its time.
    packages = [folder / f"probe4d_toy_{kind}" for kind, folder in projects.items()]
    config = projects["readout"] / "pyproject.toml"
    done = run("mypy", "--cache-dir", tmp_path, "--config-file", config, *packages, folder=tmp_path)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_projects_own_tests_pass(kind, projects):
    done = run("pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", folder=projects[kind])
    assert done.returncode == 0, done.stdout[-3000:]
    assert "passed" in done.stdout


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("My Backbone", "Try 'my-backbone'"),
        ("1st", "Try 'st'"),
        ("a_b", "Try 'a-b'"),
        ("a--b", "Try 'a-b'"),
        ("../escape", "Try 'escape'"),
        ("", "got ''"),
        ("x" * 31, "at most 30"),
        ("probe4d", "probe4d itself"),
        ("ä", "lower-case words"),
    ],
)
def test_a_name_that_cannot_be_a_plugins_is_refused_with_one_that_can(name, words):
    with pytest.raises(UsageError, match=re.escape(words)):
        check_name(name)


def test_a_leading_probe4d_is_not_doubled():
    assert check_name("probe4d-mine") == "mine"


def test_an_unknown_kind_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(UsageError, match="Did you mean 'backbone'"):
        write("x", "backbones", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("is_file", [True, False])
def test_what_is_there_already_is_left_alone(is_file, tmp_path):
    there = tmp_path / "probe4d-mine"
    there.touch() if is_file else there.mkdir()
    with pytest.raises(UsageError, match="found one"):
        write("mine", "metric", tmp_path)
    assert list(tmp_path.rglob("*")) == [there]


def test_a_folder_that_cannot_be_written_is_an_error_of_ours(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Probe4dError, match="expected to write there"):
        write("mine", "metric", tmp_path / "file")


def test_the_command_says_what_to_do_next(tmp_path):
    done = CliRunner().invoke(command, ["mine", "--kind", "readout", "-o", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        f"Wrote {tmp_path}/probe4d-mine. Next:",
        f"  pip install -e '{tmp_path}/probe4d-mine[jax,test]'",
        "  probe4d info mine/mine",
        f"  pytest {tmp_path}/probe4d-mine",
        "  probe4d plugins check probe4d-mine",
    ]

"""The plugin as probe4d sees it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from probe4d.testing import check_command, check_report_panel
from probe4d_report.plugin import COMMANDS, PANELS, probe4d_commands, probe4d_report_panels


def test_the_plugin_imports_neither_numpy_nor_jinja():
    code = (
        "import sys, probe4d_report.plugin\n"
        "print([name for name in ('numpy', 'jinja2', 'jax', 'zarr', 'click') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_its_hooks_return_its_specs():
    assert probe4d_report_panels() == PANELS
    assert [spec.name for spec in probe4d_commands()] == ["report", "paper"]
    assert [spec.order for spec in PANELS] == sorted(spec.order for spec in PANELS)


@pytest.mark.parametrize("spec", PANELS, ids=lambda spec: spec.name)
def test_every_panel_conforms(spec):
    assert [one.status for one in check_report_panel(spec)] == ["passed"]


@pytest.mark.parametrize("spec", COMMANDS, ids=lambda spec: spec.name)
def test_every_command_conforms(spec):
    results = check_command(spec)
    assert len(results) == 2
    assert {one.status for one in results} == {"passed"}


def test_the_commands_run_in_a_process_of_their_own(made, tmp_path):
    made.write_cell(tmp_path / "run", made.THREE[1], "pose")
    for arguments, last in ((("report", "run"), "report.html"), (("paper", "-o", "figures"), "index.html")):
        done = subprocess.run(
            [sys.executable, "-m", "probe4d", *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=tmp_path,
            env=os.environ,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.split()[-1].endswith(last)
        assert (tmp_path / done.stdout.split()[-1]).is_file()


def test_a_folder_that_is_no_run_is_refused_in_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "probe4d", "report", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 5
    assert "expected a run with records, got none" in done.stderr
    assert "Traceback" not in done.stderr

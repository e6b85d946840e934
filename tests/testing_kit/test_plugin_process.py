"""A plugin is checked in a process of its own, whatever it does there."""

import json

import pytest
from click.testing import CliRunner

from probe4d.commands.plugins_check import command, find_targets
from probe4d.errors import UnknownNameError, UsageError
from probe4d.testing import check_plugin

SOUND = """
from probe4d import AggregateSpec, hookimpl
@hookimpl
def probe4d_aggregates():
    return [AggregateSpec(name="biggest", target="builtins:max")]
"""
CRASHES = (
    SOUND
    + """
    import os, signal
def crash(**options):
    import os, signal
    os.kill(os.getpid(), signal.SIGSEGV)
from probe4d import MetricSpec, MetricValue
@hookimpl
def probe4d_metrics():
    value = MetricValue(name="v")
    return [MetricSpec(name="boom", target="probe4d_toy.plugin:crash", kind="labels", values=(value,))]
"""
)


@pytest.fixture
def project(tmp_path):
    """Return a function that writes a plugin project and returns its folder."""

    def write(code, module="plugin", extra=None, source=""):
        package = tmp_path / source / "probe4d_toy"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        for name, text in {module: code, **(extra or {})}.items():
            (package / f"{name}.py").write_text(text)
        points = '[project]\nname = "toy"\n[project.entry-points.probe4d]\ntoy = "probe4d_toy.plugin"\n'
        (tmp_path / "pyproject.toml").write_text(points)
        return tmp_path

    return write


def check(folder, timeout=60.0):
    return check_plugin("toy", "probe4d_toy.plugin", folder, timeout)


def statuses(report):
    return {(one.category, result.name): result for one in report.subjects for result in one.results}


def test_a_sound_plugin_passes_and_every_check_ran(project):
    report = check(project(SOUND))
    assert report.ok
    assert report.summary == "ran 4 of 4 checks: 4 passed"


@pytest.mark.parametrize("package", ["numpy", "zarr", "matplotlib", "torch"])
def test_a_heavy_import_is_caught_and_its_line_named(project, package):
    folder = project(f"\n\ntry:\n    import {package}\nexcept ImportError:\n    pass\n" + SOUND)
    result = statuses(check(folder))["plugin", "entry_module_is_light"]
    assert result.status == "failed"
    assert f"{package} at {folder}/probe4d_toy/plugin.py:4" in result.reason


def test_a_heavy_import_two_modules_away_is_named_where_the_plugin_does_it(project):
    folder = project("from probe4d_toy import sizes\n" + SOUND, extra={"sizes": "\nimport numpy.linalg\n"})
    result = statuses(check(folder))["plugin", "entry_module_is_light"]
    assert f"numpy at {folder}/probe4d_toy/sizes.py:2" in result.reason


def test_a_heavy_import_inside_a_hook_is_caught(project):
    folder = project(SOUND.replace("    return", "    import numpy\n    return"))
    assert statuses(check(folder))["plugin", "entry_module_is_light"].status == "failed"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import no_such_module_at_all\n", "no_such_module_at_all"),
        ("import sys; sys.exit(0)\n", "sys.exit(0)"),
        (SOUND.replace("probe4d_aggregates", "probe4d_aggregate"), "Did you mean 'probe4d_aggregates'"),
        ("PROBE4D_PLUGIN_API = 99\n" + SOUND, "hook API 99"),
        (SOUND.replace("return [", "return 7 or ["), "expected a list"),
    ],
    ids=["import", "exit", "misspelt hook", "hook API", "no list"],
)
def test_a_plugin_that_does_not_load_fails_with_the_reason(project, code, words):
    report = check(project(code))
    result = statuses(report)["plugin", "plugin_loads"]
    assert not report.ok
    assert result.status == "failed"
    assert words in result.reason


def test_a_plugin_that_provides_nothing_fails(project):
    empty = SOUND[: SOUND.index("return")] + "return []\n"
    assert statuses(check(project(empty)))["plugin", "something_is_provided"].status == "failed"


@pytest.mark.parametrize("death", ["os._exit(0)", "os.kill(os.getpid(), 11)"])
def test_a_plugin_that_ends_the_process_while_it_is_imported_is_survived(project, death):
    report = check(project(f"import os\n{death}\n"))
    assert not report.ok
    result = statuses(report)["plugin", "plugin_loads"]
    assert result.reason in ("the process ended with code 0", "the process was ended by SIGSEGV")


def test_a_check_that_crashes_is_named_and_the_rest_is_counted_as_not_reached(project):
    report = check(project(CRASHES))
    found = statuses(report)
    assert found["metrics", "target_constructs"].reason == "the process was ended by SIGSEGV"
    assert found["metrics", "merge_is_associative"].status == "skipped"
    assert found["aggregates", "target_is_callable"].reason == "not reached: the process was ended by SIGSEGV"
    assert not report.ok


def test_a_plugin_that_hangs_is_ended(project):
    report = check(project("import time\ntime.sleep(60)\n"), timeout=1.5)
    assert statuses(report)["plugin", "plugin_loads"].reason == "it took longer than 1.5 s"


def test_what_the_module_declares_is_expected_to_fail(project):
    broken = SOUND.replace("builtins:max", "builtins:gone")
    declared = (
        'PROBE4D_CONFORMANCE = {"expected_failed_checks": {"aggregates/biggest": {"target_is_callable": "soon"}}}'
    )
    report = check(project(broken + declared))
    assert report.ok
    assert statuses(report)["aggregates", "target_is_callable"].status == "xfail"


@pytest.mark.parametrize(
    "declared",
    [
        {"smal": {}},
        {"expected_failed_checks": {"aggregates/bigest": {}}},
        {"expected_failed_checks": {"aggregates/biggest": {"target_is": ""}}},
        [],
    ],
    ids=str,
)
def test_a_declaration_that_nothing_reads_is_a_failure(project, declared):
    report = check(project(SOUND + f"PROBE4D_CONFORMANCE = {declared}"))
    assert statuses(report)["plugin", "declaration_is_read"].status == "failed"


def test_the_command_prints_the_report_and_ends_with_0(project):
    done = CliRunner().invoke(command, [f"{project(SOUND)}/"])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == "toy: ran 4 of 4 checks: 4 passed"


def test_the_command_ends_with_1_when_a_check_fails(project):
    done = CliRunner().invoke(command, ["--json", f"{project(SOUND.replace('builtins:max', 'builtins:gone'))}/"])
    assert done.exit_code == 1
    report = json.loads(done.stdout)
    assert (report["ok"], report["counts"]["failed"]) == (False, 1)


def test_the_command_ends_with_1_when_the_plugin_provides_nothing(project):
    assert CliRunner().invoke(command, [f"{project('import probe4d')}/"]).exit_code == 1


def test_the_command_prints_markdown(project):
    done = CliRunner().invoke(command, ["--markdown", f"{project(SOUND)}/"])
    assert "| aggregates | biggest | target_is_callable | passed |  |" in done.stdout


def test_what_a_plugin_prints_does_not_end_up_in_the_json(project):
    done = CliRunner().invoke(command, ["--json", f"{project('print(1)' + SOUND)}/"])
    assert json.loads(done.stdout)["ok"] is True


def test_a_package_under_src_is_found(project):
    folder = project(SOUND, source="src")
    assert find_targets(f"{folder}/")[0].path == folder / "src"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "pyproject.toml"),
        ("[project", "expected TOML"),
        ("[project]\n", "entry-points.probe4d"),
        ('[project.entry-points.probe4d]\nx = "gone.plugin"\n', "expected the package 'gone'"),
    ],
)
def test_a_folder_that_is_no_plugin_is_refused_with_the_reason(tmp_path, text, words):
    if text is not None:
        (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(UsageError, match=words):
        find_targets(f"{tmp_path}/")


def test_an_unknown_name_is_refused():
    with pytest.raises(UnknownNameError, match="no such plugin"):
        find_targets("no-such-plugin")

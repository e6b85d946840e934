"""The program, run as a user runs it: real processes, exit codes, stdout kept for data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import distribution

import pytest

HEAVY = ("numpy", "zarr", "jax", "torch", "fsspec", "cattrs", "flax", "rich")


def modules_after(site, *arguments: str) -> set[str]:
    """Return the modules that a process has imported once `probe4d ARGUMENTS` is done."""
    code = (
        "import sys, atexit\n"
        "atexit.register(lambda: print('\\n' + ' '.join(sys.modules), file=sys.stderr))\n"
        f"from probe4d.cli import main\nmain({list(arguments)!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(site.root)},
    )
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in done.stderr.splitlines()[-1].split()}


@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["info", "list"], ["--help"], ["plugins", "list"]])
def test_listing_imports_no_array_library(arguments, site, toy_backbone):
    for number in range(5):
        site.add(f"toy{number}", toy_backbone)
    assert not modules_after(site, *arguments).intersection(HEAVY)


def test_listing_does_not_import_what_a_plugin_provides(site, toy_backbone):
    module = site.add("toy", toy_backbone)
    (site.root / f"{module}_model.py").write_text("raise SystemExit('imported')\n")
    done = site.run("list", "backbones")
    assert done.returncode == 0
    assert "toy/toy" in done.stdout


def test_list_as_json_holds_all_facts_and_provenance(site, toy_backbone):
    site.add("toy", toy_backbone, version="3.1")
    facts = json.loads(site.run("list", "backbones", "--json", "-F", "plugin=toy").stdout)
    assert len(facts) == 1
    assert facts[0]["name"] == "toy/toy"
    assert (facts[0]["distribution"], facts[0]["version"]) == ("toy-toy", "3.1")
    assert facts[0]["tokens"] == {"time": 2, "space": 4, "channels": 3}


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["-F", "input.height=8"], ["a/a", "b/b"]),
        (["-F", "plugin=b"], ["b/b"]),
        (["-F", "name=?/a", "-F", "trainable=false"], ["a/a"]),
        (["-F", "plugin=a", "-F", "plugin=b"], ["b/b"]),
        (["-F", "plugin=c"], []),
    ],
)
def test_filters_take_dotted_keys_and_wildcards(filters, found, site, toy_backbone):
    site.add("a", toy_backbone)
    site.add("b", toy_backbone)
    done = site.run("list", "backbones", "--json", *filters, PROBE4D_PLUGINS="a,b")
    assert [facts["name"] for facts in json.loads(done.stdout)] == found


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["list", "backbonez"], 2, "backbonez"),
        (["list", "-F", "hight=8"], 2, "nothing listed has that key"),
        (["list", "-F", "height"], 2, "expected key=value"),
        (["info", "toi"], 2, "Did you mean 'toy'"),
        (["lits"], 2, "Did you mean 'list'"),
        (["-p", "toy", "list"], 2, "expected no:NAME"),
        (["plugins", "disable", "nobody"], 2, "no such plugin is installed"),
        (["plugins", "enable", "toy"], 2, "expected plugins that are disabled"),
        (["plugins", "uninstall", "probe4d"], 2, "got probe4d itself"),
        (["plugins", "install", "--index-url=x"], 2, "--index-url"),
        (["completion", "tcsh"], 2, "tcsh"),
    ],
)
def test_a_wrong_call_says_what_was_expected_with_exit_code_2(arguments, code, words, site, toy_backbone):
    site.add("toy", toy_backbone)
    done = site.run(*arguments)
    assert done.returncode == code
    assert words in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_a_broken_plugin_is_named_on_stderr_and_the_rest_is_listed(site, toy_backbone):
    site.add("toy", toy_backbone)
    site.add("bad", "import no_such_package_at_all\n")
    done = site.run("list", "backbones", PROBE4D_PLUGINS="toy,bad")
    assert done.returncode == 0
    assert "toy/toy" in done.stdout
    assert "1 plugin not loaded: bad. Run `probe4d doctor`." in done.stderr


def test_an_install_without_plugins_says_what_to_install(site):
    done = site.run("list", PROBE4D_PLUGINS="", PYTHONPATH="")
    assert done.returncode == 0
    assert "metrics" in done.stdout
    # `PROBE4D_PLUGINS=` switches plugins off, so the hint is for an install that has none.
    bare = subprocess.run(
        [sys.executable, "-c", "from importlib import metadata as m; m.entry_points = lambda **k: ()\n"
         "from probe4d.cli import main; main(['list'])"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert "pip install probe4d-fourds" in bare.stdout


def test_doctor_shows_every_plugin_and_fails_for_a_broken_one(site, toy_backbone):
    site.add("toy", toy_backbone)
    site.add("bad", "import no_such_package_at_all\n")
    done = site.run("doctor", PROBE4D_PLUGINS="toy,bad")
    assert done.returncode == 3
    assert "toy (toy-toy 1.0): ok; 1 backbones" in done.stdout
    assert "bad (toy-bad 1.0): failed; ModuleNotFoundError" in done.stdout
    assert "try: pip install no_such_package_at_all" in done.stdout
    assert "Traceback" in site.run("-v", "doctor", PROBE4D_PLUGINS="bad").stdout


def test_doctor_survives_a_plugin_that_kills_the_interpreter(site, toy_backbone):
    site.add("toy", toy_backbone)
    site.add("killer", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    done = site.run("doctor", "--json", PROBE4D_PLUGINS="toy,killer")
    plugins = {plugin["name"]: plugin for plugin in json.loads(done.stdout)["plugins"]}
    assert plugins["toy"]["status"] == "ok"
    assert plugins["killer"]["status"] == "failed"
    assert "signal 9" in plugins["killer"]["error"]
    assert done.returncode == 3


def test_plugins_list_disable_and_enable_import_no_plugin(site, tmp_path):
    site.add("bomb", "import os\nos._exit(77)\n")
    settings = {"PROBE4D_CONFIG_DIR": str(tmp_path / "config")}
    listed = json.loads(site.run("plugins", "list", "--json", **settings).stdout)
    bomb = {"name": "bomb", "distribution": "toy-bomb", "version": "1.0", "enabled": True, "reason": None}
    assert bomb.items() <= next(row for row in listed if row["name"] == "bomb").items()
    assert site.run("list", **settings).returncode == 77
    assert site.run("plugins", "disable", "toy_bomb", **settings).returncode == 0
    assert site.run("list", **settings).returncode == 0
    listed = json.loads(site.run("plugins", "list", "--json", **settings).stdout)
    assert next(row for row in listed if row["name"] == "bomb")["reason"] == "disabled by `probe4d plugins disable`"
    assert site.run("plugins", "enable", "bomb", **settings).returncode == 0
    assert site.run("list", **settings).returncode == 77
    assert site.run("-p", "no:bomb", "list", **settings).returncode == 0


def test_a_spoilt_settings_file_is_named(site, tmp_path):
    (tmp_path / "plugins.toml").write_text("disabled = 3\n")
    done = site.run("list", PROBE4D_CONFIG_DIR=str(tmp_path))
    assert done.returncode == 2
    assert str(tmp_path / "plugins.toml") in done.stderr
    assert "Traceback" not in done.stderr


COMMAND = """
from probe4d import CommandSpec, hookimpl

@hookimpl
def probe4d_commands():
    return [CommandSpec(name="greet", target="{module}_command:greet", summary="Say hello.")]
"""


def test_a_plugin_adds_a_command_that_is_imported_only_when_called(site):
    module = site.add("greeter", COMMAND)
    (site.root / f"{module}_command.py").write_text(
        "import click\nprint('imported')\n@click.command()\n@click.option('--who', default='you')\n"
        "def greet(who):\n    click.echo(f'hello {who}')\n"
    )
    helped = site.run("--help", PROBE4D_PLUGINS="greeter")
    assert "greet " in helped.stdout
    assert "Say hello." in helped.stdout
    assert "imported" not in helped.stdout
    assert site.run("greet", "--who", "them").stdout == "imported\nhello them\n"


def test_a_command_whose_package_is_missing_says_what_to_install(site):
    module = site.add("greeter", COMMAND)
    (site.root / f"{module}_command.py").write_text("import no_such_package_at_all\n")
    done = site.run("greet")
    assert done.returncode == 3
    assert "pip install no_such_package_at_all" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell, site):
    assert "_PROBE4D_COMPLETE" in site.run("completion", shell).stdout


def test_a_closed_pipe_ends_quietly(site):
    done = subprocess.run(
        f"{sys.executable} -m probe4d list --json | head -c 1", shell=True, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""


def test_the_installed_script_is_the_same_program(site):
    scripts = [entry for entry in distribution("probe4d").entry_points if entry.group == "console_scripts"]
    assert [entry.value for entry in scripts] == ["probe4d.cli:main"]


def test_help_follows_a_plugin_that_changes(site, tmp_path):
    own = {"PROBE4D_PLUGINS": "greeter", "PROBE4D_CACHE_DIR": str(tmp_path / "cache")}
    assert "greet " not in site.run("--help", **own).stdout
    module = site.add("greeter", COMMAND)
    assert "Say hello." in site.run("--help", **own).stdout
    assert "Say hello." in site.run("--help", **own).stdout
    (site.root / f"{module}.py").write_text(COMMAND.format(module=module).replace("Say hello.", "Say good day."))
    assert "Say good day." in site.run("--help", **own).stdout
    assert "greet " not in site.run("-p", "no:greeter", "--help", **own).stdout
    (tmp_path / "cache/commands.json").write_text("{spoilt")
    assert "Say good day." in site.run("--help", **own).stdout


def test_the_public_names_are_there_and_no_others():
    import probe4d

    for name in probe4d.__all__:
        if name not in ("load_backbone", "score"):  # need array libraries; tested where they are made
            assert getattr(probe4d, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = probe4d.nothing
    assert set(dir(probe4d)) == set(probe4d.__all__)


def test_a_folder_that_cannot_be_written_is_named(site, tmp_path):
    (tmp_path / "file").write_text("")
    site.add("toy", COMMAND)
    done = site.run("plugins", "disable", "toy", PROBE4D_CONFIG_DIR=str(tmp_path / "file" / "config"))
    assert done.returncode in (1, 2)
    assert str(tmp_path / "file") in done.stderr
    assert "Traceback" not in done.stderr

"""How plugins are loaded: each kind of broken plugin stops only itself."""

from __future__ import annotations

import re

import pytest

from probe4d import loader
from probe4d.errors import PluginError, UnknownNameError
from probe4d.loader import Switches
from probe4d.registry import build

# name of the fault -> (code of the entry module, what the record has to say)
BROKEN = {
    "import-error": ("import no_such_package_at_all\n", "ModuleNotFoundError.*no_such_package_at_all"),
    "syntax-error": ("def broken(:\n", "SyntaxError"),
    "sys-exit": ("import sys\nsys.exit(3)\n", r"called sys.exit\(3\)"),
    "base-exception": ("raise GeneratorExit('gone')\n", "GeneratorExit: gone"),
    "misspelt": (
        "from probe4d import hookimpl\n@hookimpl\ndef probe4d_backbone():\n    return []\n",
        "probe4d_backbone: there is no such hook. Did you mean 'probe4d_backbones'",
    ),
    "unmarked": ("def probe4d_backbones():\n    return []\n", "expected the mark @hookimpl"),
    "wrong-signature": (
        "from probe4d import hookimpl\n@hookimpl\ndef probe4d_backbones(config):\n    return []\n",
        "PluginValidationError.*config",
    ),
    "no-hook": ("x = 1\n", "implements no hook"),
    "raises": (
        "from probe4d import hookimpl\n@hookimpl\ndef probe4d_metrics():\n    raise KeyError('inside')\n",
        "KeyError: 'inside'",
    ),
    "returns-a-string": (
        "from probe4d import hookimpl\n@hookimpl\ndef probe4d_metrics():\n    return 'points'\n",
        "expected a list of MetricSpec, got str",
    ),
    "returns-a-class": (
        "from probe4d import hookimpl\n@hookimpl\ndef probe4d_metrics():\n    return [dict]\n",
        "expected MetricSpec, got <class 'dict'>",
    ),
    "invalid-spec": (
        "from probe4d import hookimpl, RunnerSpec\n@hookimpl\ndef probe4d_runners():\n"
        "    return [RunnerSpec(name='Bad Name', target='a.b:c')]\n",
        "RunnerSpec.*name: expected lower-case",
    ),
    "invalid-target": (
        "from probe4d import hookimpl, RunnerSpec\n@hookimpl\ndef probe4d_runners():\n"
        "    return [RunnerSpec(name='x', target='a/b.py')]\n",
        "'package.module:attribute', got 'a/b.py'",
    ),
    "name-twice": (
        "from probe4d import hookimpl, RunnerSpec\n@hookimpl\ndef probe4d_runners():\n"
        "    return [RunnerSpec(name='x', target='a:b'), RunnerSpec(name='x', target='a:c')]\n",
        r"expected each name once, got \['x'\] twice",
    ),
    "takes-a-command": (
        "from probe4d import hookimpl, CommandSpec\n@hookimpl\ndef probe4d_commands():\n"
        "    return [CommandSpec(name='list', target='a:b')]\n",
        r"\['list'\] are commands of probe4d itself",
    ),
    "wrapper": (
        "from probe4d import hookimpl\n@hookimpl(wrapper=True)\ndef probe4d_runners():\n    return (yield)\n",
        "expected a plain hook, got a wrapper",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_plugin_stops_only_itself(fault, site, toy_backbone):
    code, words = BROKEN[fault]
    site.add(fault, code)
    site.add("well", toy_backbone)
    records = {record.name: record for record in site.load().records}
    assert records[fault].status == "failed"
    assert re.search(words, records[fault].error)
    assert records[fault].traceback
    assert records[fault].hint
    assert records[fault].specs == {}
    assert records["well"].status == "ok"
    assert [spec.name for spec in records["well"].specs["backbones"]] == ["well"]


def test_a_broken_plugin_leaves_no_hook_behind(site):
    site.add("half", BROKEN["raises"][0])
    loaded = site.load()
    assert {name for name, _ in loaded.manager.list_name_plugin()} == {"probe4d"}


@pytest.mark.parametrize(("spoken", "upgrade"), [("99", "probe4d"), ("0", "toy-other"), ("'new'", "toy-other")])
def test_another_hook_api_is_incompatible_and_says_what_to_upgrade(spoken, upgrade, site, toy_backbone):
    site.add("other", f"PROBE4D_PLUGIN_API = {spoken}\n{toy_backbone}")
    record = site.load().records[-1]
    assert record.status == "incompatible"
    assert record.hint == f"pip install --upgrade {upgrade}"


def test_a_taken_name_is_set_aside_and_names_its_owner(site, toy_backbone):
    site.add("same", toy_backbone, distribution="first-dist", module="toy_same_first")
    site.add("same", toy_backbone, distribution="second-dist", module="toy_same_second")
    first, second = site.load().records[1:]
    assert (first.distribution, first.status) == ("first-dist", "ok")
    assert (second.distribution, second.status) == ("second-dist", "failed")
    assert "taken by first-dist" in second.error


def test_a_plugin_cannot_call_itself_probe4d(site, toy_backbone):
    site.add("probe4d", toy_backbone)
    assert "taken by probe4d itself" in site.load().records[-1].error


def test_the_record_holds_provenance(site, toy_backbone):
    module = site.add("well", toy_backbone, version="2.5")
    record = site.load().records[-1]
    assert (record.distribution, record.version, record.module) == ("toy-well", "2.5", module)
    assert record.hooks == ("probe4d_backbones",)
    assert 0 < record.seconds < 10


def test_what_a_plugin_prints_at_import_does_not_reach_stdout(site, toy_backbone, capsys):
    site.add("loud", "print('hello')\n" + toy_backbone)
    assert site.load().records[-1].status == "ok"
    out, err = capsys.readouterr()
    assert out == ""
    assert "hello" in err


@pytest.mark.parametrize(
    ("environment", "options", "configured", "loads"),
    [
        ({}, (), (), {"one", "two"}),
        ({"PROBE4D_PLUGINS": "one"}, (), (), {"one"}),
        ({"PROBE4D_PLUGINS": "toy_ONE, two"}, (), (), {"one", "two"}),
        ({"PROBE4D_PLUGINS": ""}, (), (), set()),
        ({"PROBE4D_DISABLE_PLUGINS": "one,three"}, (), (), {"two"}),
        ({}, ("no:two",), (), {"one"}),
        ({}, (), ("toy-one",), {"two"}),
    ],
)
def test_switches_decide_what_loads(environment, options, configured, loads, site, toy_backbone, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    site.add("one", toy_backbone)
    site.add("two", toy_backbone)
    records = site.load(Switches.of_environment(options, configured)).records
    assert {record.name for record in records if record.status == "ok"} == {"probe4d", *loads}
    assert {record.name for record in records if record.status == "disabled"} == {"one", "two"} - loads


def test_a_disabled_plugin_is_not_imported(site):
    site.add("bomb", "raise SystemExit('imported')\n")
    record = site.load(Switches(disabled={"bomb": "a test"})).records[-1]
    assert (record.status, record.error) == ("disabled", "disabled by a test")


def test_strict_plugins_refuse_to_go_on(site, monkeypatch):
    monkeypatch.setenv("PROBE4D_STRICT_PLUGINS", "1")
    site.add("bad", BROKEN["no-hook"][0])
    with pytest.raises(PluginError, match=r"bad \(it implements no hook"):
        site.load()


def test_an_interrupt_while_a_plugin_loads_is_not_swallowed(site):
    site.add("slow", "raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        site.load()


def test_a_short_name_works_while_it_is_unique(site, toy_backbone):
    site.add("one", toy_backbone)
    registry = build(site.load())
    assert registry.find("backbones", "one").name == "one/one"
    assert registry.find("backbones", "ONE/One").name == "one/one"


def test_an_ambiguous_name_lists_its_candidates(site, toy_backbone):
    site.add("one", toy_backbone.replace("{name}", "same"))
    site.add("two", toy_backbone.replace("{name}", "same"))
    registry = build(site.load())
    with pytest.raises(UnknownNameError, match="several plugins have it: one/same, two/same"):
        registry.find("backbones", "same")
    assert registry.find("backbones", "two/same").plugin == "two"


def test_an_unknown_name_says_what_is_near_and_which_plugin_did_not_load(site, toy_backbone):
    site.add("vjepa", toy_backbone)
    site.add("broken", "import no_such_package_at_all\n")
    registry = build(site.load())
    with pytest.raises(UnknownNameError) as caught:
        registry.find("backbones", "v-jepa")
    assert "Did you mean 'vjepa'" in str(caught.value)
    assert "broken (failed: ModuleNotFoundError" in str(caught.value)


def test_every_hook_is_documented_and_served():
    from probe4d import hookspecs

    hooks = [value for name, value in vars(hookspecs).items() if name.startswith("probe4d_")]
    assert {hook.__name__ for hook in hooks} == {f"probe4d_{kind}" for kind in loader.HOOKS} | {"probe4d_on_record"}
    for hook in hooks:
        assert hook.__doc__
        assert hook.__annotations__["return"]

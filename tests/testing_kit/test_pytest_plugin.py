"""The kit in pytest: one test a check, and plugins that only the test has."""

import sys
import types

import pytest

from probe4d import AggregateSpec, hookimpl
from probe4d import registry as registries
from probe4d.errors import UnknownNameError, UsageError
from probe4d.testing import parametrize_with_checks
from probe4d.testing.pytest_plugin import probe4d_pm  # noqa: F401 - a fixture

SOUND = AggregateSpec(name="sound", target="builtins:max")
BROKEN = AggregateSpec(name="broken", target="builtins:no_such_thing")
ABSENT = AggregateSpec(name="absent", target="builtins:max", requires=("no-such-package",))


def checks_of(mark):
    """Return the parametrized checks by id."""
    return {param.id: param.values[0] for param in mark.mark.args[1]}


@parametrize_with_checks([SOUND, SOUND.__class__(name="second", target="builtins:min")])
def test_a_decorated_test_runs_once_per_check(check):
    check()


def test_a_check_fails_the_test_with_its_name_and_reason():
    check = checks_of(parametrize_with_checks([BROKEN]))["aggregates/broken-target_is_callable"]
    with pytest.raises(pytest.fail.Exception, match="target_is_callable: raised PluginError"):
        check()


def test_a_check_that_cannot_run_skips_the_test_with_its_reason():
    check = checks_of(parametrize_with_checks([ABSENT]))["aggregates/absent-target_is_callable"]
    with pytest.raises(pytest.skip.Exception, match="needs no-such-package"):
        check()


def test_an_expected_failure_is_an_xfail():
    expected = {"aggregates/broken": {"target_is_callable": "it is new"}}
    check = checks_of(parametrize_with_checks([BROKEN], expected_failed_checks=expected)).popitem()[1]
    with pytest.raises(pytest.xfail.Exception, match="it is new"):
        check()


def test_an_expected_failure_that_passes_fails():
    expected = {"aggregates/sound": {"target_is_callable": "it was new"}}
    check = checks_of(parametrize_with_checks([SOUND], expected_failed_checks=expected)).popitem()[1]
    with pytest.raises(pytest.fail.Exception, match="but passed"):
        check()


@pytest.mark.parametrize("expected", [{"aggregates/soundd": {}}, {"aggregates/sound": {"target_is_called": "typo"}}])
def test_an_expected_failure_of_nothing_is_refused(expected):
    with pytest.raises(UsageError, match="Did you mean"):
        parametrize_with_checks([SOUND], expected_failed_checks=expected)


def test_nothing_to_check_is_an_error():
    with pytest.raises(ValueError, match="got none"):
        parametrize_with_checks([])


def toy_module(name, spec):
    """Return a plugin's entry module with one aggregate."""
    module = types.ModuleType(name)

    @hookimpl
    def probe4d_aggregates():
        return [spec]

    module.probe4d_aggregates = probe4d_aggregates
    return module


def test_a_plugin_module_is_checked_whole(monkeypatch):
    monkeypatch.setitem(sys.modules, "probe4d_toy_entry", toy_module("probe4d_toy_entry", SOUND))
    mark = parametrize_with_checks({"toy": "probe4d_toy_entry"})
    assert list(checks_of(mark)) == ["aggregates/sound-target_is_callable"]


def test_the_fixture_sees_no_plugin_but_those_added(probe4d_pm, monkeypatch):  # noqa: F811
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: pytest.fail("looked at what is installed"))
    assert {record.name for record in probe4d_pm.registry.records} == {"probe4d"}
    probe4d_pm.add("toy", toy_module("probe4d_toy_entry", SOUND))
    assert registries.find("aggregates", "sound").name == "toy/sound"


def test_the_fixture_leaves_nothing_behind():
    with pytest.raises(UnknownNameError):
        registries.find("aggregates", "toy/sound")


def test_names_of_the_kit_are_imported_when_used_and_listed():
    import probe4d.testing

    for name in probe4d.testing.__all__:
        assert getattr(probe4d.testing, name) is not None
    assert set(probe4d.testing.__all__) == set(probe4d.testing._HOME_OF)
    with pytest.raises(AttributeError, match="no attribute 'check_nothing'"):
        _ = probe4d.testing.check_nothing

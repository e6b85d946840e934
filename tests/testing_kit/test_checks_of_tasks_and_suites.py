"""References that do not resolve, settings that nothing reads: tasks, protocols, suites and the small kinds."""

import click
import pytest
from attrs import evolve, field, frozen

from probe4d import (
    AggregateSpec,
    ClipSampling,
    CommandSpec,
    DatasetSpec,
    MetricSpec,
    MetricValue,
    ProtocolSpec,
    ReadoutSpec,
    ReportPanelSpec,
    SuiteSpec,
    TaskSpec,
    hookimpl,
)
from probe4d.testing import (
    check_aggregate,
    check_command,
    check_protocol,
    check_report_panel,
    check_suite,
    check_task,
    hermetic_registry,
)

ANY = "probe4d.testing.units:echo"
TASK = TaskSpec(
    name="toy",
    target=ANY,
    kind="labels",
    train={"dataset": "clips", "split": "train"},
    evaluate={"dataset": "clips", "split": "val"},
    readout="linear",
    metrics=("hits",),
    primary="hits.share",
)


class Plugin:
    """A plugin whose parts the task ties together, and parts of another kind."""

    __name__ = "probe4d_toy_parts"

    @hookimpl
    def probe4d_datasets(self):
        clips = DatasetSpec(name="clips", target=ANY, kinds=("labels",), splits=("train", "val"))
        return [clips, DatasetSpec(name="poses", target=ANY, kinds=("pose",), splits=("train", "val"))]

    @hookimpl
    def probe4d_readouts(self):
        return [ReadoutSpec(name="linear", target=ANY, kind="labels"), ReadoutSpec(name="p", target=ANY, kind="pose")]

    @hookimpl
    def probe4d_metrics(self):
        values = (MetricValue(name="share"),)
        other = MetricSpec(name="errors", target=ANY, kind="pose", values=values)
        return [MetricSpec(name="hits", target=ANY, kind="labels", values=values), other]

    @hookimpl
    def probe4d_tasks(self):
        return [TASK]


@pytest.fixture
def registry(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "probe4d_toy_parts", Plugin())
    return hermetic_registry({"toy-parts": "probe4d_toy_parts"})


TASK_FAULTS = {
    "target": ({"target": "probe4d.testing.units:gone"}, "target_imports"),
    "kind": ({"kind": "lables"}, "kind_resolves"),
    "dataset": ({"train": {"dataset": "clipz", "split": "train"}}, "datasets_resolve"),
    "split": ({"evaluate": {"dataset": "clips", "split": "test"}}, "datasets_resolve"),
    "readout": ({"readout": "nonlinear"}, "readout_resolves"),
    "metric": ({"metrics": ("hitz",), "primary": "hitz.share"}, "metrics_resolve"),
    "no metric twice": ({"metrics": ("hits", "toy-parts/hits")}, "metrics_resolve"),
    "primary": ({"primary": "hits.number"}, "primary_is_a_value_of_its_metric"),
    "dataset of another kind": ({"train": {"dataset": "poses", "split": "train"}}, "parts_are_of_one_kind"),
    "readout of another kind": ({"readout": "p"}, "parts_are_of_one_kind"),
    "metric of another kind": ({"metrics": ("hits", "errors")}, "parts_are_of_one_kind"),
    "no width": ({"evaluate_clip": ClipSampling(size=(8,))}, "clips_have_a_size"),
}


def test_a_task_whose_names_resolve_passes_everything(registry):
    assert {result.status for result in check_task(TASK, registry=registry)} == {"passed"}


@pytest.mark.parametrize("fault", TASK_FAULTS)
def test_each_fault_of_a_task_fails_the_check_that_names_it_and_no_other(fault, registry, failed):
    changes, check = TASK_FAULTS[fault]
    assert failed(check_task(evolve(TASK, **changes), registry=registry)) == [check]


SUITES = {
    'name = "toy"\ntasks = ["toy"]\nlayers = [0.5, 12]\naggregates = []\n': None,
    'name = "toy"\ntasks = ["toy"]\ntaks = []\n': "the_file_is_a_suite",
    'name = "toy"\ntasks = "toy"\n': "the_file_is_a_suite",
    'name = "toy"\ntasks = ["toy"]\nlayers = [1.5]\n': "the_file_is_a_suite",
    'name = "toy"\ntasks = [': "the_file_is_a_suite",
    'name = "toy"\n': "the_file_is_a_suite",
    'tasks = ["toy"]\n': "the_file_is_a_suite",
    'name = "other"\ntasks = ["toy"]\n': "its_name_is_that_of_the_spec",
    'name = "toy"\ntasks = ["joy"]\n': "every_name_resolves",
    'name = "toy"\ntasks = ["toy"]\nbackbones = ["nobody/nothing"]\n': "every_name_resolves",
    'name = "toy"\ntasks = ["toy", "toy"]\n': "no_name_stands_twice",
}


@pytest.mark.parametrize("text", SUITES)
def test_each_fault_of_a_suite_fails_the_check_that_names_it_and_no_other(
    text, registry, failed, tmp_path, monkeypatch
):
    package = tmp_path / "toy_suites"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "toy.toml").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "toy_suites", raising=False)
    spec = SuiteSpec(name="toy", resource="toy_suites:toy.toml")
    assert failed(check_suite(spec, registry=registry)) == ([SUITES[text]] if SUITES[text] else [])


def test_a_suite_file_that_is_not_there_is_named(registry):
    results = check_suite(SuiteSpec(name="toy", resource="probe4d:gone.toml"), registry=registry)
    assert results[0].status == "failed"
    assert "probe4d:gone.toml" in results[0].reason


@frozen
class Frozen:
    steps: int
    rate: float = field(default=1e-3)


def test_a_protocol_takes_its_settings_and_no_other(target_of, failed):
    spec = ProtocolSpec(name="toy", target=target_of(Frozen), mode="frozen", settings={"steps": 10})
    assert {result.status for result in check_protocol(spec)} == {"passed"}
    assert failed(check_protocol(evolve(spec, settings={"step": 10}))) == ["target_constructs"]
    assert failed(check_protocol(evolve(spec, views=-1))) == ["views_suit_the_mode"]


def test_a_protocol_that_swallows_unknown_settings_is_found(target_of, failed):
    spec = ProtocolSpec(name="toy", target=target_of(dict), mode="frozen", settings={"steps": 10})
    assert failed(check_protocol(spec)) == ["an_unknown_setting_is_refused"]


def test_aggregates_and_panels_have_to_be_functions(target_of, failed):
    assert failed(check_aggregate(AggregateSpec(name="toy", target=target_of(len)))) == []
    assert failed(check_aggregate(AggregateSpec(name="toy", target=target_of(7)))) == ["target_is_callable"]
    assert failed(check_report_panel(ReportPanelSpec(name="toy", target="no.where:panel", title="Toy"))) == [
        "target_is_callable"
    ]


def test_a_command_has_to_be_one_of_click(target_of, failed):
    command = click.Command("toy", callback=lambda: None)
    assert failed(check_command(CommandSpec(name="toy", target=target_of(command)))) == []
    assert failed(check_command(CommandSpec(name="toy", target=target_of(len)))) == ["target_is_a_command"]

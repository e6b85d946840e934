"""The package as a whole: doctests, imports, and that the registry's specs tell the truth."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest

import probe4d_metrics
from metrics.metric_cases import CASES, one_by_one, samples
from probe4d import contracts
from probe4d.builtin.aggregates_specs import AGGREGATES
from probe4d.builtin.metrics_specs import METRICS
from probe4d_metrics.shapes import check_shapes

MODULES = [info.name for info in pkgutil.iter_modules(probe4d_metrics.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_every_example_in_a_docstring_is_true(name):
    module = importlib.import_module(f"probe4d_metrics.{name}")
    result = doctest.testmod(module)
    assert result.failed == 0
    assert result.attempted > 0 or name == "blocks"


@pytest.mark.parametrize("name", MODULES)
def test_every_public_function_has_an_example(name):
    module = importlib.import_module(f"probe4d_metrics.{name}")
    for public in module.__all__:
        thing = getattr(module, public)
        if inspect.isfunction(thing) and public in probe4d_metrics.__all__:
            assert ">>>" in (inspect.getdoc(thing) or ""), public


def test_what_is_exported_exists_and_is_sorted():
    assert probe4d_metrics.__all__ == sorted(
        probe4d_metrics.__all__, key=lambda n: (not n.isupper(), not n[0].isupper(), n)
    )
    assert all(hasattr(probe4d_metrics, name) for name in probe4d_metrics.__all__)


def test_the_package_imports_numpy_and_nothing_of_probe4d():
    code = (
        "import sys, probe4d_metrics\n"
        "third = {name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)\n"
        "print(sorted(name for name in third if not name.startswith('_')))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(eval(found.stdout))
    assert {"numpy", "probe4d_metrics"} <= loaded
    assert not loaded & {"probe4d", "scipy", "zarr", "jax", "torch", "attrs", "attr", "pluggy", "click"}


@pytest.mark.parametrize("spec", METRICS, ids=lambda spec: spec.name)
def test_a_spec_names_the_values_that_its_metric_answers(spec):
    module, _, attribute = spec.target.partition(":")
    metric = getattr(importlib.import_module(module), attribute)(**spec.options)
    assert isinstance(metric, contracts.Metric)
    assert isinstance(metric.empty(), contracts.MetricState)
    assert list(metric.empty().compute()) == [value.name for value in spec.values]
    assert type(metric) is type(CASES[spec.kind][0])


@pytest.mark.parametrize("spec", METRICS, ids=lambda spec: spec.name)
def test_values_lie_between_the_ends_that_a_spec_states(spec):
    metric, found = samples(spec.kind, 0, 10)
    rows = one_by_one(metric, found).per_sample()
    for value in spec.values:
        ends = sorted(end for end in (value.best, value.worst) if end is not None)
        for row in rows.values():
            assert not row[value.name] < ends[0] - 1e-12
            assert len(ends) == 1 or not row[value.name] > ends[1] + 1e-12


@pytest.mark.parametrize("spec", AGGREGATES, ids=lambda spec: spec.name)
def test_an_aggregates_target_is_there_and_points_as_its_spec_says(spec):
    module, _, attribute = spec.target.partition(":")
    aggregate = getattr(importlib.import_module(module), attribute)
    needs = {"baseline": "poor"} if spec.name == "relative_to_baseline" else {}
    table = {"good": {"depth": 0.1, "tracks": 0.9}, "poor": {"depth": 0.3, "tracks": 0.5}}
    found = aggregate(table, higher_is_better={"depth": False, "tracks": True}, **needs)
    assert (found["good"] > found["poor"]) is spec.higher_is_better


def test_a_wrong_rank_is_told_with_the_names_of_the_axes():
    import numpy as np

    with pytest.raises(ValueError, match=r"^tracks: expected shape \(n, t, 2\), got \(4, 2\)\.$"):
        check_shapes(tracks=(np.zeros((4, 2)), "n t 2"))
    with pytest.raises(ValueError, match=r"^boxes: expected shape \(n, n\), got \(4, 2\)\.$"):
        check_shapes(boxes=(np.zeros((4, 2)), "n n"))


def test_the_examples_of_the_documentation_are_true(repository):
    result = doctest.testfile(str(repository / "docs" / "metrics.md"), module_relative=False)
    assert result.attempted > 15
    assert result.failed == 0

"""The plugin as probe4d sees it."""

from __future__ import annotations

import subprocess
import sys

import attrs
import pytest

from probe4d.contracts import Readout
from probe4d.testing import check_readout
from probe4d_readouts.plugin import READOUTS, probe4d_readouts


def test_the_plugin_imports_no_array_library():
    code = (
        "import sys, probe4d_readouts.plugin, probe4d_readouts.configs\n"
        "print([name for name in ('numpy', 'jax', 'torch', 'zarr') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_it_provides_one_readout_of_each_kind():
    assert [spec.kind for spec in probe4d_readouts()] == ["labels", "pose", "points", "depth", "boxes"]


@pytest.mark.parametrize("spec", READOUTS, ids=lambda spec: spec.name)
def test_every_target_is_a_readout_of_the_kind_that_its_spec_names(spec):
    module, _, attribute = spec.target.partition(":")
    readout = getattr(__import__(module, fromlist=[attribute]), attribute)(**spec.options)
    assert isinstance(readout, Readout)
    assert readout.kind == spec.kind


SMALL = {"width": 32, "heads": 4, "query_mlp": 32}


QUICK = ("pose", "points")  # an absorbed and a projected one; the others take the same paths


@pytest.mark.parametrize(
    "spec",
    [pytest.param(spec, id=spec.name, marks=() if spec.name in QUICK else pytest.mark.slow) for spec in READOUTS],
)
def test_every_readout_conforms_at_a_small_size(spec):
    options = {name: value for name, value in SMALL.items() if name != "query_mlp" or spec.name in ("points", "boxes")}
    conforms(attrs.evolve(spec, options=options))


@pytest.mark.slow
@pytest.mark.parametrize("spec", READOUTS, ids=lambda spec: spec.name)
def test_every_readout_conforms_as_published(spec):
    conforms(spec)


def conforms(spec):
    results = check_readout(spec)
    assert [f"{each.name}: {each.reason}" for each in results if each.status != "passed"] == []
    assert len(results) > 6

"""Every first-party spec passes the kit that third parties are held to."""

import importlib
import tomllib
from pathlib import Path

import pytest
from attrs import asdict, evolve

from probe4d import loader
from probe4d.builtin import own_data_specs
from probe4d.testing import hermetic_registry
from probe4d.testing.conformance import battery
from probe4d.testing.declared import declared_by
from probe4d.testing.pytest_plugin import ParametrizedCheck
from probe4d.testing.subject import shrunk

ROOT = Path(__file__).parents[2]


def plugins():
    """Return the entry modules of plugins/*, by name; those not installed here are left to the test below."""
    found = {}
    for file in sorted(ROOT.glob("plugins/*/pyproject.toml")):
        found |= tomllib.loads(file.read_text("utf-8")).get("project", {}).get("entry-points", {}).get("probe4d", {})
    return found


def importable(module):
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


PLUGINS = plugins()
LOADED = {name: module for name, module in PLUGINS.items() if importable(module)}
REGISTRY = hermetic_registry(LOADED)
# Datasets of the user's own files are checked on files made for it, in tests/own_data/test_own_data_conformance.py.
OWN_DATA = {spec.name for spec in own_data_specs.DATASETS}
ENTRIES = [
    entry for category in loader.HOOKS for entry in REGISTRY.entries(category) if entry.spec.name not in OWN_DATA
]
DECLARED = {
    name: declared_by(importlib.import_module(module))
    for name, module in {**LOADED, "probe4d": "probe4d.builtin.plugin"}.items()
}
# The paper's readouts are wide; their code is the same at this width.
NARROW = {f"readouts/{name}": {"options": {"width": 32, "heads": 4}} for name in ("labels", "pose", "points", "depth")}
NARROW["readouts/boxes"] = NARROW["readouts/labels"]
# Compiling these takes most of a minute each; `readouts/labels` shares their trunk.
SLOW = {"readouts/pose", "readouts/points", "readouts/depth", "readouts/boxes"}
# One ViT is all of them; `backbones/dinov2`, `videoprism` and `videomae` are checked each time.
SLOW |= {f"backbones/{name}" for name in ("dinov2-b-reg", "dinov2-g", "dinov2-g-reg", "siglip", "siglip-2b")}
SLOW |= {f"backbones/{name}" for name in ("vjepa", "vjepa2", "videomaev2")}


def given_to(entry):
    declared = DECLARED[entry.plugin][0]
    return evolve(declared, small={**(NARROW if entry.plugin == "readouts" else {}), **declared.small})


def seen_before(entry, given, seen):
    """Return whether the kit would build the very same thing for another spec: sizes share a small configuration."""
    spec = shrunk(entry, given).spec
    facts = {**asdict(spec, recurse=False), "name": "", "summary": "", "licence": "", "tags": (), "weights": None}
    key = repr((entry.category, sorted(facts.items())))
    before = entry.category == "backbones" and key in seen
    seen.add(key)
    return before


def params():
    """Return one parameter a check; a size whose small configuration was checked already is left to the slow run."""
    made, seen = [], set()
    for entry in ENTRIES:
        given = given_to(entry)
        label = f"{entry.category}/{entry.spec.name}"
        expected = DECLARED[entry.plugin][1].get(label)
        checks = battery(entry.category, entry.spec, registry=REGISTRY, given=given, expected_failed_checks=expected)
        marks = [pytest.mark.slow] if seen_before(entry, given, seen) or label in SLOW else []
        made += [
            pytest.param(ParametrizedCheck(name, checks), id=f"{label}-{name}", marks=marks) for name in checks.checks
        ]
    return made


@pytest.mark.parametrize("check", params())
def test_first_party_specs_conform(check):
    check()


@pytest.mark.parametrize("name", PLUGINS or [pytest.param(None, marks=pytest.mark.skip("no plugins/* yet"))])
def test_every_plugin_of_the_repository_is_checked(name):
    assert name in LOADED, f"{PLUGINS[name]} cannot be imported: install plugins/* (make install)"


def test_the_built_ins_are_among_those_checked():
    categories = {entry.category for entry in ENTRIES if entry.plugin == loader.BUILTIN}
    assert categories >= {"metrics", "kinds", "aggregates", "commands", "runners"}

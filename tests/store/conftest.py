"""Fixtures of the store's tests."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def toy() -> ModuleType:
    """Return `toy_sets`, which makes small feature sets."""
    spec = importlib.util.spec_from_file_location("probe4d_test_toy_sets", Path(__file__).with_name("toy_sets.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out `fsync`: it matters when the power fails, and here it only takes time."""
    monkeypatch.setattr("os.fsync", lambda _: None)

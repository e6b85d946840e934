"""Fixtures of the core's tests."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def _toys() -> ModuleType:
    spec = importlib.util.spec_from_file_location("probe4d_test_toys", Path(__file__).with_name("toys.py"))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules.setdefault(spec.name, importlib.util.module_from_spec(spec))
    spec.loader.exec_module(module)
    return module


toys = _toys()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return an empty site-packages folder on `sys.path`."""
    root = tmp_path / "site"
    root.mkdir()
    monkeypatch.syspath_prepend(str(root))
    return toys.Site(root)


@pytest.fixture
def toy_backbone() -> str:
    """Return the code of a plugin with one backbone."""
    code: str = toys.BACKBONE
    return code

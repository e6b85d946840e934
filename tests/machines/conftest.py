"""Fixtures of the tests of many machines."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from s3_server import bucket

__all__ = ["bucket"]


@pytest.fixture(scope="session")
def toys() -> ModuleType:
    """Return `toy_machines`, whose suite runs without jax."""
    spec = importlib.util.spec_from_file_location("probe4d_test_machines", Path(__file__).with_name("toy_machines.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def undisturbed(toys, tmp_path_factory) -> Any:
    """Return a toy that one worker ran to its end, nothing happening to it."""
    toy = toys.Toy(tmp_path_factory.mktemp("undisturbed"))
    code, out, err = toy.run()
    assert code == 0, out + err
    assert toy.orphans() == []
    return toy

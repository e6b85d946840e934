"""Fixtures of the tests of many machines."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from machines import toy_machines
from s3_server import bucket

__all__ = ["bucket"]


@pytest.fixture(scope="session")
def toys() -> ModuleType:
    """Return `toy_machines`, whose suite runs without jax."""
    return toy_machines


@pytest.fixture(scope="session")
def undisturbed(toys, tmp_path_factory) -> Any:
    """Return a toy that one worker ran to its end, nothing happening to it."""
    toy = toys.Toy(tmp_path_factory.mktemp("undisturbed"))
    code, out, err = toy.run()
    assert code == 0, out + err
    assert toy.orphans() == []
    return toy

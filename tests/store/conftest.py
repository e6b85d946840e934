"""Fixtures of the store's tests."""

from __future__ import annotations

from types import ModuleType

import pytest

from store import toy_sets


@pytest.fixture(scope="session")
def toy() -> ModuleType:
    """Return `toy_sets`, which makes small feature sets."""
    return toy_sets


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out `fsync`: it matters when the power fails, and here it only takes time."""
    monkeypatch.setattr("os.fsync", lambda _: None)

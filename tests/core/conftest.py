"""Fixtures of the core's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from core import toys


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

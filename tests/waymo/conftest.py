"""The fixture in both of Waymo's formats, and what is known of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from published_fixtures import own_cache

__all__ = ["own_cache"]

pytest.importorskip("pyarrow", reason="Waymo v2 is parquet")
DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def data() -> Path:
    """Return the folder with the releases `v1` and `v2`."""
    return DATA


@pytest.fixture(scope="session")
def facts() -> dict[str, Any]:
    """Return what is known of the fixture's segments, by context."""
    segments: dict[str, Any] = json.loads((DATA / "expected.json").read_text())["segments"]
    return segments

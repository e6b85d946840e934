"""The fixture in TAP-Vid's own formats."""

from __future__ import annotations

from pathlib import Path

import pytest

from published_fixtures import own_cache

__all__ = ["own_cache"]

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def data() -> Path:
    """Return the folder of the three sets."""
    return DATA

"""The fixture in MOVi-E's own format."""

from __future__ import annotations

from pathlib import Path

import pytest

from published_fixtures import own_cache

__all__ = ["own_cache"]

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def tfds() -> Path:
    """Return the folder that holds the builder."""
    return DATA / "tfds"

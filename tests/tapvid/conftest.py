"""The fixture in TAP-Vid's own formats and its expected values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

DATA = Path(__file__).parent / "data"


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a cache of its own."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("PROBE4D_CACHE_DIR", str(cache))
    return cache


@pytest.fixture(scope="session")
def data() -> Path:
    """Return the folder of the three sets."""
    return DATA


@pytest.fixture(scope="session")
def expected() -> dict[str, np.ndarray]:
    """Return the arrays that the fixture's videos must give."""
    with np.load(DATA / "expected.npz") as file:
        return {name: file[name] for name in file.files}

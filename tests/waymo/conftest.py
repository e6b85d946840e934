"""The fixture in both of Waymo's formats and its expected values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="Waymo v2 is parquet")
DATA = Path(__file__).parent / "data"


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a cache of its own."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("PROBE4D_CACHE_DIR", str(cache))
    return cache


@pytest.fixture(scope="session")
def data() -> Path:
    """Return the folder with the releases `v1` and `v2`."""
    return DATA


@pytest.fixture(scope="session")
def expected() -> dict[str, np.ndarray]:
    """Return the arrays that the fixture's segments must give."""
    with np.load(DATA / "expected.npz") as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="session")
def facts() -> dict[str, Any]:
    """Return what is known of the fixture's segments, by context."""
    segments: dict[str, Any] = json.loads((DATA / "expected.json").read_text())["segments"]
    return segments

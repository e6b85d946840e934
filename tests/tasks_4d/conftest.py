"""The fixtures of the six datasets, each of which the tests of its loader keeps, as roots of the five tasks."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
ROOTS = {
    "ssv2": TESTS / "ssv2/data",
    "re10k": TESTS / "re10k/data",
    "movi_e": TESTS / "movi/data/tfds",
    "perception_test": TESTS / "perception_test/data",
    "scannet": TESTS / "scannet/data",
    "waymo": TESTS / "waymo/data/v1",
}


@pytest.fixture(scope="session")
def roots() -> dict[str, str]:
    """Return where each dataset lies."""
    return {name: str(folder) for name, folder in ROOTS.items()}

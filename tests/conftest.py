"""What every test gets: folders of its own, no network, no ambient plugin settings."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says more of the machine than of the code; times are asserted by `make bench`.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

# Tests interrupt runs. A shell starts what it runs in the background with SIGINT ignored, and children inherit that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's cache, data and settings out of the tests, and the tests out of them."""
    home = tmp_path_factory.mktemp("probe4d-home")
    patch = pytest.MonkeyPatch()
    for name in [name for name in os.environ if name.startswith("PROBE4D_")]:
        patch.delenv(name)
    for name in ("CACHE", "DATA", "CONFIG"):
        patch.setenv(f"PROBE4D_{name}_DIR", str(home / name.lower()))
    patch.setenv("PROBE4D_OFFLINE", "1")
    yield
    patch.undo()


@pytest.fixture(scope="session")
def repository() -> Path:
    """Return the root of the checkout."""
    return Path(__file__).parents[1]


@pytest.fixture(scope="module")
def expected(request: pytest.FixtureRequest) -> dict[str, np.ndarray]:
    """Return the arrays that the samples in `data`, beside the test, must give."""
    with np.load(request.path.parent / "data/expected.npz") as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="session")
def fresh_environment(tmp_path_factory: pytest.TempPathFactory, repository: Path):
    """Return a fresh virtual environment with the built wheel and its light dependencies only."""
    from fresh import build

    return build(tmp_path_factory.mktemp("fresh"), repository)

"""Run folders made once per session."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from report import made_runs


@pytest.fixture(scope="session")
def made() -> ModuleType:
    """Return what writes run folders."""
    return made_runs


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of all five tasks, one at three layers and one finetuned too; not to be changed."""
    folder = made_runs.write_run(tmp_path_factory.mktemp("report") / "playroom-quick")
    for backbone in made_runs.THREE:
        for layer, more in ((0.25, 0.4), (0.5, 0.1)):
            made_runs.write_cell(folder, backbone, "pose", layer=layer, noise=backbone.noise + more)
        made_runs.write_cell(folder, backbone, "depth", protocol="probe4d/finetune-20k", noise=0.6 * backbone.noise)
    return folder

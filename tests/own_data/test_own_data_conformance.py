"""The four datasets of one's own files hold what the conformance kit demands, on files made here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from probe4d.builtin.own_data_specs import DATASETS
from probe4d.specs import DatasetSpec
from probe4d.testing import Given, check_dataset

SPECS = {spec.name: spec for spec in DATASETS}


@pytest.fixture
def data(
    put: Callable[..., Path],
    mot_sequence: Callable[..., Path],
    rgbd_sequence: Callable[..., Path],
    track_file: Callable[..., Path],
) -> Callable[[str], tuple[Path, DatasetSpec]]:
    """Return a function that makes data for a dataset, and its spec with the options they need."""

    def make(name: str) -> tuple[Path, DatasetSpec]:
        spec = SPECS[name]
        if name == "video-folder":
            return put("train/a/x.mp4", "train/b/y.mp4", "val/a/z.mp4"), spec
        if name == "mot-folder":
            mot_sequence("val/run")
            return mot_sequence(), attrs.evolve(spec, options={"windows": {"frames": 4}})
        if name == "rgbd-folder":
            rgbd_sequence("val/room")
            return rgbd_sequence(), attrs.evolve(spec, options={"intrinsics": [50, 50, 31.5, 23.5]})
        track_file("val/cup")
        return track_file(), spec

    return make


@pytest.mark.parametrize("name", sorted(SPECS))
def test_the_dataset_passes_every_check(name: str, data: Callable[[str], tuple[Path, DatasetSpec]]) -> None:
    root, spec = data(name)
    results = check_dataset(spec, given=Given(roots={name: str(root)}, splits={name: ("train", "val")}))
    assert {result.status for result in results} == {"passed"}, [r for r in results if r.status != "passed"]

"""The conformance kit on both datasets."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from PIL import Image

from probe4d.builtin.playroom_specs import DATASETS
from probe4d.testing import Given, check_dataset


@pytest.mark.parametrize("spec", DATASETS, ids=lambda spec: spec.name)
def test_every_check_of_the_kit_passes(spec, tmp_path):
    rng = np.random.default_rng(0)
    for i in range(20):
        Image.fromarray(rng.integers(0, 256, (128, 128, 3), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    roots = {spec.name: str(tmp_path)} if spec.name == "playroom-photo" else {}
    # Small clips: the checks are of the contract, not of the picture.
    spec = attrs.evolve(spec, options={**spec.options, "size": 32, "frames": 4, "length": 24})
    results = check_dataset(spec, given=Given(roots=roots))
    assert {result.name: result.reason for result in results if result.status != "passed"} == {}
    assert len(results) >= 12

"""Published datasets in a bucket of a real S3 server give what they give from a folder."""

from __future__ import annotations

from pathlib import Path

import fsspec
import numpy as np
import pytest

from probe4d.registry import find, make

TESTS = Path(__file__).parents[1]
PLACES = {
    "ssv2": ("ssv2/data", "validation"),
    "re10k": ("re10k/data", "test"),
    "perception_test": ("perception_test/data", "valid"),
    "movi_e": ("movi/data/tfds", "train"),
    "scannet": ("scannet/data", "val"),
    "waymo": ("waymo/data/v2", "training"),
    "tapvid_davis": ("tapvid/data", "test"),
}


@pytest.mark.parametrize("name", PLACES)
def test_a_dataset_in_a_bucket_gives_the_samples_of_the_folder(name: str, bucket: str) -> None:
    if name == "waymo":
        pytest.importorskip("pyarrow", reason="Waymo v2 is parquet")
    folder, split = PLACES[name]
    url = f"{bucket}/{name}"
    fs, path = fsspec.core.url_to_fs(url)
    fs.put(f"{TESTS / folder}/", path, recursive=True)
    entry = find("datasets", name)
    here, there = (make(entry, root=root, split=split) for root in (str(TESTS / folder), url))
    assert list(here.sample_ids()) == list(there.sample_ids())
    one = here.sample_ids()[0]
    left, right = here.load(one, [0, 3]), there.load(one, [0, 3])
    np.testing.assert_array_equal(left.video, right.video)
    for kind, fields in left.targets.items():
        for field, value in fields.items():
            np.testing.assert_array_equal(value, right.targets[kind][field], err_msg=f"{kind}.{field}")

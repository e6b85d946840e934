"""Clips of a MOVi record of true size: from its TFRecord, and from the copy that `probe4d data convert` makes once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.timed_calls import seconds_of
from movi.made_movi import made_features, write_build
from probe4d_datasets.converted.convert import Begun, convert_dataset
from probe4d_datasets.converted.dataset import Converted
from probe4d_datasets.movi.dataset import Movi

pytestmark = pytest.mark.bench
TARGET = 10.0  # how much faster the copy has to be


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a builder with three records of 24 frames of 256 x 256, and its copy: frames and points."""
    folder = tmp_path_factory.mktemp("movi")
    records = [made_features(24, 256, seed=seed) for seed in range(3)]
    write_build(folder / "tfds", [records], config="256x256")
    begun = Begun(dataset="probe4d/movi_e", split="train", options={}, version="0", format="webdataset")
    convert_dataset(Movi(folder / "tfds", targets=("points",)), begun, str(folder / "copy"))
    return folder / "tfds", folder / "copy"


def test_a_copy_of_movi_loads_ten_times_faster(roots: tuple[Path, Path]) -> None:
    original, copy = Movi(roots[0], targets=("points",)), Converted(roots[1], "train")
    # Another record at each call: the reader of TFRecords keeps the last two.
    names = [list(original.sample_ids()) * 100 for _ in range(2)]

    def clip(dataset: Any, left: list[str]) -> None:
        sample = dataset.load(left.pop(), range(4, 20))
        assert sample.video.shape == (16, 256, 256, 3)
        assert sample.targets["points"]["tracks"].shape[1:] == (16, 2)

    slow, fast = seconds_of([lambda: clip(original, names[0]), lambda: clip(copy, names[1])], rounds=7)
    sizes = [sum(file.stat().st_size for file in root.rglob("*") if file.is_file()) / 3e6 for root in roots]
    print(f"TFRecord {slow * 1e3:.0f} ms, copy {fast * 1e3:.1f} ms, {slow / fast:.0f}x; {sizes[1]:.1f} MB a record")
    assert slow / fast >= TARGET


def test_other_formats_of_a_copy_beside_it(roots: tuple[Path, Path], tmp_path: Path) -> None:
    original = Movi(roots[0], targets=("points",))
    times = {}
    for name, changes in {"zarr": {"format": "zarr"}, "png": {"frames": "png"}, "jpeg": {"frames": "jpeg"}}.items():
        values = {"dataset": "x", "split": "train", "options": {}, "version": "0", "format": "webdataset", **changes}
        convert_dataset(original, Begun(**values), str(tmp_path / name), limit=1)
        copy = Converted(tmp_path / name, "train")
        (sample_id,) = copy.sample_ids()
        (times[name],) = seconds_of([lambda copy=copy, one=sample_id: copy.load(one, range(4, 20))], rounds=7)
    (raw,) = seconds_of([lambda: Converted(roots[1], "train").load(original.sample_ids()[0], range(4, 20))], rounds=7)
    print(f"raw {raw * 1e3:.1f} ms, " + ", ".join(f"{name} {taken * 1e3:.1f} ms" for name, taken in times.items()))
    assert raw < times["png"]

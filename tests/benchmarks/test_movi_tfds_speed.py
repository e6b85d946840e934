"""MOVi records of true size: a whole clip with its tracks by probe4d, beside TensorFlow Datasets that only decodes.

    P4D_BENCH_TFDS_PYTHON=…/python pytest -s tests/benchmarks/test_movi_tfds_speed.py -m bench

The interpreter has `tensorflow-cpu` and `tensorflow-datasets`; without one that has them the test is skipped. Processor
seconds on one core. What TFDS gives here are arrays as stored; the tracks of TAP-Vid would be computed from them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.timed_workers import Worker, interleaved
from movi.made_movi import made_features, write_build

pytestmark = pytest.mark.bench
PYTHON = os.environ.get("P4D_BENCH_TFDS_PYTHON", sys.executable)
SIZE = 256
RECORDS = 3
CLIPS = 12  # of a run: at most one of them may have been decoded before its clock started
NEEDED = {
    **dict.fromkeys(("video", "segmentations", "depth", "normal", "object_coordinates"), True),
    "camera": dict.fromkeys(("focal_length", "positions", "quaternions", "sensor_width"), True),
    "instances": dict.fromkeys(("bboxes_3d", "quaternions"), True),
    "metadata": {"depth_range": True},
}

OURS = """
from probe4d_datasets.movi.dataset import Movi
points, frames = Movi(ROOT, targets=("points",)), Movi(ROOT, targets=("pose",))
names = list(points.sample_ids())
def load(data):
    for turn in range(CLIPS):
        assert data.load(names[turn % len(names)], range(24)).video.shape == (24, 256, 256, 3)
serve({"probe4d, frames and tracks": lambda: load(points), "probe4d, frames and cameras": lambda: load(frames)})
"""

THEIRS = """
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf
import tensorflow_datasets as tfds
builder = tfds.builder_from_directory(ROOT)
config = tfds.ReadConfig(skip_prefetch=True, try_autocache=False, interleave_cycle_length=1,
                         num_parallel_calls_for_decode=1)
config.options.threading.private_threadpool_size = 1
config.options.autotune.enabled = False
def endless(wanted):
    decoders = None if wanted is None else tfds.decode.PartialDecoding(wanted)
    return iter(builder.as_dataset(split="train", decoders=decoders, read_config=config).repeat())
def load(clips):
    for _ in range(CLIPS):
        assert next(clips)["video"].numpy().shape == (24, 256, 256, 3)
every, needed, video = endless(None), endless(NEEDED), endless({"video": True})
serve({"tfds, all": lambda: load(every), "tfds, what tracks need": lambda: load(needed),
       "tfds, frames": lambda: load(video)})
"""


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """Return a builder with three records of 24 frames of 256 x 256, flows included, that TFDS can open."""
    records = [made_features(24, SIZE, seed=seed) for seed in range(RECORDS)]
    folder = write_build(tmp_path, [records], config=f"{SIZE}x{SIZE}")
    fixture = Path(__file__).parents[1] / "movi/data/tfds/movi_e/28x28/1.0.0/features.json"
    text = fixture.read_text().replace('"28"', f'"{SIZE}"')
    (folder / "features.json").write_text(json.dumps(_pruned(json.loads(text), "", set(records[0]))))
    return folder


def _pruned(feature: dict, path: str, stored: set[str]) -> dict:
    """Return the description of a feature without the parts that the made records do not hold."""
    if "sequence" in feature and "featuresDict" in feature["sequence"]["feature"]:
        inner = _pruned(feature["sequence"]["feature"], path, stored)
        return {**feature, "sequence": {**feature["sequence"], "feature": inner}}
    if "featuresDict" not in feature:
        return feature
    kept = {
        name: _pruned(part, f"{path}{name}/", stored)
        for name, part in feature["featuresDict"]["features"].items()
        if any(key == f"{path}{name}" or key.startswith(f"{path}{name}/") for key in stored)
    }
    return {**feature, "featuresDict": {"features": kept}}


def test_a_clip_with_its_tracks_comes_sooner_than_tfds_decodes_the_record(build: Path) -> None:
    if subprocess.run([PYTHON, "-c", "import tensorflow_datasets, tensorflow"], capture_output=True).returncode:
        pytest.skip("no TensorFlow Datasets; name an interpreter that has them by P4D_BENCH_TFDS_PYTHON")
    with (
        Worker(OURS, ROOT=str(build), CLIPS=CLIPS, CORES=1) as ours,
        Worker(THEIRS, PYTHON, ROOT=str(build), CLIPS=CLIPS, NEEDED=NEEDED, CORES=1) as theirs,
    ):
        seconds = {run: taken / CLIPS for run, taken in interleaved(ours, theirs).items()}
    print(", ".join(f"{run} {taken * 1e3:.0f} ms" for run, taken in seconds.items()))
    assert seconds["probe4d, frames and cameras"] < seconds["tfds, frames"]
    assert seconds["probe4d, frames and tracks"] < seconds["tfds, all"]

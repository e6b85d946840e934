"""Files larger than memory: what is held is a sample, and of a depth clip a few frames."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from probe4d.scoring import score

DEPTH = {"schema": "probe4d/depth/1", "quantity": "depth", "unit": "metre", "surface": "z"}
MEASURE = """
import json, resource, sys
from probe4d.scoring import score
kind, predictions, targets = sys.argv[1:4]
answer = score(kind, predictions, targets, max_array_bytes=int(sys.argv[4]))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps({"values": dict(answer.values), "peak": peak}))
"""


def measured(*arguments):
    """Score in a process of its own; return the values and its peak memory in bytes."""
    line = [sys.executable, "-c", MEASURE, *map(str, arguments)]
    return json.loads(subprocess.run(line, capture_output=True, text=True, timeout=1200, check=True).stdout)


def write_depth(path, fill, clips, shape, chunks, dtype="f8"):
    """Write a zarr whose chunks all are the fill value, so that it takes no space."""
    import zarr

    root = zarr.open_group(str(path), mode="w")
    root.attrs["meta"] = DEPTH
    for clip in range(clips):
        root.create_group(f"clip_{clip}").create_array(
            "depth", shape=shape, chunks=chunks, dtype=dtype, fill_value=fill
        )
    return path


@pytest.mark.slow
def test_a_zarr_of_20_gigabytes_scores_in_600_megabytes(tmp_path):
    shape, clips = (640, 2048, 1024), 2
    assert clips * np.prod(shape) * 8 > 20e9
    predictions = write_depth(tmp_path / "P.zarr", 1.5, clips, shape, (4, 1024, 1024))
    targets = write_depth(tmp_path / "T.zarr", 1.0, clips, shape, (4, 1024, 1024))
    found = measured("depth", predictions, targets, 1 << 31)
    assert found["values"]["abs_rel"] == pytest.approx(0.5, rel=1e-5)
    assert found["peak"] < 600e6, found


def test_a_clip_larger_than_the_limit_on_arrays_is_read_by_frames(tmp_path):
    # 52 MB a clip: lazy, and over the limit were it read whole.
    predictions = write_depth(tmp_path / "P.zarr", 1.5, 1, (50, 256, 512), (5, 256, 512))
    targets = write_depth(tmp_path / "T.zarr", 1.0, 1, (50, 256, 512), (5, 256, 512))
    answer = score("depth", str(predictions), str(targets), max_array_bytes=20_000_000)
    assert answer.values["abs_rel"] == pytest.approx(0.5, rel=1e-5)
    aligned = score(
        "depth", str(predictions), str(targets), max_array_bytes=20_000_000, align="scale", align_per="frame"
    )
    assert aligned.values["abs_rel@scale/frame"] == pytest.approx(0)


@pytest.mark.parametrize("how", [{}, {"align": "median", "align_per": "frame"}, {"align": "median"}])
def test_a_clip_read_by_frames_has_the_same_values_as_one_in_memory(how, tmp_path):
    random = np.random.default_rng(0)
    arrays = {role: random.uniform(0.5, 8, (40, 192, 320)).astype("f4") for role in "PT"}
    valid = random.random((40, 192, 320)) < 0.7
    import zarr

    for role, array in arrays.items():
        # Chunks of another number of frames in each file.
        root = zarr.open_group(str(tmp_path / f"{role}.zarr"), mode="w")
        root.attrs["meta"] = DEPTH
        group = root.create_group("clip")
        stored = group.create_array("depth", shape=array.shape, chunks=(3 if role == "P" else 7, 192, 320), dtype="f8")
        stored[...] = array.astype("f8")
        if role == "T":
            group.create_array("valid", shape=valid.shape, chunks=(4, 192, 320), dtype=bool)[...] = valid
    memory = score(
        "depth",
        {"clip": {"depth": arrays["P"].astype("f8")}},
        {"clip": {"depth": arrays["T"].astype("f8"), "valid": valid}},
        meta={key: value for key, value in DEPTH.items() if key != "schema"},
        **how,
    )
    streamed = score("depth", str(tmp_path / "P.zarr"), str(tmp_path / "T.zarr"), **how)
    assert dict(streamed.values) == dict(memory.values)


@pytest.mark.slow
def test_an_uncompressed_batch_of_a_gigabyte_scores_in_a_fraction_of_it(tmp_path):
    samples, classes = 2000, 125_000
    meta, ids = json.dumps({"schema": "probe4d/labels/1"}), np.array([f"s{i}" for i in range(samples)])
    np.savez(tmp_path / "P.npz", meta=meta, ids=ids, logits=np.zeros((samples, classes), np.float32))
    np.savez(tmp_path / "T.npz", meta=meta, ids=ids, label=np.zeros(samples, int))
    found = measured("labels", tmp_path / "P.npz", tmp_path / "T.npz", 1 << 31)
    assert found["values"]["top1"] == 1
    assert found["peak"] < 300e6, found

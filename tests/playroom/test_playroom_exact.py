"""The same bits everywhere: exact scalars, and stored digests of whole clips."""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from probe4d_datasets.playroom import Playroom
from probe4d_datasets.playroom.exact import Stream, apply, norm, product, sin_cos, transpose, turn
from probe4d_datasets.playroom.render import VERSION

DIGESTS = Path(__file__).with_name("digests.json")
CASES = {
    "val-square": ({"split": "val", "size": 64, "frames": 4}, range(12)),
    "train-wide-antialiased": ({"split": "train", "size": [40, 72], "frames": 3, "antialias": 2}, range(3)),
    "test-seed-7-long": ({"split": "test", "size": 24, "frames": 40, "seed": 7}, range(2)),
}


def digest_of(options: dict, positions: range) -> dict[str, str]:
    """Return a digest per field over all clips at the positions."""
    dataset = Playroom(**options, cache=False)
    hashes: dict[str, hashlib._Hash] = {}
    for i in positions:
        sample = dataset.load(dataset.sample_ids()[i])
        arrays = {"video": sample.video}
        arrays |= {f"{kind}.{name}": array for kind, fields in sample.targets.items() for name, array in fields.items()}
        for name, array in arrays.items():
            hashes.setdefault(name, hashlib.sha256()).update(np.ascontiguousarray(array).tobytes())
    return {name: value.hexdigest()[:24] for name, value in hashes.items()}


@pytest.mark.parametrize("case", CASES)
def test_clips_have_the_bits_that_were_stored(case):
    stored = json.loads(DIGESTS.read_text())
    assert stored["version"] == VERSION, "the renderer changed: count VERSION up and store new digests"
    assert digest_of(*CASES[case]) == stored["cases"][case]


def test_the_bits_do_not_depend_on_the_vector_instructions_of_the_cpu():
    """A process whose numpy may use none but its baseline's renders the same."""
    core = np._core._multiarray_umath if hasattr(np, "_core") else np.core._multiarray_umath
    features = [name for name in core.__cpu_dispatch__ if core.__cpu_features__.get(name)]
    if not features:
        pytest.skip("this CPU has no vector instructions beyond numpy's baseline")
    program = (
        "import sys, runpy; module = runpy.run_path(sys.argv[1]);"
        "print(module['digest_of'](*module['CASES']['train-wide-antialiased']))"
    )
    environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(features)}
    command = [sys.executable, "-c", program, __file__]
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    stored = json.loads(DIGESTS.read_text())
    assert printed.strip() == str(stored["cases"]["train-wide-antialiased"])


def test_the_stream_is_the_raw_words_of_pcg64():
    words = np.random.PCG64(11).random_raw(3)
    stream = Stream(11)
    assert [stream.unit() for _ in range(3)] == [int(word >> np.uint64(11)) / 2**53 for word in words]


def test_the_stream_starts_with_the_numbers_that_were_stored():
    stream = Stream(0)
    assert [stream.unit() for _ in range(3)] == [0.6369616873214543, 0.2697867137638703, 0.04097352393619469]


def test_shuffles_are_permutations_and_of_every_kind():
    seen = {tuple(Stream(seed).shuffled(3)) for seed in range(100)}
    assert len(seen) == 6
    assert all(sorted(order) == [0, 1, 2] for order in seen)


def test_sine_and_cosine_are_those_of_the_math_library():
    for i in range(-7000, 7000):
        angle = i * 0.0137
        sine, cosine = sin_cos(angle)
        assert abs(sine - math.sin(angle)) < 3e-16
        assert abs(cosine - math.cos(angle)) < 3e-16


def test_rotations_keep_lengths_and_their_transpose_undoes_them():
    rotation = product(turn(2, 1.1), product(turn(0, -0.4), turn(1, 2.2)))
    point = (0.3, -1.7, 0.9)
    assert norm(apply(rotation, point)) == pytest.approx(norm(point), rel=1e-15)
    assert apply(transpose(rotation), apply(rotation, point)) == pytest.approx(point, rel=1e-14)
    assert apply(turn(2, math.pi / 2), (1.0, 0.0, 0.0)) == pytest.approx((0.0, 1.0, 0.0), abs=1e-15)


if __name__ == "__main__":  # python tests/playroom/test_playroom_exact.py: store the digests anew
    content = {"version": VERSION, "cases": {case: digest_of(*arguments) for case, arguments in CASES.items()}}
    DIGESTS.write_text(json.dumps(content, indent=1) + "\n")

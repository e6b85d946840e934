"""Whatever bytes and structures arrive: an answer, or an error of ours with one line; never anything else."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from probe4d.errors import Probe4dError
from probe4d.registry import find, make
from probe4d.scoring import score

PLAIN = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
THOROUGH = settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
KINDS = ("points", "depth", "pose", "boxes", "labels")
SMALL = 1 << 24  # bytes: what a fuzzed header may make the reader allocate


def outcome(kind, predictions, targets, **options):
    """Return the answer, or the error where it is one of ours; any other error ends the test."""
    try:
        return score(kind, predictions, targets, resamples=10, max_array_bytes=SMALL, **options)
    except Probe4dError as error:
        return error


def assert_answered_or_refused(kind, predictions, targets, **options):
    """Score, and accept an answer of finite numbers or one of our errors."""
    found = outcome(kind, predictions, targets, **options)
    if isinstance(found, Probe4dError):
        assert found.exit_code in (2, 4)
        assert str(found)
    else:
        assert all(math.isfinite(value) for value in found.values.values())
        json.loads(found.to_json())


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Return a folder with a good file of each container, and its bytes."""
    folder = tmp_path_factory.mktemp("fuzz")
    made = make(find("kinds", "points"))
    convention = {"order": "xy", "coords": "pixels", "frame_size": [48, 64]}
    both = [made.example(seed)[:2] for seed in range(2)]
    contents = {}
    for role, meta in (("P", convention), ("T", {**convention, "query_mode": "first"})):
        samples = {f"clip_{i}": pair[role == "T"] for i, pair in enumerate(both)}
        flat = {f"{i}/{name}": value for i, fields in samples.items() for name, value in fields.items()}
        stacked = {name: np.stack([fields[name] for fields in samples.values()]) for name in samples["clip_0"]}
        np.savez(folder / f"{role}.npz", meta=json.dumps(meta), **flat)
        np.savez_compressed(folder / f"{role}_packed.npz", meta=json.dumps(meta), **flat)
        np.savez(folder / f"{role}_batch.npz", meta=json.dumps(meta), ids=np.array(list(samples)), **stacked)
        lines = [{"meta": meta}, *({"id": i, **{n: v.tolist() for n, v in f.items()}} for i, f in samples.items())]
        (folder / f"{role}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    for name in ("P.npz", "P_packed.npz", "P_batch.npz", "P.jsonl"):
        contents[name] = (folder / name).read_bytes()
    return folder, contents


edits = st.lists(
    st.tuples(
        st.sampled_from(["set", "flip", "cut", "drop", "copy", "zero"]),
        st.floats(0, 1, exclude_max=True),
        st.integers(0, 255),
        st.integers(1, 64),
    ),
    min_size=1,
    max_size=6,
)


def edited(content: bytes, changes) -> bytes:
    """Return the content with bytes set, flipped, cut off, dropped, repeated or zeroed."""
    data = bytearray(content)
    for how, place, value, size in changes:
        at = int(place * len(data))
        if not data:
            break
        if how == "set":
            data[at] = value
        elif how == "flip":
            data[at] ^= 1 << value % 8
        elif how == "cut":
            del data[at:]
        elif how == "drop":
            del data[at : at + size]
        elif how == "copy":
            data[at:at] = data[at : at + size]
        else:
            data[at : at + size] = bytes(len(data[at : at + size]))
    return bytes(data)


def check_bytes(good, name, changes):
    folder, contents = good
    path = Path(folder / f"fuzzed{Path(name).suffix}")
    path.write_bytes(edited(contents[name], changes))
    assert_answered_or_refused("points", str(path), str(folder / "T.npz"))


names = st.sampled_from(["P.npz", "P_packed.npz", "P_batch.npz", "P.jsonl"])


@given(names, edits)
@PLAIN
def test_edited_bytes_are_answered_or_refused(good, name, changes):
    check_bytes(good, name, changes)


@pytest.mark.slow
@given(names, edits)
@THOROUGH
def test_edited_bytes_are_answered_or_refused_ten_thousand_times(good, name, changes):
    check_bytes(good, name, changes)


trees = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def check_lines(good, meta, fields, kind):
    folder, _ = good
    path = folder / "lines.jsonl"
    text = json.dumps({"meta": meta}) + "\n" + json.dumps({**fields, "id": "clip_0"})
    path.write_text(text)
    assert_answered_or_refused(kind, str(path), str(path), **({"match": "rows"} if kind == "boxes" else {}))


@st.composite
def near_meta(draw, kind):
    """Return a meta that is mostly right."""
    made = make(find("kinds", kind))
    meta = {}
    for role in ("predictions", "targets"):
        for key, spec in made.meta(role).items():
            right = (
                st.sampled_from(spec.choices)
                if spec.choices
                else st.sampled_from([[0.1, 5], [48, 64], 2, "same", True])
            )
            meta[key] = draw(right if draw(st.integers(0, 20)) else trees)
    return (
        {key: meta[key] for key in draw(st.sets(st.sampled_from(sorted(meta)), min_size=len(meta) // 2))}
        if meta
        else {}
    )


@st.composite
def kind_lines(draw):
    kind = draw(st.sampled_from(KINDS))
    made = make(find("kinds", kind))
    fields = sorted({*made.fields("predictions"), *made.fields("targets")})
    chosen = draw(st.dictionaries(st.sampled_from([*fields, "x"]), trees, max_size=4))
    return kind, draw(near_meta(kind)), chosen


@given(kind_lines())
@PLAIN
def test_any_json_is_answered_or_refused(good, line):
    kind, meta, fields = line
    check_lines(good, meta, fields, kind)


@pytest.mark.slow
@given(kind_lines())
@THOROUGH
def test_any_json_is_answered_or_refused_ten_thousand_times(good, line):
    kind, meta, fields = line
    check_lines(good, meta, fields, kind)


numbers = st.sampled_from([0.0, 1.0, -1.0, 0.5, 3.0, 255.0, 1e-300, 1e30, 1e300, -1e308, math.nan, math.inf, -math.inf])


@st.composite
def near_arrays(draw, field, sizes):
    """Return an array that mostly has the field's dims and dtype."""
    dims = draw(st.sampled_from(field.dims.split("|"))).split()
    shape = [int(dim) if dim.isdigit() else sizes[dim] for dim in dims]
    if draw(st.integers(0, 25)) == 0:
        shape = draw(st.lists(st.integers(0, 4), max_size=4))
    kind = draw(st.sampled_from(field.dtypes if draw(st.integers(0, 25)) else "biufcUSO"))
    if kind in "USO":
        return np.full(shape, "x" if kind != "S" else b"x", dtype={"U": "U3", "S": "S3", "O": object}[kind])
    if kind == "b":
        return draw(hnp.arrays(bool, tuple(shape)))
    if kind in "iu":
        return draw(hnp.arrays({"i": np.int64, "u": np.uint8}[kind], tuple(shape), elements=st.integers(0, 9)))
    values = draw(hnp.arrays(np.float64, tuple(shape), elements=numbers))
    return values.astype(complex) if kind == "c" else values


@st.composite
def kind_samples(draw):
    """Return a kind, predictions and targets of one sample each, their conventions and options."""
    kind = draw(st.sampled_from(KINDS))
    made = make(find("kinds", kind))
    sizes = {dim: draw(st.integers(0, 3)) for dim in "nthwc"}
    sides = {}
    for role in ("predictions", "targets"):
        fields = made.fields(role)
        optional = [name for name, field in fields.items() if not field.required]
        wanted = [name for name, field in fields.items() if field.required]
        wanted += draw(st.lists(st.sampled_from(optional), unique=True, max_size=3)) if optional else []
        sides[role] = {"s": {name: draw(near_arrays(fields[name], sizes)) for name in wanted}}
    choices = made.choices() if hasattr(made, "choices") else {}
    options = {
        name: draw(st.sampled_from([choice for choice in allowed if choice])) for name, allowed in choices.items()
    }
    return kind, sides["predictions"], sides["targets"], draw(near_meta(kind)), options


def check_arrays(case):
    kind, predictions, targets, meta, options = case
    assert_answered_or_refused(kind, predictions, targets, meta=meta, **options)


@given(kind_samples())
@PLAIN
def test_any_arrays_are_answered_or_refused(case):
    check_arrays(case)


@pytest.mark.slow
@given(kind_samples())
@THOROUGH
def test_any_arrays_are_answered_or_refused_ten_thousand_times(case):
    check_arrays(case)

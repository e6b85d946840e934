"""The same samples give the same answer from whatever container they come."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from probe4d.errors import DataError
from probe4d.scoring import score
from probe4d.scoring.files import digest_folder


@pytest.fixture
def expected(points):
    return score("points", points.predictions, points.targets, meta=points.stated)


@pytest.mark.parametrize("container", ["npz", "batch.npz", "jsonl", "zarr", "parquet"])
def test_every_container_gives_the_same_values(container, points, write, expected):
    predictions, targets = write(points, container)
    found = score("points", str(predictions), str(targets))
    assert dict(found.values) == dict(expected.values)
    assert dict(found.ci95) == dict(expected.ci95)
    assert found.per_sample == expected.per_sample
    assert [item.id for item in found.left_out] == ["clip_3"]


@pytest.mark.parametrize("container", ["npz", "batch.npz"])
def test_a_compressed_npz_gives_the_same_values(container, points, write, expected):
    predictions, targets = write(points, container, compressed=True)
    assert dict(score("points", str(predictions), str(targets)).values) == dict(expected.values)


@pytest.mark.parametrize("kind", ["points", "depth", "pose", "boxes", "labels"])
@pytest.mark.parametrize("container", ["npz", "batch.npz", "jsonl", "zarr", "parquet"])
def test_every_kind_comes_through_every_container(kind, container, example, write):
    of = example(kind)
    options = {"match": "rows"} if kind == "boxes" else {}
    memory = score(kind, of.predictions, of.targets, meta=of.stated, **options)
    predictions, targets = write(of, container)
    assert dict(score(kind, str(predictions), str(targets), **options).values) == dict(memory.values)


def test_containers_may_differ_between_predictions_and_targets(points, write, tmp_path, expected):
    predictions, _ = write(points, "jsonl")
    _, targets = write(points, "zarr")
    assert dict(score("points", str(predictions), str(targets)).values) == dict(expected.values)


def test_samples_may_stand_in_any_order(points, expected):
    shuffled = dict(sorted(points.predictions.items(), reverse=True))
    assert dict(score("points", shuffled, points.targets, meta=points.stated).values) == dict(expected.values)


def test_sample_ids_may_hold_slashes(points, write):
    renamed = {f"a/b/{sample_id}": fields for sample_id, fields in points.predictions.items()}
    targets = {f"a/b/{sample_id}": fields for sample_id, fields in points.targets.items()}
    of = type(points)("points", renamed, targets, points.meta)
    found = score("points", *map(str, write(of)))
    assert "a/b/clip_0" in found.per_sample


def test_a_zarr_group_of_format_2_is_read(points, write, tmp_path, expected):
    import zarr

    root = zarr.open_group(str(tmp_path / "two.zarr"), mode="w", zarr_format=2)
    root.attrs["meta"] = points.meta["predictions"]
    for sample_id, fields in points.predictions.items():
        for name, value in fields.items():
            root.require_group(sample_id).create_array(name, shape=value.shape, dtype=value.dtype)[...] = value
    _, targets = write(points)
    assert dict(score("points", str(tmp_path / "two.zarr"), str(targets)).values) == dict(expected.values)


def test_a_zarr_behind_a_url_is_read(points, write, expected):
    predictions, targets = write(points, "zarr")
    found = score("points", f"file://{predictions}", f"file://{targets}")
    assert dict(found.values) == dict(expected.values)
    assert found.inputs["predictions"]["sha256"] == digest_folder(str(predictions))


def test_an_npz_behind_a_url_is_read(points, write, expected):
    predictions, targets = write(points)
    assert dict(score("points", f"file://{predictions}", str(targets)).values) == dict(expected.values)


def test_the_digest_of_a_file_is_its_sha256(points, write):
    predictions, targets = write(points)
    found = score("points", str(predictions), str(targets))
    assert found.inputs["predictions"]["sha256"] == hashlib.sha256(predictions.read_bytes()).hexdigest()
    assert found.inputs["targets"]["sha256"] == hashlib.sha256(targets.read_bytes()).hexdigest()


def test_the_digest_of_a_folder_covers_names_and_contents(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "b").write_bytes(b"2")
    (tmp_path / "sub" / "a").write_bytes(b"1")
    lines = [f"b {hashlib.sha256(b'2').hexdigest()}\n", f"sub/a {hashlib.sha256(b'1').hexdigest()}\n"]
    assert digest_folder(str(tmp_path)) == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert digest_folder(f"file://{tmp_path}") == digest_folder(str(tmp_path))


def test_the_digest_in_memory_changes_with_any_array(points):
    before = score("points", points.predictions, points.targets, meta=points.stated).inputs["predictions"]["sha256"]
    points.predictions["clip_2"]["tracks"] = points.predictions["clip_2"]["tracks"] + 1
    after = score("points", points.predictions, points.targets, meta=points.stated).inputs["predictions"]["sha256"]
    assert before != after


def test_one_sample_at_a_time_is_read_of_an_uncompressed_batch(tmp_path):
    samples, classes = 200, 20_000
    meta = json.dumps({"schema": "probe4d/labels/1"})
    ids = np.array([f"s{i}" for i in range(samples)])
    logits = np.zeros((samples, classes), dtype=np.float32)
    logits[:, 1] = 1
    np.savez(tmp_path / "p.npz", meta=meta, ids=ids, logits=logits)
    np.savez(tmp_path / "t.npz", meta=meta, ids=ids, label=np.ones(samples, int))
    # The file has 16 MB; a limit below it shows that no more than a row is ever made of it.
    found = score("labels", str(tmp_path / "p.npz"), str(tmp_path / "t.npz"), max_array_bytes=100_000)
    assert found.values["top1"] == 1.0
    with pytest.raises(DataError, match="at most 50,000 bytes a sample"):
        score("labels", str(tmp_path / "p.npz"), str(tmp_path / "t.npz"), max_array_bytes=50_000)


def test_float16_and_integer_fields_are_read(points):
    for fields in points.predictions.values():
        fields["tracks"] = np.round(fields["tracks"]).astype(np.float16)
    whole = {i: {**f, "tracks": f["tracks"].astype(np.int32)} for i, f in points.predictions.items()}
    assert dict(score("points", points.predictions, points.targets, meta=points.stated).values) == dict(
        score("points", whole, points.targets, meta=points.stated).values
    )


def test_fortran_order_and_big_endian_arrays_are_read(points, write, tmp_path, expected):
    for fields in points.predictions.values():
        fields["tracks"] = np.asfortranarray(fields["tracks"]).astype(">f8")
    assert dict(score("points", *map(str, write(points))).values) == dict(expected.values)

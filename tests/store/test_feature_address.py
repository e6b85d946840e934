"""What names a feature set, and what happens when it is another one."""

from __future__ import annotations

import subprocess
import sys

import attrs
import pytest

from probe4d.errors import UsageError
from probe4d.store import (
    FeatureAddress,
    FeatureStore,
    NotExtractedError,
    StoreDamageError,
    StoreMismatchError,
    layer_name,
    platform_class,
    sample_ids_digest,
)

CHANGES = {
    "backbone": "toy/other",
    "backbone_version": "toy 1.1",
    "weights": "sha256:01",
    "preprocessing": {"size": [224, 224], "mean": [0.4]},
    "layers": (0.5, 11),
    "dtype": "float32",
    "dataset": "toy/other",
    "dataset_revision": "r2",
    "split": "train",
    "samples": "sha256:ff",
    "clip": {"frames": 16, "stride": 4},
    "views": (7, 9),
    "targets": {"kind": "boxes"},
    "platform": {"device": "cpu", "libraries": {"jax": "0.11"}},
}


def test_the_changes_below_cover_every_field():
    assert set(CHANGES) == {field.name for field in attrs.fields(FeatureAddress)}


@pytest.mark.parametrize("field", CHANGES)
def test_every_field_changes_the_digest_and_is_named_when_it_differs(field, toy, tmp_path):
    store = toy.create(tmp_path)
    wanted = toy.address(toy.names(10), **{field: CHANGES[field]})
    assert wanted.digest != store.digest
    inside = {"preprocessing": ".mean", "clip": ".stride", "targets": ".kind", "platform": ".libraries.jax"}
    with pytest.raises(StoreMismatchError) as caught:
        FeatureStore.open(store.url, wanted)
    message = str(caught.value)
    assert f"{field}{inside.get(field, '')}: expected " in message
    assert message.count(": expected ") == 1
    (both,) = wanted.differences(store.address).values()
    assert f"expected {both[0]!r}, got {both[1]!r}" in message


def test_every_differing_field_is_named_at_once(toy, tmp_path):
    store = toy.create(tmp_path)
    with pytest.raises(StoreMismatchError, match=r"weights: expected .*; split: expected 'train', got 'val'"):
        FeatureStore.open(store.url, toy.address(toy.names(10), weights="none", split="train"))


def test_the_digest_is_that_of_the_values_not_of_how_they_are_given(toy):
    ids = toy.names(3)
    one = toy.address(ids, preprocessing={"a": 1, "b": (1, 2)}, layers=(0.5, 12), views=(1, 2))
    other = toy.address(ids, preprocessing={"b": [1, 2], "a": 1}, layers=["0.5", "12"], views=[1, 2])
    assert one == other
    assert one.digest == other.digest
    assert one == FeatureAddress.from_json(one.to_json(), "here")


def test_a_digest_is_the_same_in_every_version():
    address = FeatureAddress(
        backbone="a/b", backbone_version="a 1", weights="none", preprocessing={}, layers=(1.0,), dataset="d/e",
        dataset_revision="1", split="s", samples="x", clip={}, platform={},
    )  # fmt: skip
    assert address.digest == "f7f3bd5b2708052728f85c21f9c372188aebd56bc825e40cc351a4401f9c2dc1"


@pytest.mark.parametrize(
    "changes",
    [{"dtype": "int8"}, {"layers": ()}, {"views": ()}, {"layers": (1, 1)}, {"backbone": ""}, {"clip": {"a": object()}}],
)
def test_an_address_that_names_nothing_is_refused(changes, toy):
    with pytest.raises(UsageError, match="FeatureAddress"):
        toy.address(["a"], **changes)


def test_another_order_of_samples_is_another_set(toy):
    assert sample_ids_digest(["a", "b"]) != sample_ids_digest(["b", "a"])
    assert sample_ids_digest(["ab", "c"]) != sample_ids_digest(["a", "bc"])


def test_the_ids_given_have_to_be_those_of_the_address(toy, tmp_path):
    with pytest.raises(StoreMismatchError, match="samples: expected ids of digest"):
        FeatureStore.create(tmp_path / "set", toy.address(["a", "b"]), ids=["b", "a"], layers=toy.LAYERS)


def test_a_depth_and_a_number_of_blocks_are_different_layers():
    assert (layer_name(1), layer_name(1.0), layer_name(0.95)) == ("1", "1.0", "0.95")
    for wrong in (0, -1, 1.5, True, "x"):
        with pytest.raises(UsageError, match="layer: expected"):
            layer_name(wrong)


def test_arrays_of_other_shapes_or_types_are_named(toy, tmp_path):
    store = toy.create(tmp_path)
    same = {"ids": toy.names(10), "layers": toy.LAYERS, "targets": toy.TARGETS, "samples_per_shard": 4}
    for changes, message in (
        ({"samples_per_shard": 5}, "samples_per_shard: expected 5, got 4"),
        ({"targets": {**toy.TARGETS, "more": ((), "bool")}}, r"targets/more: expected \(\(\), 'bool'\), got None"),
        ({"layers": {**toy.LAYERS, 12: (1, 2, 8)}}, r"layers/12/features: expected \(\(1, 2, 8\), 'float16'\)"),
    ):
        with pytest.raises(StoreMismatchError, match=message):
            FeatureStore.create(store.url, store.address, **{**same, **changes})


def test_no_set_a_damaged_one_and_one_of_another_version_are_told_apart(toy, tmp_path):
    with pytest.raises(NotExtractedError, match="expected a feature set, found none"):
        FeatureStore.open(tmp_path / "nothing")
    store = toy.create(tmp_path)
    file = store.files.path("set.json")
    text = file.read_text()
    file.write_text(text.replace("probe4d/features/1", "probe4d/features/2"))
    with pytest.raises(StoreMismatchError, match="schema: expected 'probe4d/features/1', got 'probe4d/features/2'"):
        FeatureStore.open(store.url)
    file.write_text(text.replace('"sha256:00"', '"sha256:07"'))
    with pytest.raises(StoreMismatchError, match=r"digest: expected .* of its address"):
        FeatureStore.open(store.url)
    file.write_text(text[:100])
    with pytest.raises(StoreDamageError, match=r"set\.json: expected the description of a feature set"):
        FeatureStore.open(store.url)


def test_the_platform_class_holds_what_it_is_given_and_the_processor():
    found = platform_class({"jaxlib": "1", "jax": "2"}, threads=2, batch=8)
    assert found["libraries"] == {"jax": "2", "jaxlib": "1"}
    assert (found["threads"], found["batch"]) == (2, 8)
    assert found["device"]
    assert platform_class({}, device="NVIDIA H100")["device"] == "NVIDIA H100"
    assert "threads" not in platform_class({})


def test_importing_the_store_imports_no_heavy_library():
    code = "import probe4d.store, sys; print({'zarr', 'fsspec', 'jax', 'ml_dtypes', 'torch'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"

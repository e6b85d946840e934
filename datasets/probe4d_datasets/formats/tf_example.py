"""`tf.train.Example` records: the features that are asked for, the others skipped without a look.

`Example{1: Features{1: entry{1: key, 2: Feature{1: bytes_list | 2: float_list | 3: int64_list}}}}`,
each list `{1: repeated}`, numbers packed or not.
Source: TensorFlow, `tensorflow/core/example/{example,feature}.proto`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeAlias

import numpy as np

from probe4d.contracts import Array
from probe4d.errors import DataError
from probe4d_datasets.formats.wire import Value, as_bytes, as_text, encode_field, encode_varint, fields, varints

__all__ = ["Feature", "encode_example", "read_example"]

Feature: TypeAlias = "list[memoryview] | Array"
BYTES_LIST, FLOAT_LIST, INT64_LIST = 1, 2, 3


def read_example(data: bytes, keys: Collection[str], where: str) -> dict[str, Feature]:
    """Return the named features: a list of byte strings, or `(n,)` float32 or int64.

    Raises:
        DataError: one is missing, there twice, or the record is no Example.
    """
    found: dict[str, Feature] = {}
    for _, features in fields(memoryview(data), where, (1,)):
        for _, entry in fields(as_bytes(features, where), where, (1,)):
            key, feature = _entry(as_bytes(entry, where), keys, where)
            if key is None:
                continue
            if key in found:
                raise DataError(f"{where}: expected the feature {key!r} once, got it twice. Replace the file.")
            found[key] = _feature(feature, f"{where}, {key}")
    if missing := sorted(set(keys) - set(found)):
        raise DataError(f"{where}: expected the feature {missing[0]!r}, got none. Is this another builder's record?")
    return found


def _entry(entry: memoryview, keys: Collection[str], where: str) -> tuple[str | None, memoryview]:
    """Return key and feature; no key where nobody asked for it."""
    key, feature = "", memoryview(b"")
    for number, value in fields(entry, where, (1, 2)):
        if number == 1:
            key = as_text(value, where)
            if key not in keys:
                return None, feature
        else:
            feature = as_bytes(value, where)
    return (key if key in keys else None), feature


def _feature(feature: memoryview, where: str) -> Feature:
    kinds = list(fields(feature, where, (BYTES_LIST, FLOAT_LIST, INT64_LIST)))
    if len({number for number, _ in kinds}) != 1:
        raise DataError(f"{where}: expected one list of bytes, floats or integers, got {len(kinds)}. Replace the file.")
    number = kinds[0][0]
    values = [v for _, part in kinds for _, v in fields(as_bytes(part, where), where, (1,))]
    if number == BYTES_LIST:
        return [as_bytes(value, where) for value in values]
    parts = [_floats(value, where) if number == FLOAT_LIST else _integers(value, where) for value in values]
    empty = np.empty(0, np.float32 if number == FLOAT_LIST else np.int64)
    return np.concatenate([empty, *parts])


def _floats(value: Value, where: str) -> Array:
    raw = as_bytes(value, where)
    if len(raw) % 4:
        raise DataError(f"{where}: expected floats of 4 bytes each, got {len(raw)} bytes. Replace the file.")
    return np.frombuffer(raw, "<f4").astype(np.float32, copy=False)


def _integers(value: Value, where: str) -> Array:
    if isinstance(value, int):
        return np.array([value], np.uint64).view(np.int64)
    return varints(value, where)


def encode_example(features: Mapping[str, list[bytes] | Array]) -> bytes:
    """Return such a record, numbers packed: what tests and converters write."""
    entries = b""
    for key, values in features.items():
        if isinstance(values, list):
            number, body = BYTES_LIST, b"".join(encode_field(1, value) for value in values)
        elif values.dtype.kind == "f":
            number, body = FLOAT_LIST, encode_field(1, values.astype("<f4").tobytes())
        else:
            packed = b"".join(encode_varint(int(value) & 0xFFFFFFFFFFFFFFFF) for value in values.ravel())
            number, body = INT64_LIST, encode_field(1, packed)
        feature = encode_field(number, body)
        entries += encode_field(1, encode_field(1, key.encode()) + encode_field(2, feature))
    return encode_field(1, entries)

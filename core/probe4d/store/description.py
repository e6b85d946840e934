"""What a set is made of: its address, its ids and its arrays; `set.json` and the zarr documents."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from probe4d.contracts import Layer
from probe4d.errors import UsageError
from probe4d.store.address import FeatureAddress, layer_name, sample_ids_digest
from probe4d.store.dtypes import dtype_name
from probe4d.store.errors import StoreDamageError, StoreMismatchError
from probe4d.store.ids import check_ids
from probe4d.store.layout import GROUP, ArrayLayout, document, group_document

__all__ = ["SET_FILE", "SetDescription", "describe_set", "layer_path", "parse_set", "target_path"]

SCHEMA = "probe4d/features/1"
SET_FILE = "set.json"
SHARD_ROWS = 64
VALID = "valid"
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


def layer_path(layer: Layer | str) -> str:
    """Return the array of a layer, as `layers/0.95/features`."""
    return f"layers/{layer if isinstance(layer, str) else layer_name(layer)}/features"


def target_path(name: str) -> str:
    """Return the array of a target field, as `targets/tracks`."""
    return f"targets/{name}"


@frozen(kw_only=True)
class SetDescription:
    """The fixed facts of a set; the same address gives the same documents, byte for byte.

    Attributes:
        samples: number of ids.
        samples_per_shard: ids of one shard; each has a row for each view.
        arrays: by path; `valid` is one of them.
    """

    address: FeatureAddress
    samples: int
    samples_per_shard: int
    arrays: Mapping[str, ArrayLayout]

    @property
    def views(self) -> int:
        """K, the rows of one sample."""
        return len(self.address.views)

    @property
    def rows(self) -> int:
        """Number of rows: row `s * K + v` is view v of sample s."""
        return self.samples * self.views

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.samples // self.samples_per_shard)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays when the set is whole and no sample is left out."""
        return sum(layout.nbytes for layout in self.arrays.values())

    def to_bytes(self) -> bytes:
        """Return `set.json`."""
        return document(
            {
                "schema": SCHEMA,
                "digest": self.address.digest,
                "address": self.address.to_json(),
                "samples": self.samples,
                "samples_per_shard": self.samples_per_shard,
                "arrays": {
                    path: {"dtype": layout.dtype, "row_shape": layout.row_shape, "dims": layout.dims}
                    for path, layout in self.arrays.items()
                },
            }
        )

    def documents(self) -> dict[str, bytes]:
        """Return every `zarr.json` of the group by key."""
        found = {f"{GROUP}/{path}/zarr.json": layout.metadata() for path, layout in self.arrays.items()}
        for path in self.arrays:
            above = path.split("/")[:-1]
            for depth in range(1, len(above) + 1):
                found[f"{GROUP}/{'/'.join(above[:depth])}/zarr.json"] = group_document({})
        facts = {
            "schema": SCHEMA,
            "digest": self.address.digest,
            "address": self.address.to_json(),
            "views": self.views,
        }
        return {**found, f"{GROUP}/zarr.json": group_document({"probe4d": facts})}


def describe_set(
    address: FeatureAddress,
    ids: Sequence[str],
    layers: Mapping[Layer | str, Sequence[int]],
    targets: Mapping[str, tuple[Sequence[int], Any]],
    samples_per_shard: int | None = None,
) -> SetDescription:
    """Return the description of a new set.

    Args:
        layers: `(t, k, c)` of each layer of the address.
        targets: shape of one row and dtype, by field.
        samples_per_shard: by default as many as make 64 rows.

    Raises:
        UsageError: names, shapes or ids that no set can have.
    """
    where = f"feature set {address.digest[:12]}"
    check_ids(ids, where)
    if sample_ids_digest(ids) != address.samples:
        raise StoreMismatchError(
            f"{where}: samples: expected ids of digest {address.samples}, got {sample_ids_digest(ids)}."
        )
    shapes = {layer if isinstance(layer, str) else layer_name(layer): tuple(shape) for layer, shape in layers.items()}
    if set(shapes) != set(address.layers):
        raise StoreMismatchError(f"{where}: layers: expected {sorted(address.layers)}, got {sorted(shapes)}.")
    for name in (*shapes, *targets):
        if not NAME.fullmatch(name):
            raise UsageError(f"{where}: expected names of letters, digits, '.', '_' and '-', got {name!r}.")
    arrays: dict[str, tuple[str, tuple[int, ...], tuple[str, ...]]] = {}
    for layer in address.layers:
        if len(shapes[layer]) != 3:
            raise UsageError(f"{where}: layer {layer}: expected (t, k, c), got {shapes[layer]}.")
        arrays[layer_path(layer)] = (address.dtype, shapes[layer], ("t", "k", "c"))
    for name, (shape, dtype) in sorted(targets.items()):
        arrays[target_path(name)] = (dtype_name(dtype), tuple(int(size) for size in shape), ())
    arrays[VALID] = ("bool", (), ())
    if samples_per_shard is None:
        samples_per_shard = max(1, SHARD_ROWS // len(address.views))
    return _lay_out(address, len(ids), samples_per_shard, arrays)


def parse_set(content: bytes, where: str) -> SetDescription:
    """Return the description of a `set.json`.

    Raises:
        StoreDamageError: it is none.
        StoreMismatchError: it is of another version, or its digest is not that of its address.
    """
    try:
        value = json.loads(content)
        if value["schema"] != SCHEMA:
            raise StoreMismatchError(f"{where}: schema: expected {SCHEMA!r}, got {value['schema']!r}.")
        arrays = {
            path: (facts["dtype"], tuple(facts["row_shape"]), tuple(facts["dims"]))
            for path, facts in value["arrays"].items()
        }
        address = FeatureAddress.from_json(value["address"], where)
        stated, samples, per_shard = value["digest"], int(value["samples"]), int(value["samples_per_shard"])
        described = _lay_out(address, samples, per_shard, arrays)
    except (StoreMismatchError, UsageError):
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreDamageError(f"{where}: expected the description of a feature set, got {error!r}.") from error
    if address.digest != stated:
        raise StoreMismatchError(f"{where}: digest: expected {address.digest} of its address, got {stated}.")
    return described


def _lay_out(
    address: FeatureAddress,
    samples: int,
    samples_per_shard: int,
    arrays: Mapping[str, tuple[str, tuple[int, ...], tuple[str, ...]]],
) -> SetDescription:
    views = len(address.views)
    layouts = {
        path: ArrayLayout(
            path=path,
            dtype=dtype,
            rows=samples * views,
            row_shape=shape,
            shard_rows=samples_per_shard * views,
            dims=dims,
        )
        for path, (dtype, shape, dims) in arrays.items()
    }
    return SetDescription(address=address, samples=samples, samples_per_shard=samples_per_shard, arrays=layouts)

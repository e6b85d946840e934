"""A copy of a set for other programs: its zarr group, or one `.npz` a sample."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from probe4d.contracts import Array
from probe4d.errors import UsageError
from probe4d.store.dtypes import widen
from probe4d.store.errors import NotExtractedError, StoreDamageError
from probe4d.store.feature_store import FeatureStore
from probe4d.store.files import LocalFiles
from probe4d.store.layout import GROUP, document
from probe4d.store.verifying import verify

__all__ = ["export_npz", "export_zarr"]

LONGEST_NAME = 200  # bytes of a file's name that every file system takes


def export_zarr(store: FeatureStore, destination: str | os.PathLike[str]) -> int:
    """Copy the zarr group, checked, to a new folder; return the bytes written.

    Raises:
        UsageError: the folder is not empty.
        NotExtractedError: a shard is not done.
        StoreDamageError: the set is damaged.
    """
    files = _empty_folder(store, destination)
    if damages := [item for item in verify(store) if item.what != "surplus file"]:
        raise StoreDamageError(
            f"{store.url}: expected an undamaged set, got {damages[0].what}: {damages[0].file} "
            f"(and {len(damages) - 1} more). Run `probe4d cache verify --repair`."
        )
    prefix, written = f"{GROUP}/", 0
    for key, size in store.files.sizes(GROUP).items():
        files.write(key.removeprefix(prefix), [store.files.read(key)])
        written += size
    files.write_folder_done()
    return written


def export_npz(store: FeatureStore, destination: str | os.PathLike[str]) -> int:
    """Write one uncompressed `.npz` per sample and `features.json`; return the bytes written.

    Arrays are named as in the set and begin with the axis of views, `(K, …)`; bfloat16 becomes float32.
    Samples left out have no file and are listed in `features.json`.

    Raises:
        UsageError: the folder is not empty.
        NotExtractedError: a shard is not done.
        StoreDamageError: the set is damaged.
    """
    files = _empty_folder(store, destination)
    without = {item.id for item in store.left_out()}
    paths = [path for path in store.description.arrays if path != "valid"]
    names: dict[str, str] = {}
    written = 0
    for number, sample in enumerate(store.ids):
        if sample in without:
            continue
        rows = np.arange(number * store.views, (number + 1) * store.views)
        content = io.BytesIO()
        arrays: dict[str, Any] = {path: _plain(store, path, rows) for path in paths}
        np.savez(content, **arrays)
        names[sample] = _file_name(sample)
        files.write(names[sample], [content.getbuffer()])
        written += content.getbuffer().nbytes
    facts: dict[str, Any] = {
        "address": store.address.to_json(),
        "digest": store.digest,
        "files": names,
        "left_out": [list(item) for item in store.left_out()],
    }
    index = document(facts)
    files.write("features.json", [index])
    files.write_folder_done()
    return written + len(index)


class _Destination(LocalFiles):
    """A folder that is filled once."""

    def write_folder_done(self) -> None:
        """Remove the folder of temporary files."""
        (self.root / "tmp").rmdir()


def _empty_folder(store: FeatureStore, destination: str | os.PathLike[str]) -> _Destination:
    root = Path(destination)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise UsageError(f"{root}: expected an empty or a new folder, got one that is not. Choose another.")
    missing = store.missing()
    if missing:
        listed = ", ".join(map(str, missing[:10])) + (", …" if len(missing) > 10 else "")
        raise NotExtractedError(
            f"{store.url}: expected a complete set, got {len(missing)} of {store.num_shards} shards not done: {listed}."
        )
    return _Destination(root)


def _plain(store: FeatureStore, path: str, rows: Array) -> Array:
    values = store.reader.read(path, rows)
    return widen(values.view(np.uint16)) if store.description.arrays[path].dtype == "bfloat16" else values


def _file_name(sample: str) -> str:
    """Return a name that every file system takes, the same for the same id and another for another."""
    name = quote(sample, safe=" ()+,=@")
    if name.startswith("."):
        name = f"%2E{name[1:]}"
    if len(name) > LONGEST_NAME:
        name = f"{name[: LONGEST_NAME - 17]}~{hashlib.sha256(sample.encode()).hexdigest()[:16]}"
    return f"{name}.npz"

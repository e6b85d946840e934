"""`.zarr`: a group per sample id, arrays as fields, `meta` in the root group's attributes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from probe4d.contracts import Array, Arrays
from probe4d.errors import DataError, MissingExtraError
from probe4d.scoring.files import digest_folder
from probe4d.scoring.lazy import LazyArray
from probe4d.scoring.source import Limits, Source, check_array_size, check_id, fail

__all__ = ["open_zarr"]

# Everything else is refused: a codec named by a file is code that runs on it, and one of them is pickle.
CODECS = {
    "bytes", "crc32c", "gzip", "zstd", "blosc", "transpose", "sharding_indexed", "vlen-utf8",
    "zlib", "lz4", "bz2", "lzma", "delta", "shuffle", "bitround", "fixedscaleoffset", "packbits",
}  # fmt: skip
EAGER_BYTES = 16 << 20  # larger arrays are read in pieces by the kinds that can


def open_zarr(path: str, *, limits: Limits, **_: Any) -> Source:
    """Return the samples of a zarr store.

    Raises:
        MissingExtraError: zarr is not installed.
        DataError: it is no zarr group, or holds no sample.
    """
    try:
        import zarr
    except ImportError as error:
        raise MissingExtraError(f"{path}: .zarr needs zarr. Run: pip install 'probe4d[zarr]'") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # zarr warns of consolidated metadata and of foreign files
            root = zarr.open_group(path, mode="r")
            return ZarrSamples(path, root, limits)
    except DataError:
        raise
    except Exception as error:  # zarr and its stores raise errors of many libraries
        raise DataError(
            f"{path}: expected a zarr group with a group per sample, got {type(error).__name__}: {str(error)[:200]}."
        ) from error


class ZarrSamples(Source):
    """A zarr store, metadata read once for each sample."""

    def __init__(self, path: str, root: Any, limits: Limits) -> None:
        self.name = path
        self._root = root
        self._limits = limits
        self.meta = _meta(path, root.attrs)
        self.ids = [check_id(path, name) for name in sorted(root.group_keys())]
        if not self.ids:
            fail(path, "a group per sample", "no group")
        if arrays := sorted(root.array_keys()):
            fail(path, "arrays inside a group per sample", f"the array {arrays[0]!r} beside the groups")

    def load(self, sample_id: str) -> Arrays:
        """Return the arrays of one group; large ones are lazy."""
        where = f"{self.name}: sample {sample_id!r}"
        with _as_data_error(where):
            group = self._root[sample_id]
            if nested := sorted(group.group_keys()):
                fail(where, "arrays only", f"the group {nested[0]!r}")
            wanted = sorted((name, array) for name, array in group.arrays() if name not in self.skipped)
            return {name: self._field(f"{where}: {name}", array) for name, array in wanted}

    def _field(self, where: str, array: Any) -> Any:
        _check_codecs(where, array.metadata.to_dict())
        dtype = np.dtype(array.dtype)
        if dtype.hasobject or dtype.kind not in "biufUS" or (dtype.kind == "f" and dtype.itemsize > 8):
            fail(where, "booleans, integers, floats of at most 64 bits or text", f"dtype {dtype}")
        shape = tuple(int(size) for size in array.shape)
        # A slice is read by whole chunks, so that it is these that have to fit.
        check_array_size(f"{where}: chunks", tuple(map(int, array.chunks)), dtype.itemsize, self._limits)
        step = int(array.chunks[0]) if shape else 1
        lazy = LazyArray(where, shape, dtype, _Reader(where, array), self._limits, step)
        return lazy if shape and lazy.nbytes > EAGER_BYTES else np.asarray(_read(where, array, ...))

    def digest(self) -> str:
        """Return the sha256 over the store's files; see `digest_folder`."""
        return digest_folder(self.name)


class _Reader:
    """Reads rows of a zarr array, one block of chunks at a time."""

    def __init__(self, where: str, array: Any) -> None:
        self._where = where
        self._array = array

    def __call__(self, start: int, stop: int) -> Array:
        return _read(self._where, self._array, slice(start, stop))


def _read(where: str, array: Any, selection: Any) -> Array:
    with _as_data_error(where):
        return np.asarray(array[selection])


class _as_data_error:  # noqa: N801 - reads as the statement that it is
    """Turns what zarr raises on a damaged store into a DataError that names the place."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Exception) and not isinstance(error, DataError):
            what = f"{type(error).__name__}: {str(error)[:200]}"
            raise DataError(f"{self._where}: expected a readable zarr array, got {what}.") from error


def _check_codecs(where: str, metadata: Mapping[str, Any]) -> None:
    for name in _codec_names(metadata):
        if name.removeprefix("numcodecs.") not in CODECS:
            fail(where, f"a codec of {', '.join(sorted(CODECS))}", f"{name!r}", "Write the array with another codec.")


def _codec_names(metadata: Any) -> Iterator[str]:
    """Yield the names of all codecs, those inside shards included."""
    for key in ("codecs", "index_codecs", "filters"):
        for codec in metadata.get(key) or ():
            yield from _codec_name(codec)
    if compressor := metadata.get("compressor"):
        yield from _codec_name(compressor)


def _codec_name(codec: Any) -> Iterator[str]:
    if not isinstance(codec, Mapping):
        codec = codec.get_config() if hasattr(codec, "get_config") else codec.to_dict()
    yield str(codec.get("name", codec.get("id")))
    configuration = codec.get("configuration")
    if isinstance(configuration, Mapping):
        yield from _codec_names(configuration)


def _meta(path: str, attributes: Any) -> Mapping[str, Any]:
    value = attributes.get("meta", {})
    if not isinstance(value, Mapping):
        fail(f"{path}: meta", "a JSON object in the root group's attributes", type(value).__name__)
    return dict(value)

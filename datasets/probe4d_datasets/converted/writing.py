"""A shard of a copy on the disk: a tar as WebDataset has it, or groups of a zarr v3 store."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from probe4d.contracts import Array
from probe4d.errors import UsageError
from probe4d.store.files import Files
from probe4d.store.layout import array_document, group_document
from probe4d_datasets.converted.layout import Piece, Stored, crc
from probe4d_datasets.converted.sample import Gathered

__all__ = ["FORMATS", "PICTURES", "write_tar", "write_zarr"]

FORMATS = ("webdataset", "zarr")
PICTURES = ("raw", "png", "jpeg")
QUALITY = 95  # of jpeg
COPY = 1 << 23  # bytes that are copied at a time
ZARR_ROWS = 16  # frames of a chunk
GROUP = "samples.zarr"


class TarShard:
    """A tar that is being written on this machine; `close` puts it in its place.

    Args:
        key: of the tar.
        pictures: how frames are kept: `raw`, `png` (lossless) or `jpeg`.
    """

    def __init__(self, files: Files, key: str, folder: Path, pictures: str) -> None:
        self._files, self._key, self._pictures = files, key, pictures
        self._path = folder / "shard.tar"
        self._tar = tarfile.open(self._path, "w", format=tarfile.GNU_FORMAT)  # noqa: SIM115 - closed by `close`

    def add(self, number: int, sample: Gathered) -> dict[str, Stored]:
        """Add a sample and return where its arrays are."""
        stored = {}
        for name, value in sample.arrays.items():
            if name == "video" and self._pictures != "raw":
                stored[name] = self._add_pictures(number, value)
            else:
                stored[name] = self._add_array(f"{number:08d}.{name}.npy", value, sample.axes[name])
        facts = {"id": sample.id, "frames": sample.frames, "provenance": dict(sample.provenance)}
        self._add(f"{number:08d}.json", [json.dumps(facts, sort_keys=True, default=str).encode()])
        return stored

    def abandon(self) -> None:
        """Close what is open; nothing is put in its place."""
        self._tar.close()

    def close(self) -> None:
        """Put the tar in its place, whole."""
        self._tar.close()

        def pieces() -> Iterator[bytes]:
            with self._path.open("rb") as file:
                while part := file.read(COPY):
                    yield part

        self._files.write(self._key, pieces())
        self._path.unlink()

    def _add_array(self, name: str, value: Array, time: int | None) -> Stored:
        head = io.BytesIO()
        np.lib.format.write_array_header_1_0(head, np.lib.format.header_data_from_array_1_0(value))
        rows, row_shape, crcs = rows_of(value, time)
        content: Any = value.data.cast("B") if value.size and value.ndim else value.tobytes()
        offset = self._add(name, [head.getvalue(), content])
        piece = Piece(self._key, 0, rows, offset + len(head.getvalue()), value.nbytes)
        return Stored(
            dtype=value.dtype.str, row_shape=row_shape, rows=rows, time=time, pieces=(piece,) if rows else (), crcs=crcs
        )

    def _add_pictures(self, number: int, video: Array) -> Stored:
        pieces, crcs = [], []
        for frame, picture in enumerate(video):
            content = encoded(picture, self._pictures)
            suffix = {"png": "png", "jpeg": "jpg"}[self._pictures]
            offset = self._add(f"{number:08d}.video.{frame:06d}.{suffix}", [content])
            pieces.append(Piece(self._key, frame, 1, offset, len(content)))
            crcs.append(crc(content))
        return Stored(
            dtype="|u1", row_shape=video.shape[1:], rows=len(video), time=0, encoding=self._pictures,
            pieces=tuple(pieces), crcs=tuple(crcs),
        )  # fmt: skip

    def _add(self, name: str, parts: list[Any]) -> int:
        """Add a member and return where its content begins."""
        info = tarfile.TarInfo(name)
        info.size = sum(len(part) for part in parts)
        self._tar.addfile(info, _Parts(parts))
        return int(self._tar.offset) - info.size - (-info.size % tarfile.BLOCKSIZE)


class _Parts(io.RawIOBase):
    """Bytes that lie in several places, read one after the other without being joined."""

    def __init__(self, parts: list[Any]) -> None:
        self._left = [memoryview(part) for part in parts if len(part)]

    def read(self, size: int = -1) -> bytes:
        """Return up to so many bytes."""
        out = bytearray()
        while self._left and (size < 0 or len(out) < size):
            part = self._left[0]
            taken = part if size < 0 else part[: size - len(out)]
            out += taken
            self._left[0] = part[len(taken) :]
            if not len(self._left[0]):
                self._left.pop(0)
        return bytes(out)


def write_tar(
    files: Files, shard: str, samples: Iterator[tuple[int, Gathered]], folder: Path, pictures: str
) -> dict[str, Mapping[str, Stored]]:
    """Write a shard as a tar and return, by sample id, where the arrays are."""
    tar = TarShard(files, f"{shard}.tar", folder, pictures)
    try:
        found: dict[str, Mapping[str, Stored]] = {sample.id: tar.add(number, sample) for number, sample in samples}
    except BaseException:
        tar.abandon()
        raise
    tar.close()
    return found


def write_zarr(
    files: Files, shard: str, samples: Iterator[tuple[int, Gathered]], _folder: Path, pictures: str
) -> dict[str, Mapping[str, Stored]]:
    """Write a shard's samples as groups of the split's zarr store and return, by sample id, where the arrays are.

    Raises:
        UsageError: frames are to be pictures, which zarr does not have.
    """
    if pictures != "raw":
        raise UsageError(f"--frames: expected raw for zarr, got {pictures!r}. Choose --format webdataset.")
    split = shard.rpartition("/")[0]
    files.write(f"{split}/{GROUP}/zarr.json", [group_document({"schema": "probe4d/copy/1"})])
    return {sample.id: _add_group(files, f"{split}/{GROUP}/{number:08d}", sample) for number, sample in samples}


def _add_group(files: Files, group: str, sample: Gathered) -> dict[str, Stored]:
    stored = {}
    for name, value in sample.arrays.items():
        stored[name] = _add_chunks(files, f"{group}/{name}", value, sample.axes[name])
    facts = {"id": sample.id, "frames": sample.frames, "provenance": json.loads(_plain(sample.provenance))}
    files.write(f"{group}/zarr.json", [group_document(facts)])
    return stored


def _add_chunks(files: Files, key: str, value: Array, time: int | None) -> Stored:
    rows, row_shape, crcs = rows_of(value, time)
    step = min(ZARR_ROWS, rows) if time == 0 else rows
    chunk = (step, *row_shape) if time == 0 else row_shape
    endian = {"configuration": {"endian": "little"}} if value.itemsize > 1 else {}
    files.write(
        f"{key}/zarr.json",
        [
            array_document(
                shape=value.shape,
                chunks=tuple(max(1, size) for size in chunk),
                dtype=value.dtype.name,
                codecs=[{"name": "bytes", **endian}],
            )
        ],
    )
    pieces = []
    if value.size:
        for number, first in enumerate(range(0, rows, step)):
            part = value[first : first + step] if time == 0 else value
            tail = "/".join(["c", *([str(number)] if time == 0 else []), *["0"] * len(row_shape)])
            content = np.ascontiguousarray(part).tobytes()
            padding = b"\0" * ((step - len(part)) * (value.nbytes // rows)) if time == 0 else b""
            files.write(f"{key}/{tail}", [content, padding])
            pieces.append(Piece(f"{key}/{tail}", first, len(part) if time == 0 else 1, 0, len(content)))
    elif rows:
        pieces.append(Piece(f"{key}/zarr.json", 0, rows, 0, 0))
    return Stored(dtype=value.dtype.str, row_shape=row_shape, rows=rows, time=time, pieces=tuple(pieces), crcs=crcs)


def rows_of(value: Array, time: int | None) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    """Return how many rows an array has, their shape, and the checksum of each."""
    if time == 0:
        return len(value), value.shape[1:], tuple(crc(np.ascontiguousarray(row).data) for row in value)
    return 1, value.shape, (crc(np.ascontiguousarray(value).tobytes()),)


def encoded(picture: Array, how: str) -> bytes:
    """Return a frame `(h, w, 3)` uint8 as the bytes of a PNG or JPEG."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, how.upper(), **({"quality": QUALITY} if how == "jpeg" else {}))
    return stream.getvalue()


def _plain(value: Any) -> str:
    return json.dumps(dict(value), default=str)

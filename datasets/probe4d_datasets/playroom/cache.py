"""Rendered clips on disk: one file a clip, under an address that says all that made it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import struct
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from attrs import frozen

from probe4d import atomic
from probe4d.errors import Probe4dError
from probe4d_datasets.playroom.render import Frames

NPY_HEADER = 1 << 10  # bytes; numpy's own are 128 long


@frozen
class ClipCache:
    """A folder of clips.

    Attributes:
        base: where all addresses are; `made_by`: all that the clips' bits follow from, as JSON values.
    """

    base: Path
    made_by: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        """Where the clips of this address are."""
        return self.base / hashlib.sha256(self._description().encode()).hexdigest()[:32]

    def _description(self) -> str:
        return json.dumps(dict(self.made_by), sort_keys=True)

    def __contains__(self, clip: str) -> bool:
        return (self.folder / f"{clip}.npz").is_file()

    def read(self, clip: str) -> Frames | None:
        """Return a clip, or None where there is none; a damaged file is reported and counts as none."""
        arrays = self._arrays(clip, ("video", "depth", "ids"))
        return None if arrays is None else Frames(**arrays)

    def read_video(self, clip: str) -> npt.NDArray[np.uint8] | None:
        """Return the colours alone, `(t, h, w, 3)`, or None as `read` does; nothing else of the file is read."""
        arrays = self._arrays(clip, ("video",))
        return None if arrays is None else arrays["video"]

    def _arrays(self, clip: str, names: tuple[str, ...]) -> dict[str, npt.NDArray[Any]] | None:
        file = self.folder / f"{clip}.npz"
        try:
            with file.open("rb", buffering=0) as opened, zipfile.ZipFile(opened) as archive:
                return {name: _array(opened, archive.getinfo(f"{name}.npy")) for name in names}
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, EOFError, KeyError, RuntimeError, ValueError, struct.error, zipfile.BadZipFile) as error:
            warnings.warn(f"{file}: damaged ({error}); the clip is rendered again.", stacklevel=3)
            return None

    def write(self, clip: str, frames: Frames) -> None:
        """Store a clip, whole or not at all. Several writers write the same bits, so any may win.

        Raises:
            Probe4dError: the folder cannot be written.
        """
        folder = self.folder
        content = io.BytesIO()
        np.savez(content, video=frames.video, depth=frames.depth, ids=frames.ids)
        described = folder / "made_by.json"
        try:
            atomic.write_bytes(folder / f"{clip}.npz", content.getvalue())
            if not described.exists():
                atomic.write_text(described, self._description() + "\n")
        except OSError as error:
            raise Probe4dError(
                f"{folder}: expected a folder to keep rendered clips in, got {error}. "
                "Name another by PROBE4D_CACHE_DIR, or open the dataset with cache=false."
            ) from error

    def require_room(self, needed: int) -> None:
        """Raise Probe4dError unless the disk has room for so many bytes."""
        there = next(folder for folder in (self.base, *self.base.absolute().parents) if folder.is_dir())
        if needed > (free := shutil.disk_usage(there).free):
            raise Probe4dError(
                f"{self.folder}: expected {needed / 1e9:.1f} GB free, got {free / 1e9:.1f} GB. "
                "Name another disk by PROBE4D_CACHE_DIR, or take fewer or smaller clips."
            )


def _array(file: io.FileIO, member: zipfile.ZipInfo) -> npt.NDArray[Any]:
    """Return the array of an uncompressed member, read at once into its own memory.

    What `np.load` does takes several times as long: small reads, and copies of all bytes.
    """
    if member.compress_type != zipfile.ZIP_STORED or member.file_size > os.fstat(file.fileno()).st_size:
        raise ValueError(f"expected {member.filename} uncompressed in the file")
    file.seek(member.header_offset + 26)
    name, extra = struct.unpack("<HH", file.read(4))
    file.seek(name + extra, io.SEEK_CUR)
    content = np.empty(member.file_size, np.uint8)
    if file.readinto(content.data) != content.size or zlib.crc32(content.data) != member.CRC:
        raise ValueError(f"expected the bytes of {member.filename} as they were written")
    head = io.BytesIO(content[:NPY_HEADER].tobytes())
    if np.lib.format.read_magic(head) != (1, 0):
        raise ValueError(f"expected {member.filename} in npy version 1.0")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(head)
    if fortran or dtype.hasobject:
        raise ValueError(f"expected {member.filename} to hold numbers in C order")
    return content[head.tell() :].view(dtype).reshape(shape)

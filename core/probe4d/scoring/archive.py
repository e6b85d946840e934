"""Members of a zip archive, read at offsets: the directory is parsed once, sizes are never trusted."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator

from probe4d.errors import DataError
from probe4d.scoring.files import Bytes
from probe4d.scoring.source import Limits, fail

__all__ = ["Archive", "check_member"]

LOCAL_HEADER = 30
SLACK = 64  # the local header's extra field is usually short; one read then gets header and data
STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
BLOCK = 1 << 20


class Archive:
    """A zip file of stored and deflated members.

    Raises:
        DataError: it is no zip file, is truncated, encrypted, packed by another method, holds a
            member twice, or a member's name is a path that leaves the archive.
    """

    def __init__(self, path: str, limits: Limits) -> None:
        self.path = path
        self.limits = limits
        self.bytes = Bytes(path)
        try:
            self.members = self._directory()
        except BaseException:
            self.bytes.close()
            raise

    def _directory(self) -> dict[str, zipfile.ZipInfo]:
        if self.bytes.size == 0:
            fail(self.path, "an .npz archive", "an empty file")
        try:
            with zipfile.ZipFile(io.BufferedReader(_Reader(self.bytes)), "r") as archive:
                infos = archive.infolist()
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, OverflowError, struct.error) as error:
            hint = "It begins like a pickle, which is never loaded: " if self.bytes.read(0, 1) == b"\x80" else ""
            raise DataError(
                f"{self.path}: expected an .npz (zip) archive, got a truncated or foreign file ({error}). "
                f"{hint}Write it with numpy.savez."
            ) from error
        members: dict[str, zipfile.ZipInfo] = {}
        for info in infos:
            check_member(self.path, info)
            if info.filename in members:
                fail(self.path, "each member once", f"{info.filename!r} twice", "Write the file anew.")
            members[info.filename] = info
        return members

    def check_size(self, info: zipfile.ZipInfo) -> None:
        """Raise a DataError where the member claims more than the limit."""
        if info.file_size > self.limits.array_bytes + BLOCK:
            fail(
                f"{self.path}: member {info.filename!r}",
                f"at most {self.limits.array_bytes:,} bytes in one array",
                f"{info.file_size:,} bytes claimed in {info.compress_size:,} compressed",
                "Write it uncompressed (numpy.savez) or as zarr, or raise --max-array-bytes if it is to be trusted.",
            )

    def read(self, info: zipfile.ZipInfo) -> memoryview:
        """Return the content of a member, its checksum verified; a stored one without a second copy."""
        self.check_size(info)
        where = f"{self.path}: member {info.filename!r}"
        head = LOCAL_HEADER + len(info.filename) + SLACK
        raw = self.bytes.read(info.header_offset, head + info.compress_size)
        begin = self._data_begin(where, raw)
        if len(raw) < begin + info.compress_size:
            raw = self.bytes.read(info.header_offset, begin + info.compress_size)
        data = memoryview(raw)[begin : begin + info.compress_size]
        if len(data) != info.compress_size:
            fail(where, f"{info.compress_size:,} bytes", f"{len(data):,}: the file is truncated")
        if info.compress_type == DEFLATED:
            data = memoryview(self._inflate(where, data, info.file_size))
        if len(data) != info.file_size or zlib.crc32(data) != info.CRC:
            fail(where, "data that fit their checksum", "damaged data", "Write or copy the file anew.")
        return data

    def data_offset(self, info: zipfile.ZipInfo) -> int:
        """Return where the bytes of a stored member lie in the file."""
        raw = self.bytes.read(info.header_offset, LOCAL_HEADER)
        return info.header_offset + self._data_begin(f"{self.path}: member {info.filename!r}", raw)

    def verify_stored(self, info: zipfile.ZipInfo) -> None:
        """Check the checksum of a stored member, block by block."""
        begin, crc = self.data_offset(info), 0
        where = f"{self.path}: member {info.filename!r}"
        if info.compress_size != info.file_size or begin + info.file_size > self.bytes.size:
            fail(where, f"{info.file_size:,} bytes", "fewer: the file is truncated")
        for offset in self._blocks(info.file_size):
            crc = zlib.crc32(self.bytes.read(begin + offset, min(BLOCK, info.file_size - offset)), crc)
        if crc != info.CRC:
            fail(where, "data that fit their checksum", "damaged data", "Write or copy the file anew.")

    @staticmethod
    def _blocks(size: int) -> Iterator[int]:
        return iter(range(0, size, BLOCK))

    @staticmethod
    def _data_begin(where: str, raw: bytes) -> int:
        if len(raw) < LOCAL_HEADER or not raw.startswith(b"PK\x03\x04"):
            fail(where, "a member's header", "other bytes: the archive is damaged")
        name, extra = struct.unpack_from("<HH", raw, 26)
        return LOCAL_HEADER + int(name) + int(extra)

    @staticmethod
    def _inflate(where: str, data: memoryview, size: int) -> bytes:
        try:
            stream = zlib.decompressobj(-15)
            # One byte more than claimed shows a member that lies about its size; no more is made.
            content = stream.decompress(data, size + 1)
        except (zlib.error, OverflowError) as error:
            raise DataError(f"{where}: expected deflated data, got damaged data ({error}). Write it anew.") from error
        if len(content) > size:
            fail(where, f"{size:,} bytes as the archive says", "more when unpacked")
        return content

    def close(self) -> None:
        """Close the file."""
        self.bytes.close()


def check_member(path: str, info: zipfile.ZipInfo) -> None:
    """Refuse a member that no archive of ours has.

    Raises:
        DataError: its name leaves the archive, it is encrypted, or packed by another method than deflate.
    """
    name = info.filename
    where = f"{path}: member {name[:80]!r}"
    parts = name.split("/")
    if name.startswith("/") or "\\" in info.orig_filename or "\0" in info.orig_filename or ".." in parts:
        fail(where, "a plain relative name", "a path that leaves the archive")
    if info.flag_bits & 0x1:
        fail(where, "a member in the clear", "an encrypted one")
    if info.compress_type not in (STORED, DEFLATED):
        fail(where, "a stored or deflated member", f"compression method {info.compress_type}")


class _Reader(io.RawIOBase):
    """The file as zipfile wants it, without taking the handle away from its owner."""

    def __init__(self, data: Bytes) -> None:
        self._data = data
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._data.size}[whence]
        if base + offset < 0:
            raise OSError("a place before the start of the file")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        chunk = self._data.read(self._at, len(buffer))
        buffer[: len(chunk)] = chunk
        self._at += len(chunk)
        return len(chunk)

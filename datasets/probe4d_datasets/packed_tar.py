"""Tar archives in numbered parts, compressed or not, as an fsspec filesystem: `packedtar://<member>::<URL of a part>`.

`cat part-00 part-01 | tar zx` without the disk space. fsspec's own `tar://` takes one file. One pass
lists the members; the list is kept in the user's cache. A compressed archive can only be read from
its start: going forward is cheap, every step back begins anew. `packedtar-unpacked://` keeps one
uncompressed copy in the cache instead, in which every member is reached at once.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import shutil
import zlib
from typing import Any, BinaryIO

import fsspec
from fsspec.archive import AbstractArchiveFileSystem

from probe4d.atomic import replacing
from probe4d.errors import DataError
from probe4d.paths import cache_dir
from probe4d_datasets.cached_index import cached_index
from probe4d_datasets.seekable import SeekableBytes
from probe4d_datasets.tar_members import tar_members

__all__ = ["MAX_MEMBER", "PackedTar", "UnpackedTar", "register"]

PART = re.compile(r"(?P<stem>.*-)(?P<number>\d\d)(?P<suffix>\.\w+)?")
GZIP = b"\x1f\x8b"
MAX_MEMBER = 2 << 30  # a member is held in memory
STATE_KEYS = ("size", "mtime", "created", "ETag", "etag", "LastModified", "last_modified", "updated", "CRC")
BROKEN = (OSError, EOFError, zlib.error)


class PackedTar(AbstractArchiveFileSystem):
    """Members of a tar archive, by reading forward in it.

    Args:
        fo: path of the archive or of any of its parts `…-00`, `…-01`.
    """

    root_marker = ""
    protocol = "packedtar"
    unpack = False

    def __init__(
        self, fo: str = "", target_protocol: str | None = None, target_options: Any = None, **options: Any
    ) -> None:
        super().__init__(self, **options)
        self.fo = fo
        self._fs = fsspec.filesystem(target_protocol or "file", **(target_options or {}))
        self._parts = _parts(self._fs, fo)
        self.dir_cache: dict[str, Any] = {}
        self._members: dict[str, tuple[int, int]] = {}
        self._stream: BinaryIO | None = None

    def __del__(self) -> None:
        if getattr(self, "_stream", None) is not None:
            self._stream.close()  # type: ignore[union-attr]

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path)).lstrip("/")

    @property
    def state(self) -> str:
        """What changes when the archive does."""
        infos = [self._fs.info(part) for part in self._parts]
        states = (" ".join(str(info.get(key, "")) for key in STATE_KEYS) for info in infos)
        return "\n".join(f"{part} {state}" for part, state in zip(self._parts, states, strict=True))

    def ukey(self, path: str) -> str:
        """Return a key that changes when the archive does."""
        return f"{path} {self.state}"

    def _get_dirs(self) -> None:
        if self.dir_cache:
            return
        found = cached_index("probe4d/tar-index/1", self.state, self._list)
        self._members = {name: (offset, size) for name, offset, size in found}
        state = hashlib.sha256(self.state.encode()).hexdigest()[:16]
        self.dir_cache = {name: {"name": name, "size": 0, "type": "directory"} for name in self._folders()}
        for name, (_, size) in self._members.items():
            self.dir_cache[name] = {"name": name, "size": size, "type": "file", "state": state}

    def _folders(self) -> set[str]:
        folders: set[str] = set()
        for name in self._members:
            while (name := name.rpartition("/")[0]) and name not in folders:
                folders.add(name)
        return folders

    def _list(self) -> list[tuple[str, int, int]]:
        with self._opened() as stream:
            try:
                return list(tar_members(stream, self.fo))
            except BROKEN as error:
                raise DataError(f"{self.fo}: expected a whole archive, got {error}. Fetch it again.") from error

    def _opened(self) -> BinaryIO:
        """Return the uncompressed stream of all parts from its start."""
        joined = io.BufferedReader(_Joined(self._fs, self._parts), 1 << 20)
        if not self._is_compressed():
            return joined
        stream: Any = gzip.GzipFile(fileobj=joined, mode="rb")
        return stream  # type: ignore[no-any-return]

    def _is_compressed(self) -> bool:
        with self._fs.open(self._parts[0], "rb") as file:
            return bool(file.read(2) == GZIP)

    def _open(self, path: str, mode: str = "rb", **_: Any) -> BinaryIO:
        if mode != "rb":
            raise OSError(f"{path}: an archive is only read.")
        self._get_dirs()
        if path not in self._members:
            raise FileNotFoundError(path)
        offset, size = self._members[path]
        if size > MAX_MEMBER:
            raise DataError(f"{self.fo}, {path}: expected at most {MAX_MEMBER:,} bytes, got {size:,}.")
        if self._stream is None:
            self._stream = self._random_access() if self.unpack else self._opened()
        try:
            self._stream.seek(offset)
            content = self._stream.read(size)
        except BROKEN as error:
            raise OSError(f"{self.fo}: expected a whole archive, got {error}") from error
        if len(content) < size:
            raise OSError(f"{self.fo}: expected {size} bytes of {path}, got {len(content)}: it is cut off")
        return io.BytesIO(content)

    def _random_access(self) -> BinaryIO:
        """Return the archive as one uncompressed file, made in the cache where it is not there yet."""
        if not self._is_compressed():
            return self._opened()
        with self._opened() as stream:
            ends = [-(-(offset + size) // 512) * 512 for offset, size in self._members.values()]
            needed = max(ends, default=0) + 1024
            file = cache_dir() / "unpacked" / f"{hashlib.sha256(self.state.encode()).hexdigest()}.tar"
            if not file.is_file():
                file.parent.mkdir(parents=True, exist_ok=True)
                if (free := shutil.disk_usage(file.parent).free) < needed:
                    raise DataError(f"{file}: expected {needed:,} bytes of free disk, got {free:,}. Unpack elsewhere.")
                with replacing(file) as temporary, temporary.open("wb") as copy:
                    shutil.copyfileobj(stream, copy, 1 << 20)
        return file.open("rb")


class UnpackedTar(PackedTar):
    """The same, read from one uncompressed copy in the user's cache."""

    protocol = "packedtar-unpacked"
    unpack = True


def register() -> None:
    """Make both protocols known to fsspec in this process."""
    for made in (PackedTar, UnpackedTar):
        fsspec.register_implementation(made.protocol, made, clobber=True)


def _parts(fs: Any, path: str) -> tuple[str, ...]:
    """Return the parts that a path is one of, in order; the path alone where it is none."""
    found = PART.fullmatch(path)
    if found is None:
        return (path,)
    folder = path.rpartition("/")[0]
    listed = {name.rstrip("/").rpartition("/")[2] for name in fs.ls(folder or "", detail=False)}
    stem, suffix = found["stem"], found["suffix"] or ""
    base = stem.rpartition("/")[2]
    numbers = sorted(
        match["number"]
        for name in listed
        if (match := PART.fullmatch(name)) and match["stem"] == base and (match["suffix"] or "") == suffix
    )
    expected = [f"{number:02d}" for number in range(int(numbers[-1]) + 1)] if numbers else []
    if numbers != expected:
        lacking = sorted(set(expected) - set(numbers))[0] if numbers else found["number"]
        raise DataError(f"{stem}{lacking}{suffix}: expected every part of the archive, got {numbers}. Fetch this one.")
    return tuple(f"{stem}{number}{suffix}" for number in numbers)


class _Joined(SeekableBytes):
    """Several files as one; one of them is open at a time."""

    def __init__(self, fs: Any, paths: tuple[str, ...]) -> None:
        self._fs, self._paths = fs, paths
        self._sizes = [int(fs.info(path)["size"]) for path in paths]
        super().__init__(sum(self._sizes))
        self._number = -1
        self._file: Any = None

    def bytes_at(self, position: int, most: int) -> bytes:
        start, number = position, 0
        while start >= self._sizes[number]:
            start -= self._sizes[number]
            number += 1
        if number != self._number:
            self._close()
            self._file, self._number = self._fs.open(self._paths[number], "rb"), number
        self._file.seek(start)
        content: bytes = self._file.read(min(most, self._sizes[number] - start))
        return content

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file, self._number = None, -1

    def close(self) -> None:
        self._close()
        super().close()

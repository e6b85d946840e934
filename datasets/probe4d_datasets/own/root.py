"""A folder of the user's files, on this machine or at any fsspec URL; nothing outside it is reached."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from attrs import frozen

from probe4d.errors import DataError
from probe4d_datasets.files import BROKEN, filesystem, local_path, open_binary, reached

__all__ = ["Root", "under"]

# What the filesystems of fsspec call the size, the time and the tag of a file.
STATE_KEYS = (
    "size",
    "mtime",
    "created",
    "date_time",
    "CRC",
    "LastModified",
    "last_modified",
    "updated",
    "ETag",
    "etag",
    "state",
)
CACHES = ("simplecache", "filecache", "blockcache", "cached")


@frozen
class Root:
    """The root of a dataset. Holds its URL and nothing open, so that it can be sent to a worker."""

    url: str

    def files(self) -> tuple[str, ...]:
        """Return the paths of all files under the root, relative to it, with `/`, sorted.

        Hidden ones (a name with a leading dot, or in macOS archives' `__MACOSX`) are left out.

        Raises:
            DataError: there is no such folder, or something in it leads out of it.
        """
        if folder := local_path(self.url):
            return tuple(sorted(path for path in _walk(Path(folder)) if not _hidden(path)))
        fs, path = filesystem(self.url)
        try:
            with reached(self.url, "a folder"):
                found = fs.find(path)
        except BROKEN as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{self.url}: expected a folder, got {type(error).__name__}: {error}.") from error
        if not found:
            raise DataError(f"{self.url}: expected a folder with files, got none. Check the root.")
        prefix = path.strip("/")
        names = (name.strip("/").removeprefix(prefix).strip("/") for name in found)
        return tuple(sorted(self._inside(name) for name in names if not _hidden(name)))

    def names(self, folder: str = "") -> tuple[str, ...]:
        """Return what lies directly in a folder under the root, sorted; folders end with `/`.

        Where there is no such folder, it is empty. Hidden names are left out.

        Raises:
            DataError: it cannot be listed, so that nobody knows what is there, or the root itself is not there.
        """
        if base := local_path(self.url):
            try:
                with os.scandir(os.path.join(base, folder)) as entries:
                    found = [f"{entry.name}/" if entry.is_dir() else entry.name for entry in entries]
            except (FileNotFoundError, NotADirectoryError):
                if os.path.isdir(base):
                    return ()
                raise DataError(f"{self.url}: expected a folder, got nothing of that name. Check the root.") from None
            except OSError as error:
                raise DataError(f"{self.url}/{folder}: expected a folder, got {error.strerror}.") from error
        else:
            fs, path = filesystem(self.url)
            inner = "/".join(part for part in (path.rstrip("/"), folder.strip("/")) if part)
            try:
                with reached(f"{self.url}/{folder}".rstrip("/"), "a folder"):
                    listed = fs.ls(inner, detail=True)
            except (FileNotFoundError, NotADirectoryError) as error:
                if folder:
                    return ()
                raise DataError(f"{self.url}: expected a folder, got nothing of that name. Check the root.") from error
            found = [
                item["name"].rstrip("/").rpartition("/")[2] + ("/" if item["type"] == "directory" else "")
                for item in listed
                if item["name"].strip("/") != inner.strip("/")
            ]
        return tuple(sorted(name for name in found if not _hidden(name)))

    def state(self, path: str) -> str:
        """Return what changes when a file does: its size and whatever time or tag its place keeps of it.

        Raises:
            DataError: there is no such file.
        """
        where = self.location(path)
        try:
            if local := local_path(where):
                stat = os.stat(local)
                return f"{stat.st_size} {stat.st_mtime_ns}"
            fs, inner = filesystem(where)
            with reached(where, "a readable file"):
                info = fs.info(inner)
        except DataError:
            raise
        except BROKEN as error:
            raise DataError(f"{where}: expected a readable file, got {type(error).__name__}: {error}.") from error
        return " ".join(str(info.get(key, "")) for key in STATE_KEYS)

    def states(self) -> dict[str, str]:
        """Return, by path, what changes when a file does: its size and whatever time or tag its place keeps of it."""
        if folder := local_path(self.url):
            stats = {path: _stat(os.path.join(folder, path)) for path in self.files()}
            return {path: f"{stat.st_size} {stat.st_mtime_ns}" for path, stat in stats.items()}
        fs, base = filesystem(self.url)
        prefix = base.strip("/")
        states = {}
        with reached(self.url, "a folder"):
            found = fs.find(base, detail=True)
        for name, info in found.items():
            path = name.strip("/").removeprefix(prefix).strip("/")
            if not _hidden(path):
                states[path] = " ".join(str(info.get(key, "")) for key in STATE_KEYS)
        return states

    def location(self, path: str) -> str:
        """Return the path or URL of one file under the root.

        Raises:
            DataError: the path leaves the root, by `..` or by a symbolic link.
        """
        self._inside(path)
        if folder := local_path(self.url):
            target = os.path.join(folder, path)
            if not Path(os.path.realpath(target)).is_relative_to(os.path.realpath(folder)):
                raise DataError(f"{target}: expected a file inside {folder}, got a link that leads out of it. Copy it.")
            return target
        links = self.url.split("::")
        at = next((i for i, link in enumerate(links) if link not in CACHES), 0)
        base = links[at] if "://" in links[at] else f"{links[at]}://"
        links[at] = base + path if base.endswith("/") else f"{base}/{path}"
        return "::".join(links)

    def read(self, paths: Iterable[str]) -> list[bytes]:
        """Return the content of files under the root.

        Raises:
            DataError: one is missing or leaves the root.
        """
        contents = []
        if local_path(self.url) is None:
            fs, base = filesystem(self.url)  # one archive is opened once, not once a file
            for path in paths:
                where = self.location(path)
                try:
                    with reached(where, "a readable file"):
                        contents.append(fs.cat_file(f"{base.rstrip('/')}/{path}" if base else path))
                except DataError:
                    raise
                except BROKEN as error:
                    raise DataError(f"{where}: expected a readable file, got {error!r}.") from error
            return contents
        for path in paths:
            with open_binary(self.location(path)) as file:
                contents.append(file.read())
        return contents

    def read_up_to(self, path: str, limit: int) -> bytes:
        """Return the content of a file that has no more than so many bytes.

        Raises:
            DataError: it is missing, broken, leaves the root or is longer; no more than that is unpacked.
        """
        where = self.location(path)
        with open_binary(where) as file:
            try:
                content = file.read(limit + 1)
            except BROKEN as error:
                raise DataError(f"{where}: expected a whole file, got {type(error).__name__}: {error}.") from error
        if len(content) > limit:
            raise DataError(f"{where}: expected at most {limit:,} bytes, got more. Is it this file?")
        return content

    def read_text(self, path: str) -> str:
        """Return a text file under the root, as UTF-8.

        Raises:
            DataError: it is missing, or no text.
        """
        (content,) = self.read([path])
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError(f"{self.location(path)}: expected a text file in UTF-8, got {error}.") from error

    def _inside(self, path: str) -> str:
        parts = PurePosixPath(path).parts
        if not parts or ".." in parts or PurePosixPath(path).is_absolute() or "::" in path:
            raise DataError(f"{self.url}: expected paths inside the root, got {path!r}. Rename or remove it.")
        return path


def under(files: Sequence[str], prefix: str) -> Sequence[str]:
    """Return the sorted files that begin with the prefix, without looking at the others."""
    return files[bisect_left(files, prefix) : bisect_left(files, prefix[:-1] + chr(ord(prefix[-1]) + 1))]


def _hidden(path: str) -> bool:
    return any(part == "__MACOSX" or (part.startswith(".") and part != "..") for part in path.split("/"))


def _stat(path: str) -> os.stat_result:
    """Return the state of a file, or of a link that leads nowhere."""
    return os.stat(path) if os.path.exists(path) else os.lstat(path)


def _walk(folder: Path) -> Iterable[str]:
    """Yield relative paths of files; folders that are links are not entered, as what is inside comes anyway."""
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder, got nothing of that name. Check the root.")
    real = folder.resolve()
    for parent, folders, names in os.walk(folder):
        for name in folders:
            link = Path(parent, name)
            if link.is_symlink() and not link.resolve().is_relative_to(real):
                raise DataError(
                    f"{link}: expected folders inside {folder}, got a link to {link.resolve()}. "
                    "Copy the folder, or name it as the root."
                )
        for name in names:
            yield Path(parent, name).relative_to(folder).as_posix()

"""The two places a set may lie in: a local folder, or any URL that fsspec opens."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlparse

from probe4d.atomic import is_alive, link_new
from probe4d.errors import MissingExtraError, Probe4dError
from probe4d.store.errors import StoreReadError, StoreWriteError

__all__ = ["Files", "LocalFiles", "RemoteFiles", "join", "open_files"]

TEMPORARY = "tmp"  # folder of files that are being written
HINTS = {
    errno.ENOSPC: "Free space (probe4d cache prune) or choose another place.",
    errno.EDQUOT: "Free space (probe4d cache prune) or choose another place.",
    errno.EFBIG: "Raise the limit of file sizes (ulimit -f) or choose another place.",
    errno.EACCES: "Choose a place that can be written.",
    errno.EPERM: "Choose a place that can be written.",
    errno.EROFS: "Choose a place that can be written.",
}


class Files(Protocol):
    """Whole files below one root; keys are relative, with `/`."""

    url: str

    def read(self, key: str, start: int | None = None, stop: int | None = None) -> bytes:
        """Return a file, or a part of it. Raises FileNotFoundError."""
        ...

    def read_parts(self, parts: Sequence[tuple[str, int, int]]) -> list[bytes]:
        """Return parts of files (key, start, stop), several at a time where that is faster."""
        ...

    def size(self, key: str) -> int | None:
        """Return a file's bytes; None where there is no such file."""
        ...

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """Return all files under a folder, with their bytes."""
        ...

    def folders(self) -> list[str]:
        """Return the names of the folders right below the root."""
        ...

    def write(self, key: str, pieces: Iterable[Any]) -> None:
        """Write a file whole. Raises StoreWriteError."""
        ...

    def create(self, key: str, pieces: Iterable[Any]) -> bool:
        """Write a file whole unless there is one; say whether it was written. Raises StoreWriteError."""
        ...

    def delete(self, keys: Sequence[str]) -> None:
        """Delete files, those that are there. Raises StoreWriteError."""
        ...

    def remove_all(self) -> None:
        """Delete the root with all that is in it. Raises StoreWriteError."""
        ...

    def sweep(self) -> None:
        """Delete what writers of this machine left half-written and nobody will finish."""
        ...


def open_files(url: str | os.PathLike[str], *below: str) -> Files:
    """Return the files under a path or URL, or under a folder below it.

    Raises:
        MissingExtraError: a URL without fsspec.
    """
    text = os.fspath(url)
    if text.startswith("file://"):
        text = unquote(urlparse(text).path)
    if "://" not in text:
        return LocalFiles(Path(text).expanduser().joinpath(*below))
    return RemoteFiles(join(text, *below))


def join(url: str, *below: str) -> str:
    """Return the URL of a folder below another."""
    return "/".join([url.rstrip("/"), *below])


class LocalFiles:
    """A folder. Files appear by rename, after their bytes are on the disk."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = str(root)

    def path(self, key: str) -> Path:
        """Return where a file is."""
        return self.root / key

    def read(self, key: str, start: int | None = None, stop: int | None = None) -> bytes:
        """Return a file, or a part of it."""
        with self.path(key).open("rb") as file:
            if start is None or stop is None:
                return file.read()
            file.seek(start)
            return file.read(stop - start)

    def read_parts(self, parts: Sequence[tuple[str, int, int]]) -> list[bytes]:
        """Return parts of files."""
        return [self.read(*part) for part in parts]

    def size(self, key: str) -> int | None:
        """Return a file's bytes, or None."""
        try:
            return self.path(key).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """Return all files under a folder, with their bytes; links are not followed."""
        found = {}
        for folder, _, names in os.walk(self.path(prefix)):
            for name in names:
                file = Path(folder, name)
                with contextlib.suppress(FileNotFoundError):  # it went away meanwhile
                    found[file.relative_to(self.root).as_posix()] = file.lstat().st_size
        return found

    def folders(self) -> list[str]:
        """Return the names of the folders right below the root."""
        try:
            return sorted(e.name for e in os.scandir(self.root) if e.is_dir(follow_symlinks=False))
        except FileNotFoundError:
            return []

    def write(self, key: str, pieces: Iterable[Any]) -> None:
        """Write a file whole: under another name, to the disk, then renamed."""
        self._place(key, pieces, os.replace)

    def create(self, key: str, pieces: Iterable[Any]) -> bool:
        """Write a file whole unless there is one."""
        try:
            self._place(key, pieces, link_new)
        except FileExistsError:
            return False
        return True

    def _place(self, key: str, pieces: Iterable[Any], place: Callable[[Path, Path], None]) -> None:
        target = self.path(key)
        temporary = self.root / TEMPORARY / f"{socket.gethostname()}.{os.getpid()}.{uuid.uuid4().hex[:8]}"
        try:
            temporary.parent.mkdir(parents=True, exist_ok=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.writelines(pieces)
                file.flush()
                os.fsync(file.fileno())
            place(temporary, target)
        except FileExistsError:
            raise
        except OSError as error:
            raise _refused(target, "write", error) from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def delete(self, keys: Sequence[str]) -> None:
        """Delete files; their folders stay, since another process may be writing there."""
        for key in keys:
            path = self.path(key)
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise _refused(path, "delete", error) from error

    def remove_all(self) -> None:
        """Delete the root with all that is in it; links in it are unlinked, not followed."""
        try:
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                shutil.rmtree(self.root)
        except OSError as error:
            raise _refused(self.root, "delete", error) from error

    def sweep(self) -> None:
        """Delete temporary files of processes of this machine that are no more."""
        for file in (self.root / TEMPORARY).glob(f"{socket.gethostname()}.*"):
            owner = file.name.rsplit(".", 2)[-2]
            if owner.isdigit() and not is_alive(int(owner)):
                with contextlib.suppress(OSError):  # another worker sweeps too, or it is not ours to delete
                    file.unlink()


def _refused(path: Path, deed: str, error: OSError) -> StoreWriteError:
    hint = HINTS.get(error.errno or 0, "")
    return StoreWriteError(f"{path}: expected to {deed} it, got {error.strerror or error}. {hint}".rstrip())


@contextlib.contextmanager
def _asked(where: str, deed: str, refusal: type[Probe4dError]) -> Iterator[None]:
    """Name the place where a file system of fsspec fails; that a file is not there stays what it is.

    Each of them has errors of its own, some of them no OSError: no credentials, no network.
    """
    try:
        yield
    except (Probe4dError, FileNotFoundError, MemoryError):
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise refusal(f"{where}: expected to {deed} it, got {reason}. Check the URL and the rights there.") from error


class RemoteFiles:
    """Any fsspec URL."""

    def __init__(self, url: str) -> None:
        try:
            import fsspec
        except ImportError as error:
            raise MissingExtraError(f"{url}: a URL needs fsspec. Run: pip install 'probe4d[zarr]'") from error
        self.url = url
        try:
            # Listings must be fresh: other machines write here too.
            self._fs, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        except ImportError as error:
            raise MissingExtraError(f"{url}: {error}") from error
        self._root = root.rstrip("/")

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}" if key else self._root

    def _reading(self, key: str = "") -> contextlib.AbstractContextManager[None]:
        return _asked(join(self.url, key) if key else self.url, "read", StoreReadError)

    def read(self, key: str, start: int | None = None, stop: int | None = None) -> bytes:
        """Return a file, or a part of it."""
        with self._reading(key):
            return bytes(self._fs.cat_file(self._path(key), start=start, end=stop))

    def read_parts(self, parts: Sequence[tuple[str, int, int]]) -> list[bytes]:
        """Return parts of files; asynchronous file systems fetch them together."""
        paths = [self._path(key) for key, _, _ in parts]
        with self._reading():
            return list(self._fs.cat_ranges(paths, [p[1] for p in parts], [p[2] for p in parts], on_error="raise"))

    def size(self, key: str) -> int | None:
        """Return a file's bytes, or None."""
        try:
            with self._reading(key):
                return int(self._fs.info(self._path(key))["size"])
        except FileNotFoundError:
            return None

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """Return all files under a folder, with their bytes."""
        self._fs.invalidate_cache()
        with self._reading(prefix):
            found = self._fs.find(self._path(prefix), detail=True)
        strip = len(self._root) + 1
        return {path[strip:]: int(facts["size"]) for path, facts in found.items()}

    def folders(self) -> list[str]:
        """Return the names of the folders right below the root."""
        self._fs.invalidate_cache()
        try:
            with self._reading():
                found = self._fs.ls(self._root, detail=True)
        except FileNotFoundError:
            return []
        return sorted(item["name"].rstrip("/").rpartition("/")[2] for item in found if item["type"] == "directory")

    def write(self, key: str, pieces: Iterable[Any]) -> None:
        """Write a file whole, as far as the store does; receipts say whether it was."""
        content = b"".join(pieces)
        where = join(self.url, key)
        try:
            with _asked(where, "write", StoreWriteError):
                self._fs.makedirs(self._path(key).rpartition("/")[0], exist_ok=True)
                self._fs.pipe_file(self._path(key), content)
        except FileNotFoundError as error:  # no such bucket
            raise StoreWriteError(f"{where}: expected to write it, got {error}.") from error

    def create(self, key: str, pieces: Iterable[Any]) -> bool:
        """Write a file unless there is one; two at the same moment may both write."""
        if self.size(key) is not None:
            return False
        self.write(key, pieces)
        return True

    def delete(self, keys: Sequence[str]) -> None:
        """Delete files."""
        for key in keys:
            with contextlib.suppress(FileNotFoundError), _asked(join(self.url, key), "delete", StoreWriteError):
                self._fs.rm_file(self._path(key))

    def remove_all(self) -> None:
        """Delete the root with all that is in it."""
        with contextlib.suppress(FileNotFoundError), _asked(self.url, "delete", StoreWriteError):
            self._fs.rm(self._root, recursive=True)

    def sweep(self) -> None:
        """Do nothing: nothing is renamed into place here."""

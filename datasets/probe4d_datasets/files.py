"""Files by path or fsspec URL: opening them, and digests of what is in them."""

from __future__ import annotations

import functools
import hashlib
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from probe4d.errors import DataError, MissingExtraError, Probe4dError

__all__ = ["BROKEN", "TORN", "digest", "filesystem", "local_path", "open_binary", "reached"]

Location = str | os.PathLike[str]
# What reading a file raises that is cut off, or lies in an archive that is; and what opening it may raise besides.
TORN = (OSError, EOFError, zlib.error, struct.error, zipfile.BadZipFile, tarfile.TarError)
BROKEN = (*TORN, LookupError, ValueError, RuntimeError)


def local_path(location: Location) -> str | None:
    """Return the absolute path of a file of this machine, None for anything that needs fsspec."""
    text = os.fspath(location)
    if text.startswith("file://") and "::" not in text:
        text = text.removeprefix("file://")
    if "://" in text or "::" in text:
        return None
    return os.path.abspath(os.path.expanduser(text))


@contextmanager
def reached(where: str, expected: str) -> Iterator[None]:
    """Tell what a remote file system raises as an error of data; that something is not there stays what it is.

    Each of them has errors of its own, some of them no OSError: no credentials, no network, no right to list.

    Raises:
        DataError: it could not be reached, or refused.
    """
    try:
        yield
    except (Probe4dError, FileNotFoundError, NotADirectoryError, MemoryError):
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0]
        raise DataError(
            f"{where}: expected {expected}, got {type(error).__name__}: {reason}. Check the place and who may read it."
        ) from error


def filesystem(url: str) -> tuple[Any, str]:
    """Return the fsspec filesystem of a URL, and the path of the URL in it.

    Raises:
        MissingExtraError: fsspec, or the package that serves this protocol, is not installed.
        DataError: the URL leads nowhere.
    """
    try:
        import fsspec
    except ImportError as error:
        raise MissingExtraError(f"{url}: expected fsspec, which is missing. pip install 'probe4d[video]'") from error
    with reached(url, "a URL that fsspec opens"):  # an archive in a bucket is opened here
        try:
            fs, path = fsspec.core.url_to_fs(url)
        except ImportError as error:
            raise MissingExtraError(f"{url}: expected the package of its protocol, got: {error}.") from error
        except DataError:
            raise
        except BROKEN as error:
            raise DataError(f"{url}: expected a URL that fsspec opens, got: {error}.") from error
    return fs, path


@contextmanager
def open_binary(location: Location) -> Iterator[BinaryIO]:
    """Yield the open file, seekable.

    Raises:
        DataError: there is no such file, or it cannot be read.
    """
    try:
        if path := local_path(location):
            file: Any = open(path, "rb")  # noqa: SIM115 - closed below
        else:
            # The filesystem stays referenced as long as the file: an archive closes with it.
            fs, inner = filesystem(os.fspath(location))
            with reached(os.fspath(location), "a readable file"):
                file = fs.open(inner, "rb")
    except DataError:
        raise
    except BROKEN as error:
        raise DataError(f"{location}: expected a readable file, got {_reason(error)}. Check the path.") from error
    with file:
        yield file


def digest(location: Location) -> str:
    """Return the sha256 of the whole file, in hex.

    It is read once per process and state of the file (size, times, or what the filesystem knows
    of it instead): a file that changes while a process runs is read again.
    """
    try:
        if path := local_path(location):
            status = os.stat(path)
            return _digest(path, (status.st_size, status.st_mtime_ns, status.st_ino))
        fs, inner = filesystem(os.fspath(location))
        with reached(os.fspath(location), "a readable file"):
            key = fs.ukey(inner)
        return _digest(os.fspath(location), key)
    except DataError:
        raise
    except BROKEN as error:
        raise DataError(f"{location}: expected a readable file, got {_reason(error)}. Check the path.") from error


@functools.lru_cache(maxsize=65536)
def _digest(location: str, state: object) -> str:  # noqa: ARG001 - the state is a part of the key
    with open_binary(location) as file:
        total = hashlib.sha256()
        while block := file.read(1 << 20):
            total.update(block)
    return total.hexdigest()


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"

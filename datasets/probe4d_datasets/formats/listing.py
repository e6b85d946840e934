"""One folder under a root, without a walk through what lies below it."""

from __future__ import annotations

import os

from probe4d.errors import DataError
from probe4d_datasets.files import filesystem, local_path
from probe4d_datasets.own.root import STATE_KEYS, Root

__all__ = ["Folder", "list_folder"]

Folder = dict[str, str]


def list_folder(root: Root, folder: str) -> Folder | None:
    """Return name to state of what lies in a folder: its size and time as text, `/` for a folder; None for none.

    Hidden names are left out.

    Args:
        folder: relative to the root, empty for the root itself.

    Raises:
        DataError: the place cannot be read.
    """
    where = root.location(folder) if folder else root.url
    if path := local_path(where):
        return _local(path)
    fs, inner = filesystem(where)
    try:
        fs.invalidate_cache()
        entries = fs.ls(inner, detail=True)
    except (FileNotFoundError, NotADirectoryError, KeyError):
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"{where}: expected a folder, got {type(error).__name__}: {error}. Check the root.") from error
    found: Folder = {}
    for entry in entries:
        name = str(entry["name"]).rstrip("/").rpartition("/")[2]
        if entry["name"].strip("/") == inner.strip("/") or name.startswith(".") or not name:
            continue
        is_folder = entry["type"] == "directory"
        found[name] = "/" if is_folder else " ".join(str(entry.get(key, "")) for key in STATE_KEYS)
    return found or None


def _local(path: str) -> Folder | None:
    if not os.path.isdir(path):
        return None
    found: Folder = {}
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                found[entry.name] = "/"
            else:
                stat = entry.stat() if os.path.exists(entry.path) else os.lstat(entry.path)
                found[entry.name] = f"{stat.st_size} {stat.st_mtime_ns}"
    return dict(sorted(found.items()))

"""Where the files of a published dataset lie: loose in a folder of the root, or as members of archives in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from attrs import frozen

from probe4d.errors import DataError
from probe4d_datasets import packed_tar
from probe4d_datasets.files import local_path, open_binary
from probe4d_datasets.own.root import Root

__all__ = ["Folder", "archive", "folders_with", "locate", "loose", "names_in"]

packed_tar.register()


@frozen
class Folder:
    """One folder of a root or of an archive, and the names of the files in it."""

    root: Root
    path: str
    names: frozenset[str]

    def file(self, name: str) -> str:
        """Return the path of a file under the root."""
        return f"{self.path}/{name}" if self.path else name

    def location(self, name: str) -> str:
        """Return the path or URL of a file."""
        return self.root.location(self.file(name))


def archive(root: Root, path: str, *, unpack: bool = False) -> Root:
    """Return the root that a zip or tar archive is; the parts of a split tar are one.

    Args:
        unpack: keep an uncompressed copy of a tar in the user's cache.

    Raises:
        DataError: it is neither.
    """
    where = root.location(path)
    with open_binary(where) as file:
        head = file.read(262)
    url = f"file://{where}" if local_path(where) else where
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return Root(f"zip://::{url}")
    if head[:2] == packed_tar.GZIP or head[257:262] == b"ustar":
        protocol = (packed_tar.UnpackedTar if unpack else packed_tar.PackedTar).protocol
        return Root(f"{protocol}://::{url}")
    raise DataError(f"{where}: expected a zip or tar archive, got {head[:8]!r}. Replace or remove it.")


def folders_with(root: Root, suffixes: Iterable[str]) -> list[Folder]:
    """Return every folder of a root that has files with one of these suffixes. It lists the whole root."""
    wanted = tuple(suffixes)
    found: dict[str, list[str]] = {}
    for path in root.files():
        pure = PurePosixPath(path)
        if pure.name.lower().endswith(wanted):
            found.setdefault("" if str(pure.parent) == "." else str(pure.parent), []).append(pure.name)
    return [Folder(root, path, frozenset(names)) for path, names in sorted(found.items())]


def locate(folders: Sequence[Folder], name: str) -> str | None:
    """Return the location of a file in the first folder that has it, None where none has."""
    return next((folder.location(name) for folder in folders if name in folder.names), None)


def loose(root: Root, path: str) -> Folder | None:
    """Return a folder of the root, None where it has no files."""
    names = frozenset(name for name in root.names(path) if not name.endswith("/"))
    return Folder(root, path.strip("/"), names) if names else None


def names_in(folders: Iterable[Folder]) -> frozenset[str]:
    """Return the names of all files in some folders."""
    return frozenset[str]().union(*(folder.names for folder in folders))

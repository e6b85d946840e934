"""Weights fetched from a URL, once: whole, checked, and then used from the cache.

cache/weights/<digest of the URL>/dinov2_vitl14_pretrain.pth
cache/weights/<digest of the URL>/{config.json, model-00001-of-00002.safetensors, …}
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from probe4d.atomic import replacing, sha256_of, write_json
from probe4d.errors import DataError, MissingExtraError
from probe4d.paths import cache_dir

__all__ = ["check_digest", "fetch", "weights_digest"]

_FILE = re.compile(r".*\.(npz|safetensors|pth|tar|pt|bin|json|h5|ckpt|py|toml)", re.IGNORECASE)
# Of a folder: configs, and weights in the first of these forms that it has.
_CONFIGS = ("config.json", "preprocessor_config.json")
_FORMS = (r".*\.safetensors(\.index\.json)?", r"pytorch_model.*\.bin", r".*\.(npz|pth|pt|tar)")
_WHOLE = "whole.json"  # written last: the folder has all that was listed


def fetch(url: str, sha256: str | None = None) -> Path:
    """Return the local copy of a file or a folder of weights at an fsspec URL.

    Args:
        sha256: of a file, where one is published; what the hub states of its large files is checked anyway.

    Raises:
        DataError: nothing is there, it cannot be read, or it is not what its digest says.
        MissingExtraError: fsspec, or what it needs for that protocol, is not installed.
    """
    try:
        import fsspec
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"weights {url}: needs fsspec. Run: pip install 'probe4d[zarr]'") from error
    folder = cache_dir() / "weights" / hashlib.sha256(url.encode()).hexdigest()[:20]
    name = url.rstrip("/").rpartition("/")[2]
    if (folder / _WHOLE).is_file():
        return folder
    if _FILE.fullmatch(name) and (folder / name).is_file():
        return folder / name
    try:
        system, path = fsspec.core.url_to_fs(url)
        if _FILE.fullmatch(name) or not system.isdir(path):
            return _one(system, path, folder / name, sha256)
        return _folder(system, path, folder, url)
    except ImportError as error:
        raise MissingExtraError(f"weights {url}: {error}. Install it, or download the file by hand.") from error
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"weights: expected a file at {url}, got {error!r}. Check the URL and the network.") from error


def _one(system: Any, path: str, file: Path, sha256: str | None) -> Path:
    stated = _stated(system.info(path))
    with replacing(file) as temporary:
        system.get_file(path, str(temporary))
        for expected in filter(None, (sha256, stated)):
            check_digest(temporary, expected, path)
    return file


def _folder(system: Any, path: str, folder: Path, url: str) -> Path:
    inside = {str(entry["name"]).rpartition("/")[2]: entry for entry in system.ls(path, detail=True)}
    names = _wanted(inside)
    if not names:
        raise DataError(f"weights: expected weights in {url}, got {', '.join(sorted(inside)) or 'nothing'}.")
    for name in names:
        if not (folder / name).is_file():
            _one(system, str(inside[name]["name"]), folder / name, None)
    write_json(folder / _WHOLE, {"url": url, "files": names})
    return folder


def _wanted(names: Iterable[str]) -> list[str]:
    names = list(names)
    for form in _FORMS:
        weights = [name for name in names if re.fullmatch(form, name)]
        # One file and its shards are the same weights twice.
        if "model.safetensors" in weights:
            weights = ["model.safetensors"]
        if weights:
            return sorted({*weights, *(name for name in names if name in _CONFIGS)})
    return []


def _stated(info: Mapping[str, Any]) -> str | None:
    """Return the digest that the hub states of a large file."""
    large = info.get("lfs")
    found = large.get("sha256") if isinstance(large, Mapping) else getattr(large, "sha256", None)
    return found if isinstance(found, str) else None


def check_digest(file: Path, sha256: str, where: str) -> None:
    """Refuse a file of another digest than the published one.

    Raises:
        DataError: it is another.
    """
    found = sha256_of(file)
    if found != sha256.lower():
        raise DataError(
            f"weights {where}: expected the published sha256 {sha256}, got {found}. Fetch it again, or rename the file "
            "if it holds other weights."
        )


def weights_digest(path: Path) -> str:
    """Return the sha256 of a file, or of the names and digests of a folder's files, or of an index and its shards."""
    if path.name.endswith(".index.json"):
        shards = set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values())
        files = [path, *(path.parent / str(name) for name in shards)]
    elif path.is_file():
        return sha256_of(path)
    else:
        files = [item for item in path.iterdir() if item.is_file()]
    total = hashlib.sha256()
    for file in sorted(files):
        total.update(f"{file.name} {sha256_of(file)}\n".encode())
    return total.hexdigest()

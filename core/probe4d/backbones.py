"""`probe4d.load_backbone`: a backbone by name, ready to encode, with the weights that its name promises."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probe4d.errors import DataError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from probe4d.registry import Entry

__all__ = ["configured", "load_backbone", "local_weights", "packaged_weights", "weights_file", "weights_of"]

_URL = re.compile(r"[a-z][a-z0-9+.-]+(?:://|::)", re.IGNORECASE)
_PACKAGED = re.compile(r"([A-Za-z_]\w+(?:\.\w+)*):(?!//)([^:]+)")


def load_backbone(name: str, weights: str | Path | None = None, seed: int = 0, **options: Any) -> Any:
    """Return the backbone of that name.

    Nothing is fetched that was not named: a spec whose weights lie somewhere on the net says where,
    and the caller passes that URL, or the file that came from it.

    Args:
        name: short or canonical, as `probe4d list backbones` shows it.
        weights: a file, a folder of the hub's kind, or an fsspec URL of either; needed unless the weights come
            with the plugin or the name promises none (`4ds-s-random`).
        seed: of random weights.
        **options: of the backbone's target; those that its spec sets are fixed.

    Returns:
        A `probe4d.contracts.FrozenBackbone`, a `TrainableBackbone`, or both.

    Raises:
        UnknownNameError: no loaded plugin has it, or several have.
        UsageError: it needs weights and none are given, or has no such option.
        DataError: the weights are not there, or of another model.
        MissingExtraError: something that it requires is not installed.
    """
    from probe4d.registry import find, make

    entry = find("backbones", name)
    file = weights_of(entry, weights)
    _check_options(entry, options)
    return make(entry, weights=None if file is None else str(file), seed=seed, **options)


def configured(entry: Entry, options: Mapping[str, Any]) -> tuple[Entry, dict[str, Any]]:
    """Return the entry with the facts that these options make (see `BackboneSpec.configure`), and all of them.

    Raises:
        UsageError: the backbone has no such option, or lacks one.
    """
    from attrs import evolve

    from probe4d.registry import load_target

    if entry.spec.configure is None:
        return entry, dict(options)
    spec, whole = load_target(entry.spec.configure, entry.name)(entry.spec, options)
    return evolve(entry, spec=spec), dict(whole)


def weights_of(entry: Entry, weights: str | Path | None) -> Path | None:
    """Return the file or folder that a backbone is loaded from, or None where its name promises random values.

    Weights that have the published file's name, or come from its URL, must have its published digest.

    Raises:
        UsageError: the name promises weights, and none are given.
        DataError: they are not there, or are not the published ones.
    """
    published = entry.spec.weights
    if weights is not None:
        digest = published.sha256 if published is not None and _name(weights) == _name(published.url or "") else None
        return weights_file(weights, digest)
    if published is None:
        return None
    if (packaged := packaged_weights(entry)) is not None:
        return packaged
    raise UsageError(f"{entry.name}: expected weights, got none. {_where(entry)}{_random_instead(entry)}")


def packaged_weights(entry: Entry) -> Path | None:
    """Return the file of the weights that come with a backbone's plugin, or None where none do.

    Raises:
        DataError: they should be there, and are not.
    """
    published = entry.spec.weights
    if published is None or published.url is None or not _PACKAGED.fullmatch(published.url):
        return None
    return weights_file(published.url)


def _name(location: str | Path) -> str:
    return str(location).rstrip("/").rpartition("/")[2]


def _where(entry: Entry) -> str:
    published = entry.spec.weights
    if published.url is not None:
        return f"They are at {published.url}: pass weights= that URL or a file."
    nearest = f"; the nearest public ones are those of {published.nearest}" if published.nearest else ""
    return f"None are public{nearest}. Pass weights=FILE where you have them."


def _random_instead(entry: Entry) -> str:
    from probe4d.registry import find

    try:
        random = find("backbones", f"{entry.name}-random")
    except UnknownNameError:
        return ""
    return f" {random.spec.name} is the same model with random weights."


def _check_options(entry: Entry, options: dict[str, Any]) -> None:
    """Refuse options that the target does not take, before anything is loaded."""
    import inspect

    from probe4d.errors import did_you_mean
    from probe4d.registry import load_target

    if not options or entry.unmet:  # what is not installed is `make`'s to say
        return
    parameters = inspect.signature(load_target(entry.spec.target, entry.name)).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    fixed = {"weights", "seed", *entry.spec.options}
    known = [parameter.name for parameter in parameters if parameter.name not in fixed]
    for option in options:
        if option not in known:
            raise UsageError(
                f"{entry.name}: expected options among {', '.join(known)}, got {option!r}.{did_you_mean(option, known)}"
            )


def weights_file(location: str | Path, sha256: str | None = None) -> Path:
    """Return a local file or folder with the weights; a URL is fetched once and kept in the cache.

    Args:
        location: a path, an fsspec URL, or `"package:path"` for a file of an installed package.
        sha256: what a file's digest has to be.

    Raises:
        DataError: there is nothing, or something of another digest.
        MissingExtraError: a URL is given and fsspec, or what it needs for that protocol, is not installed.
    """
    from probe4d.weights_cache import check_digest, fetch

    text = str(location)
    packaged = _PACKAGED.fullmatch(text) if isinstance(location, str) else None
    if _URL.match(text):
        return fetch(text, sha256)
    if packaged and not Path(text).exists():
        return _of_package(packaged[1], packaged[2])
    path = Path(text).expanduser()
    if not path.exists():
        raise DataError(f"weights: expected a file at {path}, got none. Check the path.")
    if sha256 is not None and path.is_file():
        check_digest(path, sha256, str(path))
    return path


def local_weights(location: str | Path) -> Path | None:
    """Return the file or folder of this machine that is meant, or None for a URL, which is not fetched.

    Raises:
        DataError: there is nothing.
    """
    return None if _URL.match(str(location)) else weights_file(location)


def _of_package(package: str, path: str) -> Path:
    from importlib import resources

    try:
        file = resources.files(package) / path
    except ModuleNotFoundError as error:
        raise DataError(f"weights: expected {path!r} in the package {package!r}, which is not installed.") from error
    if not isinstance(file, Path) or not file.is_file():
        raise DataError(f"weights: expected a file {path!r} in the package {package!r}, got none. Reinstall it.")
    return file

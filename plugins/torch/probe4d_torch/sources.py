"""Where modules come from. All but transformers run code that the user names, and say so before they do."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from probe4d.errors import DataError, MissingExtraError, UsageError, did_you_mean
from probe4d_torch.options import Source
from probe4d_torch.weights import load_weights

log = logging.getLogger("probe4d")


def build(source: str, stated: Source, weights: str | None, seed: int) -> Any:
    """Return the module, with its weights.

    Raises:
        UsageError: the code is not to be found, or what it makes is no module.
        DataError: the weights are not those of the module.
    """
    with torch.random.fork_rng(devices=[]):  # a seed of ours changes no random numbers of others
        torch.manual_seed(seed)
        return _BUILD[source](stated, weights)


def _announce(what: str) -> None:
    log.warning("probe4d runs your code: %s.", what)


def _of_module(stated: Source, weights: str | None) -> Any:
    _announce(stated.model)
    make = _object(stated.model)
    made = make if isinstance(make, torch.nn.Module) else _made(make, stated)
    return _filled(made, stated, weights)


def _of_hub(stated: Source, weights: str | None) -> Any:
    repo = Path(stated.repo).expanduser().absolute()
    if not (repo / "hubconf.py").is_file():
        raise UsageError(f"repo: expected a folder with hubconf.py, got {stated.repo!r}. Clone the repository.")
    _announce(f"{stated.model} of {repo / 'hubconf.py'}")
    hub: Any = torch.hub  # its functions carry no types

    def make(**options: Any) -> Any:
        try:
            return hub.load(str(repo), stated.model, source="local", **options)
        except RuntimeError as error:
            if "Cannot find callable" not in str(error):
                raise
            raise UsageError(f"model: expected an entry of {repo / 'hubconf.py'}, got {stated.model!r}.") from error

    return _filled(_made(make, stated), stated, weights)


def _of_transformers(stated: Source, weights: str | None) -> Any:
    try:
        import transformers
    except ModuleNotFoundError as error:
        raise MissingExtraError("torch-transformers: needs transformers. Run: pip install transformers") from error
    name = stated.model or "AutoModel"
    cls = getattr(transformers, name, None)
    if cls is None:
        raise UsageError(
            f"model: expected a class of transformers, got {name!r}.{did_you_mean(name, dir(transformers))}"
        )
    if weights is None:
        return _random_transformers(cls, name, stated)
    folder = Path(weights)
    if not (folder / "config.json").is_file():
        raise DataError(
            f"{weights}: expected a folder with config.json and safetensors, got none. Fetch the whole folder."
        )
    try:
        return cls.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,  # the other files are pickles
            trust_remote_code=False,
            attn_implementation=stated.attention,
            **stated.model_options,
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(f"{weights}: expected weights of {name}, got an error: {str(error).splitlines()[0]}") from error


def _random_transformers(cls: Any, name: str, stated: Source) -> Any:
    config = getattr(cls, "config_class", None)
    if config is None:
        raise UsageError(f"torch-transformers: expected weights for {name}, got none. Name a class such as ViTModel.")
    return cls._from_config(config(**stated.model_options), attn_implementation=stated.attention)


def _of_file(_stated: Source, weights: str | None) -> Any:
    if weights is None:
        raise UsageError("torch-file: expected weights=FILE, a TorchScript file or an exported program, got none.")
    path = Path(weights)
    if not path.is_file():
        raise DataError(f"{weights}: expected a TorchScript file or an exported program, got no file. Check the path.")
    _announce(f"the program in {path}")
    if path.suffix == ".pt2":
        try:
            return torch.export.load(path).module()
        except Exception as error:  # torch's reader raises many kinds; the file is what is wrong
            raise DataError(
                f"{path}: expected a program of torch.export.save, got {type(error).__name__}: {error}"
            ) from error
    script: Any = torch.jit  # its functions carry no types
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of the format: the user's file is what it is
            return script.load(path, map_location="cpu")
    except RuntimeError as error:
        raise DataError(
            f"{path}: expected a TorchScript file, got {str(error).splitlines()[0]} Exported programs end in .pt2."
        ) from error


_BUILD: dict[str, Callable[[Source, str | None], Any]] = {
    "module": _of_module,
    "hub": _of_hub,
    "transformers": _of_transformers,
    "file": _of_file,
}


def _object(target: str) -> Any:
    """Return what `package.module:name` names.

    Raises:
        UsageError: there is no such module or name.
    """
    module, _, path = target.partition(":")
    if not path:
        raise UsageError(f"model: expected 'package.module:Class', got {target!r}.")
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if module != error.name and not module.startswith(f"{error.name}."):
            raise MissingExtraError(
                f"{target}: needs the package {error.name!r}. Run: pip install {error.name}"
            ) from error
        raise UsageError(
            f"model: expected a module that Python finds, got {module!r}. Install its package, or start with "
            f"PYTHONPATH={os.curdir}. Looked in {', '.join(sys.path[:3])}, …"
        ) from error
    for part in path.split("."):
        if not hasattr(found, part):
            raise UsageError(f"model: expected {part!r} in {module}, got none.{did_you_mean(part, dir(found))}")
        found = getattr(found, part)
    return found


def _made(make: Callable[..., Any], stated: Source) -> Any:
    try:
        return make(**stated.model_options)
    except TypeError as error:
        raise UsageError(
            f"model_options: {stated.model} does not take {dict(stated.model_options)}: {error}."
        ) from error


def _filled(module: Any, stated: Source, weights: str | None) -> Any:
    if not isinstance(module, torch.nn.Module):
        raise UsageError(f"model: expected {stated.model} to make a torch.nn.Module, got {type(module).__name__}.")
    if weights is not None:
        load_weights(module, weights, stated)
    else:
        log.warning("%s: no weights are given; it has the values that its code makes.", stated.model)
    return module

"""Weights into a module: safetensors, or a torch file whose pickle is held to tensors."""

from __future__ import annotations

import json
import pickle
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from probe4d.errors import DataError
from probe4d_torch.options import Source

State = dict[str, torch.Tensor]


def load_weights(module: torch.nn.Module, path: str | Path, source: Source) -> None:
    """Fill a module from a file; every parameter has to be there, and every key of the file to be known.

    Raises:
        DataError: the file is no such file, or of another module.
    """
    state = read_state(Path(path), source.weights_key)
    if source.strip:
        state = {key.removeprefix(source.strip): value for key, value in state.items() if key.startswith(source.strip)}
    skip = re.compile("|".join(f"(?:{pattern})" for pattern in source.ignore) or r"(?!)")
    state = {key: value for key, value in state.items() if not skip.match(key)}
    own = module.state_dict()
    missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    if missing:
        raise DataError(
            f"{path}: expected also {_some(missing)}, got {len(state)} keys such as {sorted(state)[:2]}. "
            "Is `strip` what stands before them?"
        )
    if unknown:
        raise DataError(f"{path}: expected only keys of the module, got {_some(unknown)}. Name them in `ignore`.")
    for key, value in own.items():
        if state[key].shape != value.shape:
            raise DataError(f"{path}: {key!r}: expected shape {tuple(value.shape)}, got {tuple(state[key].shape)}.")
    module.load_state_dict(state)


def read_state(path: Path, key: str = "") -> State:
    """Return the tensors of a file by name; nothing in it is executed.

    Raises:
        DataError: it holds something else, or is not to be read.
    """
    if path.suffix == ".json":
        return _sharded(path)
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise DataError(f"{path}: expected a file of weights, got an error: {error}.") from error
    if head[8:9] == b"{":
        return _safetensors(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # what torch guesses about a pickle that it then refuses
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise DataError(
            f"{path}: expected a safetensors file, or a torch file of tensors alone, got {str(error).splitlines()[0]} "
            "No pickle is executed here: save its state_dict() as safetensors where you trust it."
        ) from error
    return _tensors(loaded, key, path)


def _tensors(loaded: Any, key: str, path: Path) -> State:
    if key:
        if not isinstance(loaded, Mapping) or key not in loaded:
            raise DataError(f"{path}: weights_key: expected one of {_keys(loaded)}, got {key!r}.")
        loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise DataError(f"{path}: expected tensors by name, got {_keys(loaded)}. Name the table by `weights_key`.")
    return dict(loaded)


def _keys(loaded: Any) -> str:
    return ", ".join(map(str, loaded)) if isinstance(loaded, Mapping) else f"a {type(loaded).__name__}"


def _safetensors(path: Path) -> State:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state: State = load_file(path)
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path}: expected a safetensors file, got an error: {error}. Fetch it again.") from error
    return state


def _sharded(path: Path) -> State:
    try:
        files = sorted(set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise DataError(f"{path}: expected an index of safetensors files, got an error: {error!r}.") from error
    state: State = {}
    for name in files:
        if Path(name).name != name:
            raise DataError(f"{path}: expected names of files beside it, got {name!r}.")
        state |= _safetensors(path.parent / name)
    return state


def _some(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return ", ".join(map(repr, keys[:3])) + more

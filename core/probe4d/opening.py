"""One split of a dataset, opened: where the data lie, the options it takes, and copies of it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from probe4d.contracts import Dataset
from probe4d.errors import DataError, UsageError, did_you_mean
from probe4d.registry import Entry, load_target, make

__all__ = ["MissingRootError", "missing_root", "open_dataset", "revision_of"]

COPIES = "probe4d_datasets.converted.dataset:copy_at"


class MissingRootError(DataError):
    """The dataset lies somewhere, and nobody said where."""


def missing_root(entry: Entry, options: Mapping[str, Any]) -> str | None:
    """Return what to say of a dataset that needs a root and has none; None where nothing is missing."""
    if not entry.spec.needs_root or options.get("root") is not None:
        return None
    name, access = entry.spec.name, entry.spec.access
    return f"{entry.name}: expected its root, got none. Add --data-root {name}=<folder or URL>. {access}"


def open_dataset(entry: Entry, split: str, options: Mapping[str, Any]) -> Dataset:
    """Return one split of a dataset; a copy by `probe4d data convert` at its root takes the original's place.

    Raises:
        MissingRootError: it needs a root and none is given.
        UsageError: it has no such split, or does not take an option.
    """
    spec, root = entry.spec, options.get("root")
    if (lacking := missing_root(entry, options)) is not None:
        raise MissingRootError(lacking)
    if spec.splits and split not in spec.splits:
        near = did_you_mean(split, spec.splits)
        raise UsageError(f"{entry.name}: expected a split of {', '.join(spec.splits)}, got {split!r}.{near}")
    if root is not None:
        copy: Dataset | None = load_target(COPIES)(entry.name, split, options)
        if copy is not None:
            return copy
    _check_options(entry, options)
    opened: Dataset = make(entry, split=split, **options)
    return opened


def revision_of(entry: Entry, dataset: Dataset) -> str:
    """Return what reads the dataset and which state of it: distribution, version, its own revision if it has one."""
    revision = getattr(dataset, "revision", "")
    return " ".join(part for part in (entry.distribution, entry.version, str(revision)) if part)


def _check_options(entry: Entry, options: Mapping[str, Any]) -> None:
    if entry.unmet:
        return  # `make` says what to install
    taken = inspect.signature(load_target(entry.spec.target, entry.name)).parameters
    named = [name for name, parameter in taken.items() if parameter.kind is not parameter.VAR_KEYWORD]
    if len(named) == len(taken) and (unknown := sorted(set(options) - set(named))):
        raise UsageError(
            f"{entry.name}: expected options among {', '.join(named)}, got {unknown[0]!r}."
            f"{did_you_mean(unknown[0], named)} `probe4d info {entry.spec.name}` says what it is."
        )

"""What is checked: one spec, the registry it lives in, and the object its target makes."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from typing import Any

from attrs import evolve, field, frozen

from probe4d import loader
from probe4d import registry as registries
from probe4d.contracts import Kind
from probe4d.errors import MissingExtraError
from probe4d.registry import Entry, Registry
from probe4d.specs import KindSpec
from probe4d.testing.result import CheckFailed, require, skip

__all__ = ["Given", "Subject", "entry_of", "hermetic_registry", "shrunk"]

UNDER_TEST = "under-test"


@frozen(kw_only=True)
class Given:
    """What the checks cannot know from the specs, each by the short name of the spec.

    Attributes:
        roots: where a dataset's files lie.
        splits: the splits to open, for a dataset that does not list its own.
        small: fields of the spec to replace, so that something large is checked in a small
            configuration, as `{"vit-g": {"params": 1024, "options": {"width": 8}, "tokens": {…}}}`.
            Anything but a backbone is named with its category: `"readouts/depth"`.
        tolerance: largest relative difference between a batch and its clips one by one.
    """

    roots: Mapping[str, str] = field(factory=dict)
    splits: Mapping[str, tuple[str, ...]] = field(factory=dict)
    small: Mapping[str, Mapping[str, Any]] = field(factory=dict)
    tolerance: float = 1e-4


def shrunk(entry: Entry, given: Given) -> Entry:
    """Return the entry with its spec in the small configuration, where one is given."""
    plain = entry.spec.name if entry.category == "backbones" else ""
    changes = dict(given.small.get(f"{entry.category}/{entry.spec.name}") or given.small.get(plain, {}))
    if not changes:
        return entry
    if "options" in changes:
        changes["options"] = {**entry.spec.options, **changes["options"]}
    return evolve(entry, spec=evolve(entry.spec, **changes))


class Subject:
    """A spec with what is needed to check it.

    Args:
        entry: the spec and who provides it.
        registry: where the names that it refers to are looked up.
    """

    def __init__(self, entry: Entry, registry: Registry, given: Given) -> None:
        self.entry = shrunk(entry, given)
        self.registry = registry
        self.given = given
        self._product: Any = None

    @property
    def spec(self) -> Any:
        """The spec."""
        return self.entry.spec

    def construct(self, **kwargs: Any) -> Any:
        """Return a new object of the target.

        Raises:
            CheckSkipped: something that it requires is not installed.
        """
        if missing := self.entry.unmet:
            skip(f"needs {', '.join(missing)}: {self.entry.install_line}")
        try:
            return registries.make(self.entry, **kwargs)
        except MissingExtraError as error:
            skip(str(error))

    @property
    def product(self) -> Any:
        """The object of the target, made once."""
        if self._product is None:
            self._product = self.construct()
        return self._product

    def find(self, category: str, name: str) -> Entry:
        """Return what the spec refers to; a name that does not resolve fails the check."""
        try:
            return self.registry.find(category, name)
        except LookupError as error:
            raise CheckFailed(str(error)) from error

    def make(self, category: str, name: str, **kwargs: Any) -> Any:
        """Return the object of another spec, skipping where its requirements are not installed."""
        entry = self.find(category, name)
        if missing := entry.unmet:
            skip(f"{entry.name} needs {', '.join(missing)}: {entry.install_line}")
        return registries.make(entry, **kwargs)

    def kind(self, name: str) -> tuple[Kind, KindSpec]:
        """Return a prediction kind and its spec."""
        return self.make("kinds", name), self.find("kinds", name).spec

    def same(self, category: str, one: str, other: str) -> bool:
        """Return whether two names, short or canonical, mean the same spec."""
        return self.find(category, one).name == self.find(category, other).name


def hermetic_registry(plugins: Mapping[str, str] | None = None) -> Registry:
    """Return a registry of the built-ins and the plugins named, and of nothing that happens to be installed.

    Args:
        plugins: by name (the namespace), the entry module, as `{"mine": "probe4d_mine.plugin"}`.

    Raises:
        CheckFailed: one of these plugins does not load.
    """
    points = [importlib.metadata.EntryPoint(name, value, loader.GROUP) for name, value in (plugins or {}).items()]
    loaded = loader.load(loader.Switches(), points)
    for record in loaded.records:
        require(record.status == "ok", f"{record.name} ({record.module}): {record.error}. {record.hint or ''}".strip())
    return registries.build(loaded)


def entry_of(category: str, spec: Any, registry: Registry) -> Entry:
    """Return the registry's entry of this very spec, or one of a plugin `under-test`."""
    for entry in registry.entries(category):
        if entry.spec == spec:
            return entry
    return Entry(category=category, plugin=UNDER_TEST, distribution=UNDER_TEST, version="0", spec=spec)

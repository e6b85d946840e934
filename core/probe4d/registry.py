"""Everything that the loaded plugins provide, by category and name.

    find("backbones", "4ds-b")        -> Entry
    make(find("metrics", "points"))   -> what its target makes

Canonical names are `plugin/name`. A short name works while it is unique.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import field, frozen

from probe4d import loader
from probe4d.errors import MissingExtraError, PluginError, UnknownNameError, UsageError, did_you_mean
from probe4d.names import name_key

__all__ = ["CATEGORIES", "Entry", "Registry", "configure", "entries", "find", "load_target", "make", "registry"]

CATEGORIES = tuple(loader.HOOKS)


@frozen(kw_only=True)
class Entry:
    """One spec and who provides it."""

    category: str
    plugin: str
    distribution: str
    version: str
    spec: Any

    @property
    def name(self) -> str:
        """The canonical name, `plugin/name`."""
        return f"{self.plugin}/{self.spec.name}"

    @property
    def unmet(self) -> list[str]:
        """Requirements of the spec that are not installed."""
        requires = getattr(self.spec, "requires", ())
        if not requires:
            return []
        from probe4d.requirements import unmet

        return unmet(requires)

    @property
    def install_line(self) -> str:
        """What to type for the requirements that are not met."""
        wanted = [self.spec.extra] if getattr(self.spec, "extra", None) else self.unmet
        return f"pip install {' '.join(repr(item) for item in wanted)}"


@frozen(kw_only=True)
class Registry:
    """The specs of all loaded plugins."""

    records: tuple[loader.PluginRecord, ...]
    manager: Any = field(repr=False)
    _by_category: Mapping[str, tuple[Entry, ...]] = field(repr=False, alias="by_category")

    def entries(self, category: str) -> tuple[Entry, ...]:
        """Return all entries of a category (`"backbones"`), sorted by name, built-ins first."""
        if category not in self._by_category:
            raise UsageError(
                f"category: expected one of {', '.join(CATEGORIES)}, got {category!r}."
                f"{did_you_mean(category, CATEGORIES)}"
            )
        return self._by_category[category]

    def find(self, category: str, name: str) -> Entry:
        """Return the entry of that short or canonical name; case, `-` and `_` make no difference.

        Raises:
            UnknownNameError: there is none, or several plugins have that short name.
        """
        return self._only(self.matches(category, name), category, name)

    def matches(self, category: str, name: str) -> list[Entry]:
        """Return the entries that a name may mean: one canonical, or every one of that short name."""
        key = name_key(name)
        found = [entry for entry in self.entries(category) if name_key(entry.name) == key]
        return found or [entry for entry in self.entries(category) if name_key(entry.spec.name) == key]

    def _only(self, found: list[Entry], category: str, name: str) -> Entry:
        if len(found) == 1:
            return found[0]
        what = category[:-1].replace("_", " ")
        if found:
            names = ", ".join(entry.name for entry in found)
            raise UnknownNameError(f"{what} {name!r}: several plugins have it: {names}. Write one of these.")
        known = [
            *(entry.spec.name for entry in self.entries(category)),
            *(entry.name for entry in self.entries(category)),
        ]
        raise UnknownNameError(
            f"{what} {name!r}: there is none of that name.{did_you_mean(name, known)}"
            f"{self.absent_plugins()} `probe4d list {category}` shows all."
        )

    def absent_plugins(self) -> str:
        """Return a sentence on plugins that did not load and so may have provided a name."""
        absent = [record for record in self.records if record.status != "ok"]
        if not absent:
            return ""
        listed = "; ".join(f"{record.name} ({record.status}: {record.error})" for record in absent)
        return f" It may belong to a plugin that is not loaded: {listed}; see `probe4d doctor`."


def build(loaded: loader.Loaded) -> Registry:
    """Return the registry of what was loaded."""
    by_category: dict[str, list[Entry]] = {category: [] for category in CATEGORIES}
    for record in loaded.records:
        for category, found in record.specs.items():
            for spec in found:
                by_category[category].append(
                    Entry(
                        category=category,
                        plugin=record.name,
                        distribution=record.distribution,
                        version=record.version,
                        spec=spec,
                    )
                )
    ordered = {category: tuple(sorted(found, key=_order)) for category, found in by_category.items()}
    return Registry(records=loaded.records, manager=loaded.manager, by_category=ordered)


_options: tuple[str, ...] = ()


def configure(plugin_options: Iterable[str]) -> None:
    """Set what `-p` said; what was loaded before is forgotten."""
    global _options
    _options = tuple(plugin_options)
    registry.cache_clear()


@functools.cache
def registry() -> Registry:
    """Return the registry of this process, loading plugins the first time."""
    from probe4d.settings import disabled_plugins

    switches = loader.Switches.of_environment(_options, disabled_plugins())
    return build(loader.load(switches))


def entries(category: str) -> tuple[Entry, ...]:
    """Return `registry().entries(category)`."""
    return registry().entries(category)


def find(category: str, name: str) -> Entry:
    """Return `registry().find(category, name)`."""
    return registry().find(category, name)


def make(entry: Entry, /, **kwargs: Any) -> Any:
    """Return what the entry's target makes of the spec's options and these arguments.

    Raises:
        MissingExtraError: something it requires is not installed; the message holds the pip line.
        PluginError: the target cannot be imported.
    """
    if missing := entry.unmet:
        raise MissingExtraError(f"{entry.name}: needs {', '.join(missing)}. Run: {entry.install_line}")
    return load_target(entry.spec.target, entry.name)(**{**entry.spec.options, **kwargs})


def load_target(target: str, owner: str = "") -> Any:
    """Return the object that `"package.module:attribute"` names.

    Raises:
        MissingExtraError: a package that it imports is not installed.
        PluginError: there is no such module or attribute.
    """
    where = f"{owner or 'target'} ({target})"
    module_name, _, path = target.partition(":")
    try:
        value = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing and missing != module_name.partition(".")[0]:
            raise MissingExtraError(f"{where}: needs the package {missing!r}. Run: pip install {missing}") from error
        raise PluginError(f"{where}: {error}. The plugin names a module that it does not have.") from error
    for part in path.split("."):
        try:
            value = getattr(value, part)
        except AttributeError as error:
            raise PluginError(f"{where}: {error}. The plugin names something that it does not have.") from error
    return value


def _order(entry: Entry) -> tuple[bool, str, str]:
    return entry.plugin != loader.BUILTIN, entry.spec.name, entry.plugin

"""Finds plugins and loads them one by one, so that a broken one stops only itself.

pluggy holds the hooks; the loading is ours, since pluggy's own gives up at the first plugin
that fails. Every plugin ends as a `PluginRecord`, whatever became of it.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import re
import sys
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import pluggy
from attrs import field, frozen

from probe4d import hookspecs, specs
from probe4d.errors import PluginError, Probe4dError, did_you_mean
from probe4d.names import dist_key
from probe4d.spec_fields import NAME

__all__ = ["HOOKS", "Loaded", "PluginRecord", "Switches", "discover", "distribution_of", "load"]

GROUP = "probe4d"
BUILTIN = "probe4d"
SLOW_SECONDS = 0.1

Status: TypeAlias = Literal["ok", "disabled", "failed", "incompatible"]

# What each hook has to return; `probe4d_on_record` returns nothing and is not here.
HOOKS: Mapping[str, type] = {
    "backbones": specs.BackboneSpec,
    "datasets": specs.DatasetSpec,
    "tasks": specs.TaskSpec,
    "readouts": specs.ReadoutSpec,
    "metrics": specs.MetricSpec,
    "kinds": specs.KindSpec,
    "protocols": specs.ProtocolSpec,
    "aggregates": specs.AggregateSpec,
    "runners": specs.RunnerSpec,
    "suites": specs.SuiteSpec,
    "report_panels": specs.ReportPanelSpec,
    "commands": specs.CommandSpec,
}


@frozen(kw_only=True)
class PluginRecord:
    """What is known of one plugin, loaded or not.

    Attributes:
        name: the entry point's name, the namespace of all it provides.
        module: what the entry point names.
        error: why it was set aside; `hint` what to do about it.
        specs: by kind; empty unless `status` is `ok`.
    """

    name: str
    module: str
    distribution: str
    version: str
    status: Status
    seconds: float = 0.0
    hooks: tuple[str, ...] = ()
    error: str | None = None
    hint: str | None = None
    traceback: str | None = field(default=None, repr=False)
    specs: Mapping[str, tuple[Any, ...]] = field(factory=dict, repr=False)


@frozen(kw_only=True)
class Switches:
    """Which plugins may load.

    Attributes:
        only: names or distributions; `None` means all. The built-ins always load.
        disabled: names or distributions, with where that was said.
    """

    only: frozenset[str] | None = None
    disabled: Mapping[str, str] = field(factory=dict)

    @classmethod
    def of_environment(cls, options: Iterable[str] = (), configured: Iterable[str] = ()) -> Switches:
        """Return the switches of `PROBE4D_PLUGINS`, `PROBE4D_DISABLE_PLUGINS`, `-p` and the settings.

        Args:
            options: values of `-p`, each `no:NAME`.
            configured: what `probe4d plugins disable` wrote.
        """
        only = os.environ.get("PROBE4D_PLUGINS")
        disabled = {dist_key(name): "`probe4d plugins disable`" for name in configured}
        disabled |= {
            dist_key(name): "PROBE4D_DISABLE_PLUGINS" for name in _names(os.environ, "PROBE4D_DISABLE_PLUGINS")
        }
        disabled |= {dist_key(option.removeprefix("no:")): f"-p {option}" for option in options}
        listed = None if only is None else frozenset(map(dist_key, _names(os.environ, "PROBE4D_PLUGINS")))
        return cls(only=listed, disabled=disabled)

    def against(self, name: str, distribution: str) -> str | None:
        """Return what keeps the plugin from loading, or None."""
        keys = (dist_key(name), dist_key(distribution))
        for key in keys:
            if key in self.disabled:
                return f"disabled by {self.disabled[key]}"
        if self.only is not None and not self.only.intersection(keys):
            return "not listed in PROBE4D_PLUGINS"
        return None


@frozen(kw_only=True)
class Loaded:
    """The outcome of loading: the hooks that can be called and a record per plugin."""

    manager: pluggy.PluginManager
    records: tuple[PluginRecord, ...]


def discover() -> list[importlib.metadata.EntryPoint]:
    """Return the entry points of installed plugins, in a fixed order. Imports none of them."""
    found = importlib.metadata.entry_points(group=GROUP)
    return sorted(found, key=lambda entry: (entry.name, distribution_of(entry)[0]))


def load(switches: Switches, entry_points: Sequence[importlib.metadata.EntryPoint] | None = None) -> Loaded:
    """Return the built-ins and every plugin that the switches admit.

    Raises:
        Probe4dError: a built-in is broken, or `PROBE4D_STRICT_PLUGINS=1` and a plugin is.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    records = [_load_builtins(manager)]
    taken = {BUILTIN: "probe4d itself"}
    for entry in discover() if entry_points is None else entry_points:
        record = _load_one(manager, entry, switches, taken)
        if record.status == "ok":
            taken[record.name] = record.distribution
        records.append(record)
    if os.environ.get("PROBE4D_STRICT_PLUGINS") == "1":
        _refuse_broken(records)
    return Loaded(manager=manager, records=tuple(records))


def _load_builtins(manager: pluggy.PluginManager) -> PluginRecord:
    from probe4d import __version__
    from probe4d.builtin import plugin

    manager.register(plugin, BUILTIN)
    return PluginRecord(
        name=BUILTIN,
        module=plugin.__name__,
        distribution="probe4d",
        version=__version__,
        status="ok",
        hooks=_hook_names(manager, plugin),
        specs=_collect(manager, plugin),
    )


def _load_one(
    manager: pluggy.PluginManager,
    entry: importlib.metadata.EntryPoint,
    switches: Switches,
    taken: Mapping[str, str],
) -> PluginRecord:
    distribution, version = distribution_of(entry)

    def record(status: Status, **facts: Any) -> PluginRecord:
        return PluginRecord(
            name=entry.name, module=entry.value, distribution=distribution, version=version, status=status, **facts
        )

    if reason := switches.against(entry.name, distribution):
        return record("disabled", error=reason, hint=f"probe4d plugins enable {entry.name}")
    if not NAME.fullmatch(entry.name):
        return record("failed", error=f"its name {entry.name!r} has characters other than a-z, 0-9, '.', '_', '-'")
    if owner := taken.get(entry.name):
        return record(
            "failed", error=f"the name {entry.name!r} is taken by {owner}", hint=f"pip uninstall {distribution}"
        )
    started = time.perf_counter()
    plugin: Any = None
    try:
        # What a plugin prints while it is imported must not end up in piped data.
        with contextlib.redirect_stdout(sys.stderr):
            plugin = entry.load()
        spoken = getattr(plugin, "PROBE4D_PLUGIN_API", 1)
        oldest, newest = hookspecs.API_VERSIONS
        if not isinstance(spoken, int) or not oldest <= spoken <= newest:
            older = "probe4d" if isinstance(spoken, int) and spoken > newest else distribution
            error = f"it speaks hook API {spoken!r}, this probe4d serves {oldest} to {newest}"
            return record("incompatible", error=error, hint=f"pip install --upgrade {older}")
        _check_hooks(plugin)
        manager.register(plugin, entry.name)
        with contextlib.redirect_stdout(sys.stderr):
            collected = _collect(manager, plugin)
        _check_commands(collected.get("commands", ()))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a plugin may even call sys.exit
        if plugin is not None and manager.is_registered(plugin):
            manager.unregister(plugin)
        return record("failed", **_failure(error, distribution), seconds=time.perf_counter() - started)
    seconds = time.perf_counter() - started
    return record("ok", seconds=seconds, hooks=_hook_names(manager, plugin), specs=collected)


def _failure(error: BaseException, distribution: str) -> dict[str, str]:
    """Return error, hint and traceback of a plugin that could not be loaded."""
    message = " ".join(str(error).split()) or "no message"
    hint = f"report it to the author of {distribution}; `probe4d plugins disable {distribution}` silences it"
    if isinstance(error, SystemExit):
        message = f"it called sys.exit({error.code!r}) while it was imported"
    elif isinstance(error, ModuleNotFoundError) and error.name:
        hint = f"pip install {error.name.partition('.')[0]}"
    kind = "" if isinstance(error, (Probe4dError, SystemExit)) else f"{type(error).__name__}: "
    return {"error": kind + message, "hint": hint, "traceback": "".join(traceback.format_exception(error))}


def _check_hooks(plugin: Any) -> None:
    """Refuse hooks that are misspelt, or that lack the `hookimpl` mark."""
    known = {f"probe4d_{kind}" for kind in HOOKS} | {"probe4d_on_record"}
    marked = 0
    for name in dir(plugin):
        value = getattr(plugin, name, None)
        mark = getattr(value, f"{hookspecs.PROJECT}_impl", None)
        if not isinstance(mark, Mapping):
            if name.startswith("probe4d_") and callable(value) and name in known:
                raise Probe4dError(f"{name}: expected the mark @hookimpl, found none. Import it from probe4d.")
            continue
        hook = mark.get("specname") or name
        if mark.get("wrapper") or mark.get("hookwrapper"):
            raise Probe4dError(f"{name}: expected a plain hook, got a wrapper. Return specs.")
        if hook not in known and not mark.get("optionalhook"):
            raise Probe4dError(f"{name}: there is no such hook.{did_you_mean(hook, known)}")
        marked += 1
    if not marked:
        raise Probe4dError("it implements no hook. Mark its functions with @hookimpl of probe4d.")


def _collect(manager: pluggy.PluginManager, plugin: Any) -> dict[str, tuple[Any, ...]]:
    """Return the specs of one plugin by kind; each checked to be of the right class, names unique."""
    collected: dict[str, tuple[Any, ...]] = {}
    for kind, cls in HOOKS.items():
        caller = getattr(manager.hook, f"probe4d_{kind}")
        found: list[Any] = []
        for implementation in caller.get_hookimpls():
            if implementation.plugin is plugin:
                found.extend(_checked(f"probe4d_{kind}", cls, implementation.function()))
        names = [spec.name for spec in found]
        if twice := {name for name in names if names.count(name) > 1}:
            raise Probe4dError(f"probe4d_{kind}: expected each name once, got {sorted(twice)} twice.")
        if found:
            collected[kind] = tuple(found)
    return collected


def _check_commands(commands: Iterable[specs.CommandSpec]) -> None:
    """Refuse a command that would never be reached, since probe4d has one of that name."""
    from probe4d.builtin.commands_specs import COMMANDS

    builtin = {spec.name for spec in COMMANDS}
    if clash := sorted(spec.name for spec in commands if spec.name in builtin):
        raise Probe4dError(f"probe4d_commands: {clash} are commands of probe4d itself. Choose other names.")


def _checked(hook: str, cls: type, returned: Any) -> Iterable[Any]:
    if returned is None or isinstance(returned, (str, bytes, Mapping)) or not isinstance(returned, Iterable):
        raise Probe4dError(f"{hook}: expected a list of {cls.__name__}, got {type(returned).__name__}.")
    for spec in returned:
        if not isinstance(spec, cls):
            raise Probe4dError(f"{hook}: expected {cls.__name__}, got {spec!r}.")
        yield spec


def _hook_names(manager: pluggy.PluginManager, plugin: Any) -> tuple[str, ...]:
    return tuple(sorted(caller.name for caller in manager.get_hookcallers(plugin) or ()))


def _refuse_broken(records: Iterable[PluginRecord]) -> None:
    broken = [f"{record.name} ({record.error})" for record in records if record.status in ("failed", "incompatible")]
    if broken:
        raise PluginError(f"PROBE4D_STRICT_PLUGINS=1: {'; '.join(broken)}. See `probe4d doctor`.")


def distribution_of(entry: importlib.metadata.EntryPoint) -> tuple[str, str]:
    """Return name and version of the distribution that brings an entry point."""
    dist = entry.dist
    return (dist.name, dist.version) if dist is not None else ("unknown", "unknown")


def _names(environment: Mapping[str, str], variable: str) -> list[str]:
    return [name for name in re.split(r"[,\s]+", environment.get(variable, "")) if name]

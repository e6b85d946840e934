"""A suite's names as specs: backbones with labels, tasks and protocols with their overrides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
from attrs import frozen

from probe4d.backbones import configured
from probe4d.cells import BackboneRef
from probe4d.contracts import Layer
from probe4d.errors import NothingSelectedError, UsageError, did_you_mean
from probe4d.registry import Entry, Registry, load_target
from probe4d.specs import BackboneSpec, ProtocolSpec, TaskSpec
from probe4d.suites import Suite

__all__ = ["Backbone", "Protocol", "Selection", "Task", "select"]


@frozen(kw_only=True)
class Backbone:
    """A backbone of the suite."""

    ref: BackboneRef
    entry: Entry

    @property
    def spec(self) -> BackboneSpec:
        """The facts of the backbone."""
        spec: BackboneSpec = self.entry.spec
        return spec


@frozen(kw_only=True)
class Task:
    """A task of the suite, its overrides applied."""

    entry: Entry
    spec: TaskSpec

    @property
    def name(self) -> str:
        """The canonical name."""
        return self.entry.name


@frozen(kw_only=True)
class Protocol:
    """A protocol of the suite.

    Attributes:
        settings: what the spec's target makes of its settings and the overrides; frozen attrs.
    """

    entry: Entry
    settings: Any

    @property
    def name(self) -> str:
        """The canonical name."""
        return self.entry.name

    @property
    def spec(self) -> ProtocolSpec:
        """The facts of the protocol."""
        spec: ProtocolSpec = self.entry.spec
        return spec


@frozen(kw_only=True)
class Selection:
    """What a suite selects, resolved."""

    backbones: tuple[Backbone, ...]
    tasks: tuple[Task, ...]
    protocols: tuple[Protocol, ...]


def layers_of(suite: Suite, backbone: Backbone, task: Task, protocol: Protocol) -> tuple[Layer, ...]:
    """Return where features are read: what the suite says, or the backbone, or the protocol."""
    return tuple(suite.layers) or tuple(backbone.spec.layers) or tuple(protocol.settings.layers_for(task.spec.kind))


def select(suite: Suite, registry: Registry, backbones: Sequence[str | Mapping[str, Any]] = ()) -> Selection:
    """Return backbones, tasks and protocols of a suite.

    Args:
        backbones: more of them, as in a suite.

    Raises:
        UsageError: a name is unknown, a label stands twice, or an override fits nothing.
        NothingSelectedError: there is no backbone, task or protocol.
    """
    chosen = _backbones([*suite.backbones, *backbones], registry)
    overridden: set[str] = set()
    tasks = tuple(_task(registry.find("tasks", name), suite, overridden) for name in suite.tasks)
    protocols = tuple(_protocol(registry.find("protocols", n), suite.overrides, overridden) for n in suite.protocols)
    for what, found in (("backbones", chosen), ("tasks", tasks), ("protocols", protocols)):
        if not found:
            raise NothingSelectedError(f"suite {suite.name!r}: expected {what}, got none.")
    entries = [one.entry for one in tasks] + [one.entry for one in protocols]
    known = [name for entry in entries for name in (entry.name, entry.spec.name)]
    for name in set(suite.overrides) - overridden:
        raise UsageError(
            f"suite {suite.name!r}: overrides.{name}: it names no task or protocol of the suite."
            f"{did_you_mean(name, known)}"
        )
    return Selection(backbones=chosen, tasks=tasks, protocols=protocols)


def _backbones(wanted: Iterable[str | Mapping[str, Any]], registry: Registry) -> tuple[Backbone, ...]:
    found: dict[str, Backbone] = {}
    for item in wanted:
        stated: dict[str, Any] = {"name": item} if isinstance(item, str) else dict(item)
        entry = registry.find("backbones", stated.pop("name"))
        label = stated.pop("label", entry.spec.name)
        if label in found:
            raise UsageError(f"backbones: expected each label once, got {label!r} twice. Give one another `label`.")
        entry, options = configured(entry, stated.pop("options", {}))
        ref = BackboneRef(name=entry.name, label=label, options=options, **stated)
        found[label] = Backbone(ref=ref, entry=entry)
    return tuple(found.values())


def _overrides(entry: Entry, overrides: Mapping[str, Mapping[str, Any]], used: set[str]) -> dict[str, Any]:
    """Return what the suite says of this task or protocol, by its short or canonical name."""
    said: dict[str, Any] = {}
    for name in (entry.spec.name, entry.name):
        if name in overrides:
            used.add(name)
            said.update(overrides[name])
    return said


def _task(entry: Entry, suite: Suite, used: set[str]) -> Task:
    said = _overrides(entry, suite.overrides, used)
    for clip in ("train_clip", "evaluate_clip"):
        if suite.clip:
            said[clip] = {**suite.clip, **said.get(clip, {})}
    known = [attribute.name for attribute in attrs.fields(TaskSpec)]
    for key in said:
        if key not in known:
            raise UsageError(f"overrides of {entry.name}: there is no field {key!r}.{did_you_mean(key, known)}")
    try:
        merged = {key: _merged(getattr(entry.spec, key), value) for key, value in said.items()}
        return Task(entry=entry, spec=attrs.evolve(entry.spec, **merged))
    except (TypeError, ValueError) as error:
        raise UsageError(f"overrides of {entry.name}: {_first(error)}") from error


def _merged(old: Any, new: Any) -> Any:
    """Return a nested record or mapping with some of its fields replaced."""
    if not isinstance(new, Mapping):
        return new
    if attrs.has(type(old)):
        known = [attribute.name for attribute in attrs.fields(type(old))]
        for key in new:
            if key not in known:
                raise UsageError(f"{type(old).__name__}: there is no field {key!r}.{did_you_mean(key, known)}")
        return attrs.evolve(old, **new)
    return {**old, **new} if isinstance(old, Mapping) else new


def _protocol(entry: Entry, overrides: Mapping[str, Mapping[str, Any]], used: set[str]) -> Protocol:
    settings = {**entry.spec.settings, **_overrides(entry, overrides, used)}
    make = load_target(entry.spec.target, entry.name)
    known = [attribute.name for attribute in attrs.fields(make)] if attrs.has(make) else list(settings)
    for key in settings:
        if key not in known:
            raise UsageError(f"{entry.name}: there is no setting {key!r}.{did_you_mean(key, known)}")
    try:
        return Protocol(entry=entry, settings=make(**settings))
    except (TypeError, ValueError) as error:
        raise UsageError(f"settings of {entry.name}: {_first(error)}") from error


def _first(error: Exception) -> str:
    """Return what a validator says, without the objects that it carries along."""
    return str(error.args[0] if error.args else error)

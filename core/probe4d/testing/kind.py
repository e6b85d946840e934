"""Checks of a prediction kind: its example is perfect, its worst is worse, and its reader refuses what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from probe4d import contracts
from probe4d.contracts import Field
from probe4d.errors import DataError
from probe4d.scoring.conventions import resolve
from probe4d.testing.arrays import equal, names, require_refusal
from probe4d.testing.battery import Checks
from probe4d.testing.examples import ROLES, read, read_example, read_worst
from probe4d.testing.result import require, skip
from probe4d.testing.subject import Subject

__all__ = ["KIND", "KindSubject"]


class KindSubject(Subject):
    """A kind with its example of seed 0."""

    @cached_property
    def example(self) -> tuple[contracts.Arrays, contracts.Arrays, Mapping[contracts.Role, Mapping[str, Any]]]:
        """A perfect prediction, its targets and both metas."""
        made = self.product.example(0)
        return made[0], made[1], made[2]

    def fields(self, role: contracts.Role) -> Mapping[str, Field]:
        """Return the fields of a role."""
        stated: Mapping[str, Field] = self.product.fields(role)
        return stated

    def arrays(self, role: contracts.Role) -> contracts.Arrays:
        """Return the example's arrays of a role."""
        return self.example[0] if role == "predictions" else self.example[1]

    def read_with(self, role: contracts.Role, arrays: contracts.Arrays) -> Any:
        """Read the example with other arrays in one role."""
        both = {"predictions": self.example[0], "targets": self.example[1], role: arrays}
        return read(self.product, self.spec, both["predictions"], both["targets"], self.example[2])


KIND: Checks[KindSubject] = Checks()


@KIND()
def target_constructs(subject: KindSubject) -> None:
    """The target makes a Kind."""
    require(isinstance(subject.product, contracts.Kind), f"expected a Kind, got {subject.product!r}")


@KIND("target_constructs")
def schema_is_named_for_the_kind(subject: KindSubject) -> None:
    """`schema` is `<plugin>/<kind>/<version>`."""
    parts = subject.spec.schema.split("/")
    ok = len(parts) == 3 and parts[1] == subject.spec.name and parts[2].isdigit()
    require(ok, f"expected '<plugin>/{subject.spec.name}/<version>', got {subject.spec.schema!r}")


@KIND("target_constructs")
def example_has_the_declared_fields(subject: KindSubject) -> None:
    """The example has every required field and no other, of the declared rank and dtype."""
    for role in ROLES:
        fields, arrays = subject.fields(role), subject.arrays(role)
        required = {name for name, field in fields.items() if field.required}
        require(required <= set(arrays), f"{role}: expected {names(required)}, got {names(arrays)}")
        require(set(arrays) <= set(fields), f"{role}: expected fields of {names(fields)}, got {names(arrays)}")
        for name, array in arrays.items():
            ranks = {len(dims.split()) for dims in fields[name].dims.split("|")}
            value, dtypes = np.asarray(array), fields[name].dtypes
            require(value.ndim in ranks, f"{role}.{name}: expected ({fields[name].dims}), got {value.shape}")
            require(value.dtype.kind in dtypes, f"{role}.{name}: expected dtype {dtypes}, got {value.dtype}")


@KIND("target_constructs")
def example_is_deterministic(subject: KindSubject) -> None:
    """The same seed gives the same example, another seed another one."""
    again = subject.product.example(0)
    require(equal(tuple(again[:2]), tuple(subject.example[:2])), "seed 0 twice: expected the same example, got others")
    other = subject.product.example(1)
    require(not equal(tuple(other[:2]), tuple(subject.example[:2])), "seed 1: expected another example, got that of 0")


@KIND("target_constructs")
def example_states_its_conventions(subject: KindSubject) -> None:
    """Both metas hold keys that the kind declares, with values that they may have, and all that must be stated."""
    resolve(subject.product, subject.spec.schema, {role: (role, subject.example[2][role]) for role in ROLES}, {})


@KIND("example_has_the_declared_fields", "example_states_its_conventions")
def example_is_read(subject: KindSubject) -> None:
    """`read` takes the example and gives mappings for its metrics."""
    canonical = read_example(subject.product, subject.spec, 0)
    both = len(canonical) == 2 and all(isinstance(one, Mapping) and one for one in canonical)
    require(both, f"expected predictions and targets as mappings, got {canonical!r}")


@KIND("example_is_read")
def read_leaves_its_input_alone(subject: KindSubject) -> None:
    """The caller's arrays are not written to."""
    before = [{name: np.array(value) for name, value in one.items()} for one in subject.example[:2]]
    read(subject.product, subject.spec, *subject.example)
    require(equal(before, [dict(one) for one in subject.example[:2]]), "expected the arrays unchanged, got others")


@KIND("example_is_read")
def worst_is_worse(subject: KindSubject) -> None:
    """What `worst` makes can be read, and scores worse than the example on every metric of this kind."""
    metrics = [
        entry
        for entry in subject.registry.entries("metrics")
        if not entry.unmet and subject.entry in subject.registry.matches("kinds", entry.spec.kind)
    ]
    worst, perfect = (make(subject.product, subject.spec, 0) for make in (read_worst, read_example))
    if not metrics:
        skip("no metric of this kind is installed; read without error")
    for entry in metrics:
        metric: contracts.Metric = subject.make("metrics", entry.name)
        value = entry.spec.values[0]
        bad, good = (metric.empty().update("one", *pair).compute()[value.name] for pair in (worst, perfect))
        worse = bad < good if value.higher_is_better else bad > good
        require(worse, f"{entry.name}.{value.name}: expected worst to be worse than {good}, got {bad}")


@KIND("example_is_read")
def a_missing_field_is_refused(subject: KindSubject) -> None:
    """Leaving a required field out raises DataError."""
    for role in ROLES:
        for name, field in subject.fields(role).items():
            if field.required:
                left = {key: value for key, value in subject.arrays(role).items() if key != name}
                what = f"{role} without {name}"
                require_refusal(what, DataError, lambda role=role, left=left: subject.read_with(role, left))


@KIND("example_is_read")
def a_wrong_rank_is_refused(subject: KindSubject) -> None:
    """A field with one axis too many raises DataError."""
    _refuse_each(subject, "one axis more", lambda array: np.asarray(array)[..., None, None, None])


@KIND("example_is_read")
def a_wrong_dtype_is_refused(subject: KindSubject) -> None:
    """A field of text raises DataError."""
    _refuse_each(subject, "as text", lambda array: np.asarray(array).astype(str))


@KIND("example_is_read")
def disagreeing_sizes_are_refused(subject: KindSubject) -> None:
    """A predicted field one short, along an axis that a target field has too, raises DataError."""
    cut = 0
    for name, array in subject.arrays("predictions").items():
        # A field of one name and shape on both sides has one meaning of each axis.
        targets = subject.arrays("targets")
        if name not in targets or np.shape(targets[name]) != np.shape(array):
            continue
        for axis, size in enumerate(np.shape(array)):
            fixed = all(dims.split()[axis].isdigit() for dims in _dims(subject, name, np.ndim(array)))
            if size > 1 and not fixed:
                short = {**subject.arrays("predictions"), name: np.delete(array, -1, axis=axis)}
                what = f"predictions.{name} one short along axis {axis}"
                require_refusal(what, DataError, lambda short=short: subject.read_with("predictions", short))
                cut += 1
    if not cut:
        skip("predictions and targets share no field with an axis of free size")


def _dims(subject: KindSubject, name: str, rank: int) -> list[str]:
    """Return the alternatives of a predicted field that have this many axes."""
    return [dims for dims in subject.fields("predictions")[name].dims.split("|") if len(dims.split()) == rank]


def _refuse_each(subject: KindSubject, change: str, changed: Any) -> None:
    for role in ROLES:
        for name, array in subject.arrays(role).items():
            arrays = {**subject.arrays(role), name: changed(array)}
            what = f"{role}.{name} {change}"
            require_refusal(what, DataError, lambda role=role, arrays=arrays: subject.read_with(role, arrays))

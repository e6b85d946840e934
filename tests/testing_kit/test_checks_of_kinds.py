"""The kit passes a sound kind, and finds each fault by the check that names it."""

import itertools

import numpy as np
import pytest

from probe4d import KindSpec
from probe4d.contracts import Field, MetaKey
from probe4d.errors import DataError
from probe4d.testing import check_kind


class Sound:
    """Temperatures `(t,)` in kelvin or celsius."""

    required = True
    dtypes = "f"

    def fields(self, role):
        return {"heat": Field(dims="t", dtypes=self.dtypes, required=self.required)}

    def meta(self, role):
        return {"unit": MetaKey(choices=("kelvin", "celsius"), required=True)}

    def read(self, predictions, targets, meta):
        both = {"predictions": predictions, "targets": targets}
        shapes = {role: np.shape(arrays.get("heat")) for role, arrays in both.items()}
        if shapes["predictions"] != shapes["targets"]:
            raise DataError("predictions.heat: another length than the targets'.")
        shift = {role: 273.15 if meta[role]["unit"] == "celsius" else 0.0 for role in both}
        return tuple({"heat": arrays["heat"] + shift[role]} for role, arrays in both.items())

    def worst(self, targets, meta):
        return {"heat": targets["heat"] + 1e6}

    def example(self, seed):
        heat = np.random.default_rng(seed).random(5)
        meta = {"predictions": {"unit": "kelvin"}, "targets": {"unit": "kelvin"}}
        return {"heat": heat}, {"heat": heat.copy()}, meta


class ExtraField(Sound):
    def example(self, seed):
        predictions, targets, meta = super().example(seed)
        return {**predictions, "cold": np.zeros(5)}, targets, meta


class AlwaysAnother(Sound):
    seeds = itertools.count()

    def example(self, seed):
        return super().example(next(self.seeds))


class OneExample(Sound):
    def example(self, seed):
        return super().example(0)


class Unstated(Sound):
    def example(self, seed):
        return *super().example(seed)[:2], {"predictions": {}, "targets": {"unit": "kelvin"}}


class Overwrites(Sound):
    def read(self, predictions, targets, meta):
        predictions["heat"] += 1.0
        return super().read(predictions, targets, meta)


class ReadsNothing(Sound):
    def read(self, predictions, targets, meta):
        super().read(predictions, targets, meta)
        return {}, {}


class UnreadableWorst(Sound):
    def worst(self, targets, meta):
        return {"cold": targets["heat"]}


class AnyDtype(Sound):
    dtypes = "fU"

    def read(self, predictions, targets, meta):
        floats = [{"heat": np.asarray(one["heat"], dtype=float)} for one in (predictions, targets)]
        return super().read(*floats, meta)


class AnyLength(Sound):
    def read(self, predictions, targets, meta):
        length = min(len(predictions["heat"]), len(targets["heat"]))
        return super().read({"heat": predictions["heat"][:length]}, {"heat": targets["heat"][:length]}, meta)


class AnyRank(Sound):
    def fields(self, role):
        return {"heat": Field(dims="t | t 1 1 1")}

    def read(self, predictions, targets, meta):
        return super().read({"heat": predictions["heat"].ravel()}, {"heat": targets["heat"].ravel()}, meta)


FAULTS = {
    dict: "target_constructs",
    ExtraField: "example_has_the_declared_fields",
    AlwaysAnother: "example_is_deterministic",
    OneExample: "example_is_deterministic",
    Unstated: "example_states_its_conventions",
    ReadsNothing: "example_is_read",
    Overwrites: "read_leaves_its_input_alone",
    UnreadableWorst: "worst_is_worse",
    AnyDtype: "a_wrong_dtype_is_refused",
    AnyLength: "disagreeing_sizes_are_refused",
    AnyRank: "a_wrong_rank_is_refused",
}


def spec(target, **facts):
    return KindSpec(**{"name": "heat", "target": target, "schema": "toy/heat/1", **facts})


def test_a_sound_kind_passes_everything(target_of):
    results = check_kind(spec(target_of(Sound)))
    assert {result.name: result.reason for result in results if result.status != "passed"} == {
        "worst_is_worse": "no metric of this kind is installed; read without error"
    }


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_each_fault_fails_the_check_that_names_it_and_no_other(fault, target_of, failed):
    assert failed(check_kind(spec(target_of(fault)))) == [FAULTS[fault]]


def test_a_schema_of_another_kind_is_found(target_of, failed):
    results = check_kind(spec(target_of(Sound), schema="toy/cold/1"))
    assert failed(results) == ["schema_is_named_for_the_kind"]

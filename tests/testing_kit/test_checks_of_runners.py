"""The kit passes a sound runner, and finds each fault by the check that names it."""

import pytest

from probe4d import RunnerSpec
from probe4d.testing import check_runner

TOYS = '''
import collections, multiprocessing, random
from probe4d.contracts import Outcome
from probe4d.registry import load_target

def call(unit, answers):
    try:
        answers.put(("ok", load_target(unit.target)(**unit.arguments)))
    except Exception as error:
        answers.put(("failed", repr(error)))

class Sound:
    """Forks for each unit, in the order of needs."""

    def carry_out(self, unit):
        context = multiprocessing.get_context("fork")
        answers = context.SimpleQueue()
        process = context.Process(target=call, args=(unit, answers))
        process.start()
        process.join()
        status, answer = ("failed", "died") if answers.empty() else answers.get()
        return Outcome(unit=unit.id, status=status, **{"value" if status == "ok" else "error": answer})

    def order(self, units):
        left, done, ordered = list(units), set(), []
        while left:
            unit = next(unit for unit in left if done.issuperset(unit.needs))
            left.remove(unit)
            done.add(unit.id)
            ordered.append(unit)
        return ordered

    def run(self, units, *, on_start=None):
        status = {}
        for unit in self.order(units):
            if any(status[need] != "ok" for need in unit.needs):
                outcome = self.skipped(unit)
            else:
                self.announce(unit, on_start)
                outcome = self.carry_out(unit)
            status[unit.id] = outcome.status
            yield outcome

    def skipped(self, unit):
        return Outcome(unit=unit.id, status="skipped")

    def announce(self, unit, on_start):
        if on_start:
            on_start(unit.id)

class Loses(Sound):
    def run(self, units, *, on_start=None):
        outcomes = list(super().run(units, on_start=on_start))
        yield from outcomes[:-1]

class RunsTwice(Sound):
    def carry_out(self, unit):
        super().carry_out(unit)
        return super().carry_out(unit)

class LosesValues(Sound):
    def carry_out(self, unit):
        outcome = super().carry_out(unit)
        return Outcome(unit=unit.id, status=outcome.status, error=outcome.error, value=outcome.value and 7)

class Silent(Sound):
    def announce(self, unit, on_start):
        pass

class AsListed(Sound):
    def order(self, units):
        return list(units)

    def run(self, units, *, on_start=None):
        status = collections.defaultdict(lambda: "ok")
        for unit in self.order(units):
            if any(status[need] != "ok" for need in unit.needs):
                outcome = self.skipped(unit)
            else:
                self.announce(unit, on_start)
                outcome = self.carry_out(unit)
            status[unit.id] = outcome.status
            yield outcome

class Mute(Sound):
    def carry_out(self, unit):
        outcome = super().carry_out(unit)
        return Outcome(unit=unit.id, status=outcome.status, value=outcome.value)

class RunsAnyway(Sound):
    def skipped(self, unit):
        return self.carry_out(unit)

class InProcess(Sound):
    def carry_out(self, unit):
        try:
            return Outcome(unit=unit.id, status="ok", value=load_target(unit.target)(**unit.arguments))
        except Exception as error:
            return Outcome(unit=unit.id, status="failed", error=repr(error))
'''

FAULTS = {
    "Loses": ["each_unit_has_one_outcome"],
    "RunsTwice": ["each_unit_runs_once"],
    "LosesValues": ["values_come_back"],
    "Silent": ["on_start_names_each_unit"],
    "AsListed": ["needs_come_first"],
    "Mute": ["a_failing_unit_stops_only_itself"],
    "RunsAnyway": ["what_needs_a_failure_is_skipped", "a_killed_worker_costs_one_unit"],
    "InProcess": ["a_killed_worker_costs_one_unit"],
}


@pytest.fixture
def toys(tmp_path, monkeypatch):
    (tmp_path / "faulty_runners.py").write_text(TOYS)
    monkeypatch.syspath_prepend(tmp_path)


def test_a_sound_runner_passes_everything(toys):
    results = check_runner(RunnerSpec(name="toy", target="faulty_runners:Sound"))
    assert {result.name: result.reason for result in results if result.status != "passed"} == {}
    assert len(results) == 10


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_fails_the_checks_that_name_it_and_no_other(fault, toys, failed):
    assert failed(check_runner(RunnerSpec(name="toy", target=f"faulty_runners:{fault}"))) == FAULTS[fault]


def test_a_runner_that_dies_with_a_unit_does_not_take_the_checks_down(toys):
    results = check_runner(RunnerSpec(name="toy", target="faulty_runners:InProcess"))
    assert results[-1].reason.startswith("the calling process ended with code 86")

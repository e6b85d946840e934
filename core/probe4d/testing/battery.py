"""Runs checks one by one: each is a small function, some rest on others, none stops the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from attrs import frozen

from probe4d.errors import UsageError, did_you_mean
from probe4d.testing.result import CheckFailed, CheckResult, CheckSkipped

__all__ = ["Battery", "Check", "Checks"]

S = TypeVar("S")


@frozen(kw_only=True)
class Check(Generic[S]):
    """One statement about a subject: `run` returns nothing, or raises.

    Attributes:
        needs: checks that have to pass first; where one does not, this one is skipped and says so.
    """

    name: str
    run: Callable[[S], None]
    needs: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (self.run.__doc__ or "").strip().partition("\n")[0]


class Checks(Generic[S]):
    """An ordered collection of checks, filled by decorating functions."""

    def __init__(self) -> None:
        self.all: list[Check[S]] = []

    def __call__(self, *needs: str) -> Callable[[Callable[[S], None]], Callable[[S], None]]:
        """Return a decorator that adds a function as the check of its name."""

        def add(run: Callable[[S], None]) -> Callable[[S], None]:
            known = [check.name for check in self.all]
            if run.__name__ in known or set(needs) - set(known):
                raise ValueError(f"{run.__name__}: expected a new name, and needs among {known}")
            self.all.append(Check(name=run.__name__, run=run, needs=needs))
            return run

        return add


class Battery(Generic[S]):
    """The checks of one subject; each runs once, when it is asked for.

    Args:
        expected_failed_checks: check names with the reason why each fails; one that passes all
            the same is a failure, so that the list cannot go stale.

    Raises:
        UsageError: an expected failure names no check.
    """

    def __init__(
        self,
        checks: Sequence[Check[S]],
        subject: S,
        expected_failed_checks: Mapping[str, str] | None = None,
    ) -> None:
        self.checks = {check.name: check for check in checks}
        self.subject = subject
        self.expected = dict(expected_failed_checks or {})
        self._raw: dict[str, CheckResult] = {}
        for name in self.expected:
            if name not in self.checks:
                near = did_you_mean(name, self.checks)
                raise UsageError(f"expected_failed_checks: there is no check {name!r} for this kind.{near}")

    def results(self) -> list[CheckResult]:
        """Return the results of all checks, in order."""
        return [self.result(name) for name in self.checks]

    def result(self, name: str) -> CheckResult:
        """Return the result of one check, with expected failures taken into account."""
        raw = self._run(name)
        if name not in self.expected or raw.status == "skipped":
            return raw
        reason = self.expected[name]
        if raw.status == "passed":
            reason = f"expected to fail ({reason}), but passed. Take it off expected_failed_checks."
            return CheckResult(name=name, status="failed", reason=reason, seconds=raw.seconds)
        return CheckResult(name=name, status="xfail", reason=reason, seconds=raw.seconds)

    def _run(self, name: str) -> CheckResult:
        if name not in self._raw:
            self._raw[name] = self._blocked(name) or _carry_out(self.checks[name], self.subject)
        return self._raw[name]

    def _blocked(self, name: str) -> CheckResult | None:
        for need in self.checks[name].needs:
            before = self._run(need)
            if before.status == "failed":
                return CheckResult(name=name, status="skipped", reason=f"rests on {need}, which failed")
            if before.status == "skipped":
                return CheckResult(name=name, status="skipped", reason=before.reason)
        return None


def _carry_out(check: Check[Any], subject: Any) -> CheckResult:
    started = time.perf_counter()

    def result(status: Any, reason: str = "") -> CheckResult:
        return CheckResult(name=check.name, status=status, reason=reason, seconds=time.perf_counter() - started)

    try:
        check.run(subject)
    except KeyboardInterrupt:
        raise
    except CheckSkipped as error:
        return result("skipped", str(error))
    except CheckFailed as error:
        return result("failed", str(error))
    except BaseException as error:  # noqa: BLE001 - what is checked may raise anything, even SystemExit
        return result("failed", f"raised {type(error).__name__}: {error}".strip())
    return result("passed")

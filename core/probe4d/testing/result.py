"""What a conformance check answers, and the report that counts how many ran."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, NoReturn, TypeAlias

from attrs import asdict, frozen

__all__ = ["CheckFailed", "CheckResult", "CheckSkipped", "Checked", "Report", "require", "skip"]

Status: TypeAlias = Literal["passed", "failed", "xfail", "skipped"]


class CheckFailed(AssertionError):
    """The contract is broken; the message says where."""


class CheckSkipped(Exception):
    """The check cannot run here; the message says why. It is counted, never silent."""


def require(condition: object, message: str) -> None:
    """Raise `CheckFailed(message)` unless the condition holds."""
    if not condition:
        raise CheckFailed(message)


def skip(reason: str) -> NoReturn:
    """Raise `CheckSkipped(reason)`."""
    raise CheckSkipped(reason)


@frozen(kw_only=True)
class CheckResult:
    """One check of one spec.

    Attributes:
        name: the check's name, a statement that holds of a conforming spec.
        reason: why it failed or was skipped; for `xfail` the reason that was announced.
    """

    name: str
    status: Status
    reason: str = ""
    seconds: float = 0.0


@frozen(kw_only=True)
class Checked:
    """Results of the checks of one spec, `category` plural as in the registry (`"backbones"`)."""

    category: str
    name: str
    results: Sequence[CheckResult]


@frozen(kw_only=True)
class Report:
    """The checks of one plugin, spec by spec."""

    plugin: str
    subjects: Sequence[Checked]

    @property
    def counts(self) -> Counter[str]:
        """How many checks have each status."""
        return Counter(result.status for subject in self.subjects for result in subject.results)

    @property
    def total(self) -> int:
        """How many checks there are."""
        return self.counts.total()

    @property
    def ran(self) -> int:
        """How many of them ran; skipped ones did not."""
        return self.total - self.counts["skipped"]

    @property
    def ok(self) -> bool:
        """Whether something was checked and nothing failed."""
        return self.total > 0 and not self.counts["failed"]

    @property
    def summary(self) -> str:
        """`ran N of M checks: …`, the line that makes skipping visible."""
        counts = self.counts
        parts = [f"{counts[status]} {status}" for status in ("passed", "failed", "xfail", "skipped") if counts[status]]
        return f"ran {self.ran} of {self.total} checks: {', '.join(parts) or 'none'}"

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values, schema `probe4d/conformance/1`."""
        return {
            "schema": "probe4d/conformance/1",
            "plugin": self.plugin,
            "ok": self.ok,
            "ran": self.ran,
            "total": self.total,
            "counts": dict(self.counts),
            "subjects": [
                {"category": one.category, "name": one.name, "results": [asdict(result) for result in one.results]}
                for one in self.subjects
            ],
        }

    def as_json(self) -> str:
        """Return `as_dict()` as text."""
        return json.dumps(self.as_dict(), indent=2, ensure_ascii=False)

    def as_markdown(self) -> str:
        """Return a Markdown table, one row a check."""
        rows = ["| category | name | check | status | reason |", "|---|---|---|---|---|"]
        rows += [
            f"| {one.category} | {one.name} | {result.name} | {result.status} | {_cell(result.reason)} |"
            for one in self.subjects
            for result in one.results
        ]
        return "\n".join([f"**{self.plugin}**: {self.summary}", "", *rows])

    def as_text(self) -> str:
        """Return what a person wants to see: a line a spec, and every check that is not plainly passed."""
        lines: list[str] = []
        for one in self.subjects:
            passed = sum(result.status == "passed" for result in one.results)
            lines.append(f"{one.category} {one.name}: {passed} of {len(one.results)} passed")
            shown = [result for result in one.results if result.status != "passed"]
            reasons = Counter((result.status, result.reason) for result in shown)
            for (status, reason), count in reasons.items():
                # Checks skipped for one reason are one line: their number is what matters.
                first = next(result.name for result in shown if (result.status, result.reason) == (status, reason))
                lines.append(f"  {status:<7} {first if count == 1 else f'{count} checks'}: {reason}")
        return "\n".join([*lines, f"{self.plugin}: {self.summary}"])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")

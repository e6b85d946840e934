"""`python -m probe4d.testing.runner_process JOB ANSWER`: run units by a runner and write what came of it."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path

from attrs import asdict

from probe4d.contracts import Unit
from probe4d.registry import load_target


def main(job: Path, answer: Path) -> None:
    """Write `{"outcomes": […], "started": […]}` once the run has ended."""
    target, options, made = pickle.loads(job.read_bytes())  # noqa: S301 - written by the check that started us
    started: list[str] = []
    runner = load_target(target)(**options)
    outcomes = [asdict(outcome) for outcome in runner.run([Unit(**unit) for unit in made], on_start=started.append)]
    temporary = answer.with_suffix(".part")
    temporary.write_text(json.dumps({"outcomes": outcomes, "started": started}), encoding="utf-8")
    temporary.replace(answer)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

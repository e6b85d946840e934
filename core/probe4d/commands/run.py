"""`probe4d run`."""

from __future__ import annotations

import json
from typing import Any

import attrs
import click
from attrs import frozen

from probe4d.commands import suite_options
from probe4d.commands.plan import adopted_features, data_licences
from probe4d.commands.set_options import runner_options
from probe4d.errors import Probe4dError, UsageError


@frozen(kw_only=True)
class RunOptions:
    """How a plan is to be carried out; each field is the option of that name."""

    runner: str
    workers: int | None
    scheduler: str | None
    runner_settings: tuple[str, ...]
    part: str | None
    distributed: str | None
    partial: bool
    dry_run: bool
    report: bool
    display: str
    as_json: bool


@click.command("run")
@suite_options.suite_options
@click.option("--runner", default="local", show_default=True, help="What carries out the units.")
@click.option("--workers", type=click.IntRange(min=1), help="Units at once, for runners that take it.")
@click.option("--scheduler", metavar="ADDRESS", help="Address of a cluster that is there, for runners that take it.")
@click.option("--runner-set", "runner_settings", multiple=True, metavar="NAME=VALUE", help="An option of the runner.")
@click.option("--part", metavar="I/N", help="Carry out this fixed part of the plan only, as 1/4.")
@click.option(
    "--distributed", metavar="HOST:PORT,I/N", help="Finetune across N hosts; this is process I, HOST:PORT 0's."
)
@click.option("--partial", is_flag=True, help="Run what can run when something is missing.")
@click.option("--dry-run", is_flag=True, help="Plan and check only.")
@click.option("--report/--no-report", default=True, help="Write report.html, where the report plugin is installed.")
@click.option("--display", type=click.Choice(["auto", "rich", "plain", "none"]), default="auto", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the run as one JSON object.")
def command(**options: Any) -> None:
    """Evaluate the backbones of SUITE: extract features, probe, score, record.

    The same command again goes on where it was stopped. Results go to --output-dir (runs/<suite>).
    With --part several machines share a plan, a store and a folder; a last run without it completes it.
    With --distributed the same command on N hosts finetunes on the devices of all; process 0 does the rest.
    With --only extract an environment that has the backbone alone fills the store; the same command without it,
    where the backbone need not be installed, trains and scores on what is stored.
    Exit codes: 0 all done, 1 some units failed, 3 or 4 something is missing, 75 other parts have units to do,
    130 interrupted.
    """
    from probe4d.planning.parts import Part
    from probe4d.running import check_plan
    from probe4d.shares import share_of

    said = RunOptions(**{name: options.pop(name) for name in attrs.fields_dict(RunOptions)})
    part = None if said.part is None else Part.parse(said.part)
    runner = _runner(said)
    if said.distributed is not None and runner.member.index > 0 and not said.dry_run:
        runner.follow()
        return
    plan, text = suite_options.make(**options)
    check_plan(plan, partial=said.partial)
    for line in [*(data_licences(plan) if said.display != "none" else ()), *adopted_features(plan)]:
        click.echo(line, err=True)
    if said.dry_run:
        click.echo(f"{len(share_of(plan, part))} of {len(plan.units)} units to do.", err=True)
        return
    result = _carried_out(plan, text, part, runner, said.display)
    whole = result.status == "success" or (part is None and result.status == "failed")
    page = _report(plan.run.path) if said.report and result.records and whole and plan.only != "extract" else None
    if said.as_json:
        click.echo(json.dumps(_json(result, page), indent=2))
    else:
        click.echo(_text(result, plan))
        click.echo(f"report: {page}" if page else _where(plan))
    click.get_current_context().exit(result.exit_code)


def _runner(said: RunOptions) -> Any:
    """Return what carries out the units; `--distributed` chooses it.

    Raises:
        UsageError: another one is asked for, or an option is wrong.
    """
    from probe4d.running import make_runner

    options = runner_options(said.scheduler, said.runner_settings)
    if said.distributed is None:
        return make_runner(said.runner, said.workers, options)
    if said.runner not in ("local", "hosts"):
        raise UsageError(f"--distributed: expected no --runner beside it, got {said.runner}. Leave out one of them.")
    return make_runner("hosts", said.workers, {**options, "join": said.distributed})


def _carried_out(plan: Any, text: str, part: Any, runner: Any, display: str) -> Any:
    """Return what became of the plan, or of a part of it, showing how far it is."""
    from probe4d.progress import progress
    from probe4d.running import run_plan
    from probe4d.shares import share_of

    with progress(len(share_of(plan, part)), display) as shown:
        return run_plan(plan, runner, suite_text=text, part=part, on_start=shown.start, on_outcome=shown.end)


def _report(folder: Any) -> str | None:
    """Return the report's path, or None where no plugin brings `report`."""
    from probe4d.registry import load_target, registry

    found = registry().matches("commands", "report")
    if not found or found[0].unmet:
        return None
    module = found[0].spec.target.partition(":")[0]
    try:
        return str(load_target(f"{module}:write_report", found[0].name)(folder))
    except Probe4dError as error:
        click.echo(f"no report: {error}", err=True)
        return None


def _where(plan: Any) -> str:
    """Return where what was made is."""
    if plan.only == "extract":
        return f"features: {plan.root}; the same command without --only uses them, here or where the backbone is not"
    return f"records: {plan.run.path}"


def _text(result: Any, plan: Any) -> str:
    from probe4d.results import results_table
    from probe4d.tables import results_text

    lines = []
    if plan.only != "extract":
        table = results_text(results_table(result.records), plan.suite.aggregates) if result.records else "no records"
        lines.append(table)
    if result.status == "cancelled":
        lines.append("interrupted; the same command goes on from here")
    if result.status == "incomplete":
        waiting = f"; {len(result.waiting)} units of this part wait for them" if result.waiting else ""
        lines.append(f"this part did what it could: {result.left} units of the plan are left to other parts{waiting}")
        lines.append("`probe4d status` shows them; the same command without --part completes the run")
    if result.failures:
        lines.append(f"{len(result.failures)} units did not succeed; run.json names them")
    return "\n".join(lines or [f"{len(plan.units)} shards of {len(plan.sets)} sets are stored"])


def _json(result: Any, page: str | None) -> dict[str, Any]:
    return {
        "status": result.status,
        "run": str(result.plan.run.path),
        "left": result.left,
        "waiting": [unit.id for unit in result.waiting],
        "report": page,
        "records": [record.content for record in result.records],
        "failures": [{"unit": one.unit, "status": one.status, "error": one.error} for one in result.failures],
    }

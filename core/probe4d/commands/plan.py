"""`probe4d plan`."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import click

from probe4d.commands import suite_options
from probe4d.listing import table


@click.command("plan")
@suite_options.suite_options
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def command(as_json: bool, **options: Any) -> None:
    """Show what SUITE comes to before anything runs: cells, bytes, time, and what is missing.

    SUITE is a TOML file or the name of an installed suite. Exit code 3 or 4 when something is missing.
    """
    plan, _ = suite_options.make(**options)
    click.echo(json.dumps(plan.to_json(), indent=2) if as_json else _text(plan))
    if plan.problems:
        click.get_current_context().exit(plan.problems[0].exit_code)


def _text(plan: Any) -> str:
    facts = plan.to_json()
    cells = [["backbone", "task", "protocol", "layer"]]
    cells += [[cell["backbone"], cell["task"], cell["protocol"], str(cell["layer"])] for cell in facts["cells"]]
    waiting = sum(len(cell["layers"]) for cell in facts["blocked"])
    sets = [["set", "data", "samples", "clips", "views", "layers", "bytes", "time"]]
    for one in facts["sets"]:
        features = one["backbone"] is not None
        sets.append(
            [
                f"{one['backbone']} {one['digest'][:10]}" if features else f"targets {one['digest'][:10]}",
                f"{one['dataset']}:{one['split']}",
                str(one["samples"]),
                str(one["clips"]),
                str(one["views"]),
                ", ".join(map(str, one["layers"] or one["kinds"])),
                size_text(one["bytes"]),
                time_text(one["seconds"]) if features else "",
            ]
        )
    units = facts["units"]
    free = facts["free_bytes"]
    lines = [f"suite {plan.suite.name}: {_counted(len(facts['cells']), waiting)}"]
    lines += [table(cells), "", table(sets), ""] if facts["cells"] else []
    lines.append(f"units: {units['total']}, of which {units['done']} are done")
    stored = f"{size_text(facts['bytes'])} in {plan.root}, {size_text(facts['bytes_todo'])} to write"
    lines.append(f"features and targets: {stored}")
    lines += [f"free there: {size_text(free)}"] if free is not None else []
    lines.append(f"extraction: about {time_text(facts['seconds']['extract'])}, by this machine's matmul rate")
    if streamed := facts["seconds"]["stream"]:
        lines.append(f"streaming, nothing of it cached: about {time_text(streamed)} of encoding")
    if trained := facts["seconds"]["readouts"]:
        lines.append(f"training readouts: about {time_text(trained)}, by the same rate")
    if finetuned := facts["seconds"]["finetune"]:
        lines.append(f"finetuning: about {time_text(finetuned)}, by the same rate")
    lines += _examples(facts["trainings"])
    lines += _unknown_times(facts["trainings"])
    lines += weights_licences(plan)
    lines += data_licences(plan)
    lines += adopted_features(plan)
    lines += _missing(plan, facts["blocked"])
    lines += _expected(facts["expected"], facts["blocked"], facts["flops"])
    return "\n".join(lines)


def _examples(trainings: list[dict[str, Any]]) -> list[str]:
    """Return how many sweeps are trained under each protocol, and on how many clips, repeats counted."""
    counts = Counter((one["protocol"], one["examples"]) for one in trainings)
    return [
        f"training under {protocol}: {_sweeps(number)} of {examples:,} examples"
        for (protocol, examples), number in counts.items()
    ]


def _unknown_times(trainings: list[dict[str, Any]]) -> list[str]:
    """Return a line that names the tasks whose readouts nobody says the cost of."""
    tasks = {one["task"] for one in trainings if one["mode"] != "finetune" and one["readout_seconds"] is None}
    return [f"time of training readouts not known: {', '.join(sorted(tasks))}"] if tasks else []


def _sweeps(number: int) -> str:
    return "1 sweep" if number == 1 else f"{number} sweeps"


def weights_licences(plan: Any) -> list[str]:
    """Return a line per backbone of the plan whose weights somebody licenses."""
    specs = {sweep.backbone.ref.label: sweep.backbone.spec for sweep in plan.sweeps}
    return [f"licence of {label}: {spec.licence}" for label, spec in sorted(specs.items()) if spec.licence]


def data_licences(plan: Any) -> list[str]:
    """Return a line per dataset of the plan that somebody licenses: what one agrees to by using it."""
    from probe4d.registry import find

    specs = {name: find("datasets", name).spec for name in sorted({one.clips.dataset for one in plan.sets})}
    return [f"licence of {name}: {spec.licence}" for name, spec in specs.items() if spec.needs_root and spec.licence]


def adopted_features(plan: Any) -> list[str]:
    """Return a line per set of features that another platform made: what that one had, and what is here."""
    lines = []
    for one in plan.adopted:
        there = ", ".join(
            f"{name.removeprefix('platform.')} {there or 'none'} (here {here or 'none'})"
            for name, (here, there) in one.differs.items()
        )
        what = f"{one.backbone.ref.label} of {one.clips.dataset}:{one.clips.split}"
        lines.append(f"features of another platform are used for {what} ({one.digest[:10]}): {there}")
    return lines


def _counted(cells: int, waiting: int) -> str:
    return f"{cells} cells" if not waiting else f"{cells + waiting} cells, of which {waiting} cannot run yet"


def _missing(plan: Any, blocked: list[dict[str, Any]]) -> list[str]:
    """Return every cell that cannot run, what it lacks and would cost, and how to get what is missing."""
    if not plan.problems:
        return []
    rows = [["backbone", "task", "protocol", "layer", "missing", "cache", "time"]]
    for cell in blocked:
        layers, lacks = ", ".join(map(str, cell["layers"])), ", ".join(cell["lacks"])
        cost = ["-" if cell["bytes"] == 0 else size_text(cell["bytes"]), _time_or_none(cell["seconds"])]
        rows.append([cell["backbone"], cell["task"], cell["protocol"], layers, lacks, *cost])
    return [
        "",
        f"{len(blocked)} backbone x task x protocol cannot run:",
        table(rows),
        "",
        "what is missing:",
        *(f"  {problem.of}: {problem.reason}" for problem in plan.problems),
    ]


def _expected(sets: list[dict[str, Any]], blocked: list[dict[str, Any]], flops: float) -> list[str]:
    """Return what would be cached for data or weights that are not here yet, and what all of it would take."""
    cached = {(one["backbone"], one["dataset"], one["split"]) for one in sets}
    trained = sum(cell["seconds"] or 0.0 for cell in blocked if cell["bytes"] == 0)
    if not cached and not trained:
        return []
    rows = [["backbone", "data", "samples", "clips", "views", "bytes", "time"]]
    for one in sets:
        counts = [str(one[name]) for name in ("samples", "clips", "views")]
        data = f"{one['dataset']}:{one['split']}"
        rows.append([one["backbone"], data, *counts, size_text(one["bytes"]), time_text(one["seconds"])])
    total, seconds = (sum(one[name] for one in sets) for name in ("bytes", "seconds"))
    lines = ["", "of these, by published sizes:", table(rows)] if sets else [""]
    lines += [f"features: {size_text(total)} in all, about {time_text(seconds)} of encoding"] if sets else []
    said = "finetuning and streaming, nothing of it cached"
    lines += [f"{said}: about {time_text(trained)}"] if trained else []
    lines.append(f"times are by this machine's matmul rate, {flops / 1e9:.0f} GFLOP/s when it was measured just now")
    return lines


def _time_or_none(seconds: float | None) -> str:
    return "-" if seconds is None else time_text(seconds)


def size_text(number: float) -> str:
    """Return bytes for people, in powers of 1000."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if number < 1000 or unit == "TB":
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    raise AssertionError("unreachable")


def time_text(seconds: float) -> str:
    """Return a duration for people."""
    if seconds < 90:
        return f"{seconds:.1f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 1e6 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / (365.25 * 86400):.0f} years"

"""The entry point: the sections of the report and two commands, nothing heavier."""

from __future__ import annotations

from collections.abc import Iterable

from probe4d.hookspecs import hookimpl
from probe4d.specs import CommandSpec, ReportPanelSpec

PROBE4D_PLUGIN_API = 1

REQUIRES = ("jinja2>=3.1",)

# name, title, summary, in the order of the page
_SECTIONS = (
    ("results", "Results", "value and interval of every cell, the paper's numbers beside"),
    ("aggregates", "Aggregates", "one number per backbone"),
    ("scaling", "Scaling", "value against number of parameters"),
    ("radar", "Radar", "all tasks of a protocol at once"),
    ("layers", "Layer study", "value against depth"),
    ("correlation", "Task correlation", "how alike tasks rank the backbones"),
    ("finetuning", "Frozen and finetuned", "what finetuning adds"),
    ("points", "Point tracks", "predicted against true positions, with error vectors"),
    ("boxes", "Boxes", "predicted solid, true dashed"),
    ("depth", "Depth", "predicted and true depth maps"),
    ("pose", "Camera poses", "predicted and true motion of the camera, from above"),
    ("labels", "Classes", "accuracy by class and confusion"),
    ("training", "Training", "loss curves of the sweeps"),
    ("timings", "Timings", "seconds by phase"),
    ("failures", "Failures and samples left out", "what has no number, and why"),
    ("provenance", "Provenance", "what made the numbers"),
)

PANELS = tuple(
    ReportPanelSpec(
        name=name,
        title=title,
        summary=summary,
        target=f"probe4d_report.panels.{name}:panel",
        order=10 * number if number < 13 else 1000 + 10 * number,
        requires=REQUIRES,
        extra="probe4d[report]",
    )
    for number, (name, title, summary) in enumerate(_SECTIONS, 1)
)

COMMANDS = (
    CommandSpec(
        name="report",
        target="probe4d_report.report:command",
        summary="Write a run as one HTML file.",
        requires=REQUIRES,
        extra="probe4d[report]",
    ),
    CommandSpec(
        name="paper",
        target="probe4d_report.paper:command",
        summary="Draw Figures 6, 8 and 14 from the paper's own tables.",
        requires=REQUIRES,
        extra="probe4d[report]",
    ),
)


@hookimpl
def probe4d_report_panels() -> Iterable[ReportPanelSpec]:
    """Return the sections of the report."""
    return PANELS


@hookimpl
def probe4d_commands() -> Iterable[CommandSpec]:
    """Return `report` and `paper`."""
    return COMMANDS

"""The conformance kit: what a plugin provides is checked against the contracts of probe4d.

    from probe4d.testing import parametrize_with_checks

    @parametrize_with_checks({"mine": "probe4d_mine.plugin"})
    def test_conformance(check):
        check()

Names are imported when they are used: whoever looks for heavy imports must not bring any.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from probe4d.testing.conformance import (
        check_aggregate,
        check_backbone,
        check_command,
        check_dataset,
        check_kind,
        check_metric,
        check_protocol,
        check_readout,
        check_report_panel,
        check_runner,
        check_spec,
        check_suite,
        check_task,
    )
    from probe4d.testing.light import heavy_imports
    from probe4d.testing.plugin import check_plugin
    from probe4d.testing.pytest_plugin import parametrize_with_checks, probe4d_pm
    from probe4d.testing.result import Checked, CheckFailed, CheckResult, CheckSkipped, Report
    from probe4d.testing.subject import Given, hermetic_registry

__all__ = [
    "CheckFailed",
    "CheckResult",
    "CheckSkipped",
    "Checked",
    "Given",
    "Report",
    "check_aggregate",
    "check_backbone",
    "check_command",
    "check_dataset",
    "check_kind",
    "check_metric",
    "check_plugin",
    "check_protocol",
    "check_readout",
    "check_report_panel",
    "check_runner",
    "check_spec",
    "check_suite",
    "check_task",
    "heavy_imports",
    "hermetic_registry",
    "parametrize_with_checks",
    "probe4d_pm",
]

# Where the names are that are not of `conformance`.
_ELSEWHERE = {
    "light": ("heavy_imports",),
    "plugin": ("check_plugin",),
    "pytest_plugin": ("parametrize_with_checks", "probe4d_pm"),
    "result": ("CheckFailed", "CheckResult", "CheckSkipped", "Checked", "Report"),
    "subject": ("Given", "hermetic_registry"),
}
_HOME_OF = dict.fromkeys(__all__, "conformance") | {name: home for home, names in _ELSEWHERE.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)

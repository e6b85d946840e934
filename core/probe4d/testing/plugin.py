"""Checks a whole plugin in a process of its own, which it may take down without harm."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from probe4d.testing.result import Checked, CheckResult, Report

__all__ = ["check_plugin"]


def check_plugin(name: str, module: str, path: Path | None = None, timeout: float = 900.0) -> Report:
    """Return the report of a plugin.

    Args:
        name: its entry point's name, the namespace of what it provides.
        module: its entry module.
        path: a folder to import from, for a plugin that is not installed.
        timeout: seconds after which the process is ended and what it was doing has failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        events = Path(folder, "events.jsonl")
        ended = _run([name, module, str(events)], path, timeout)
        lines = [json.loads(line) for line in events.read_text("utf-8").splitlines()] if events.exists() else []
    return Report(plugin=name, subjects=list(_checked(lines, ended)))


def _run(arguments: list[str], path: Path | None, timeout: float) -> str:
    """Run the process to its end and say how it ended."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*([str(path)] if path else []), *_python_path()])}
    for variable in ("PROBE4D_STRICT_PLUGINS", "PROBE4D_PLUGINS", "PROBE4D_DISABLE_PLUGINS"):
        environment.pop(variable, None)
    command = [sys.executable, "-m", "probe4d.testing.plugin_process", *arguments]
    # What the plugin prints goes to stderr: stdout is for the report.
    process = subprocess.Popen(command, env=environment, stdout=sys.stderr.fileno() if _has_stderr() else None)
    try:
        code = process.wait(timeout)
    except subprocess.TimeoutExpired:
        return f"it took longer than {timeout:g} s"
    finally:
        process.kill()
        process.wait()
    if code < 0:
        return f"the process was ended by {signal.Signals(-code).name}"
    return f"the process ended with code {code}"


def _has_stderr() -> bool:
    try:
        return sys.stderr.fileno() >= 0
    except (AttributeError, OSError, ValueError):
        return False


def _python_path() -> list[str]:
    stated = os.environ.get("PYTHONPATH")
    return [stated] if stated else []


def _checked(lines: list[dict[str, Any]], ended: str) -> Iterator[Checked]:
    """Yield the results by spec; what was planned but has no result was cut short."""
    whole = any(line["event"] == "end" for line in lines)
    planned = [tuple(check) for line in lines if line["event"] == "plan" for check in line["checks"]]
    results = {
        (line["category"], line["name"], line["result"]["name"]): CheckResult(**line["result"])
        for line in lines
        if line["event"] == "result"
    }
    running = [(line["category"], line["name"], line["check"]) for line in lines if line["event"] == "start"]
    if not whole:
        cut = running[-1] if running and running[-1] not in results else ("plugin", "process", "the_process_survives")
        results[cut] = CheckResult(name=cut[2], status="failed", reason=ended)
        planned += [cut] if cut not in planned else []
    for key in planned:
        if key not in results:
            results[key] = CheckResult(name=key[2], status="skipped", reason=f"not reached: {ended}")
    for subject in dict.fromkeys(key[:2] for key in planned):
        mine = [results[key] for key in planned if key[:2] == subject]
        yield Checked(category=subject[0], name=subject[1], results=mine)

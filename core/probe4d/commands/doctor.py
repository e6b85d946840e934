"""`probe4d doctor`: what is installed, what is broken, and what to do about it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from typing import Any

import click

from probe4d import __version__
from probe4d.errors import Probe4dError
from probe4d.listing import table
from probe4d.loader import discover
from probe4d.paths import cache_dir, config_dir, data_dir

OPTIONAL = ("jax", "flax", "optax", "torch", "zarr", "fsspec", "av", "pillow", "pyarrow", "jinja2", "rich")
PROBE_SECONDS = 120

# Runs in a process of its own, so that a plugin that kills the interpreter shows as a finding.
PROBE = """
import json, sys
from probe4d.registry import configure, registry
configure(json.loads(sys.argv[1]))
out = [{k: getattr(r, k) for k in ("name", "module", "distribution", "version", "status", "seconds", "hooks",
        "error", "hint", "traceback")} | {"provides": {k: len(v) for k, v in r.specs.items()}}
       for r in registry().records]
print("\\n" + json.dumps(out))
"""


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Check this install: Python, extras, folders, and every plugin, loaded in a process of its own.

    Exit code 3 when a plugin is broken.
    """
    options = list(ctx.find_root().params.get("plugin_options", ()))
    verbose = bool(ctx.find_root().params.get("verbose"))
    plugins = probe_plugins(options)
    facts = {"environment": _environment(), "optional": _optional(), "plugins": plugins}
    if as_json:
        click.echo(json.dumps(facts, indent=2))
    else:
        click.echo(_text(facts, verbose))
    if any(plugin["status"] in ("failed", "incompatible") for plugin in plugins):
        ctx.exit(3)


def probe_plugins(options: list[str]) -> list[dict[str, Any]]:
    """Return a record per plugin as plain values, also when one of them kills the process."""
    found = _probe(options)
    if isinstance(found, list):
        return found
    # Somebody killed it: load each alone to find out who.
    alone: list[dict[str, Any]] = []
    for entry in discover():
        result = _probe(options, only=entry.name)
        if isinstance(result, list):
            alone += [record for record in result if record["name"] == entry.name]
            continue
        dist = entry.dist
        alone.append(
            {"name": entry.name, "module": entry.value, "status": "failed", "error": result, "provides": {}}
            | {"distribution": dist.name if dist else "unknown", "version": dist.version if dist else "unknown"}
            | {"hint": f"probe4d plugins disable {entry.name}", "traceback": None, "seconds": 0.0, "hooks": []}
        )
    return alone


def _probe(options: list[str], only: str | None = None) -> list[dict[str, Any]] | str:
    environment = {name: value for name, value in os.environ.items() if name != "PROBE4D_STRICT_PLUGINS"}
    if only is not None:
        environment["PROBE4D_PLUGINS"] = only
    line = [sys.executable, "-c", PROBE, json.dumps(options)]
    try:
        done = subprocess.run(line, capture_output=True, text=True, env=environment, timeout=PROBE_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"it did not load within {PROBE_SECONDS} s"
    if done.returncode == 0 and done.stdout.strip():
        records: list[dict[str, Any]] = json.loads(done.stdout.strip().splitlines()[-1])
        return records
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    if done.returncode > 0 and "probe4d.errors" in last:
        raise Probe4dError(last.partition(": ")[2])
    reason = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
    return f"loading it ended the process with {reason} ({last})"


def _environment() -> dict[str, Any]:
    cache = cache_dir()
    existing = next(path for path in (cache, *cache.parents) if path.exists())
    return {
        "probe4d": __version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "cache": str(cache),
        "cache free bytes": shutil.disk_usage(existing).free,
        "data": str(data_dir()),
        "settings": str(config_dir()),
        "variables": {name: value for name, value in sorted(os.environ.items()) if name.startswith("PROBE4D_")},
    }


def _optional() -> dict[str, str | None]:
    import importlib.metadata

    versions: dict[str, str | None] = {}
    for name in OPTIONAL:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def _text(facts: dict[str, Any], verbose: bool) -> str:
    environment = [[key, str(value)] for key, value in facts["environment"].items() if value not in ({}, None)]
    lines = [table(environment), "", "optional packages"]
    lines += [f"  {name}: {version or 'not installed'}" for name, version in facts["optional"].items()]
    lines += ["", "plugins"]
    for plugin in facts["plugins"]:
        provides = ", ".join(f"{count} {kind}" for kind, count in plugin["provides"].items())
        where = f"{plugin['distribution']} {plugin['version']}"
        lines.append(f"  {plugin['name']} ({where}): {plugin['status']}; {provides or plugin['error']}")
        if plugin["hint"]:
            lines.append(f"    try: {plugin['hint']}")
        if verbose and plugin["traceback"]:
            lines += [f"    {line}" for line in plugin["traceback"].splitlines()]
    return "\n".join(lines)

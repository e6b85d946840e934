"""`probe4d train`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click

from probe4d.errors import UsageError

# Set before the C library starts: the large temporaries of a step in huge pages; docs/readouts.md says what it saves.
GLIBC_TUNABLES = "glibc.malloc.hugetlb=1"


@click.command("train")
@click.argument("config")
@click.option("--set", "changes", multiple=True, metavar="A.B=VALUE", help="Another value of a field (repeatable).")
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), help="Folder of the run.")
@click.option("--dry-run", "dry", is_flag=True, help="Compile the step and say what it costs; train nothing.")
@click.option("--topology", default="v6e:16x16", show_default=True, help="Chips to compile for, with --dry-run.")
@click.option("--utilisation", default=0.4, show_default=True, help="Share of the peak for the estimate of days.")
@click.option("--fast-compile", is_flag=True, help="Compile with less effort, with --dry-run.")
@click.option("--json", "as_json", is_flag=True, help="The report of --dry-run as JSON.")
@click.option("--distributed", metavar="HOST:PORT,I/N", help="This is process I of N; HOST:PORT is process 0's.")
def command(
    config: str,
    changes: tuple[str, ...],
    output: Path | None,
    dry: bool,
    topology: str,
    utilisation: float,
    fast_compile: bool,
    as_json: bool,
    distributed: str | None,
) -> None:
    """Pretrain a 4DS model as CONFIG says: the name of a size, or a TOML file.

    The same command goes on where a run was stopped. Writes checkpoints, metrics.jsonl and config.json.
    """
    if dry:
        _dry_run(config, changes, topology, utilisation, fast_compile, as_json)
        return
    _start_again_with_huge_pages()
    from probe4d_fourds.training import train
    from probe4d_fourds.training_config import load_config
    from probe4d_runners.jax.processes import Member

    loaded = load_config(config, changes)
    if distributed is not None:
        Member.parse(distributed).join()
    folder = output or Path(f"train-{loaded.name}")
    result = train(loaded, folder)
    if result.stopped is None:
        click.echo(f"{folder}: {result.step} steps done")


def _dry_run(
    config: str, changes: tuple[str, ...], topology: str, utilisation: float, fast: bool, as_json: bool
) -> None:
    from probe4d_runners.jax.topology import Topology, prepare_environment

    if not 0 < utilisation <= 1:
        raise UsageError(f"--utilisation: expected a share in (0, 1], got {utilisation}.")
    target = Topology.parse(topology)
    prepare_environment(target)  # before jax starts
    from probe4d_fourds.dry_run import dry_run
    from probe4d_fourds.training_config import load_config

    found = dry_run(load_config(config, changes), target, utilisation=utilisation, fast=fast)
    click.echo(json.dumps(found.record(), indent=2) if as_json else "\n".join(found.lines()))


def _start_again_with_huge_pages() -> None:
    """Replace this process by the same command with the tunable set, where it is the `probe4d` program."""
    program = Path(sys.argv[0])
    ours = program.name == "probe4d" or program.parts[-2:] == ("probe4d", "__main__.py")
    if ours and sys.platform == "linux" and "GLIBC_TUNABLES" not in os.environ:
        os.environ["GLIBC_TUNABLES"] = GLIBC_TUNABLES
        os.execv(sys.executable, [sys.executable, "-m", "probe4d", *sys.argv[1:]])

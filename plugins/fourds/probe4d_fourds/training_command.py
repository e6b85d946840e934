"""`probe4d train`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

# Set before the C library starts: the large temporaries of a step in huge pages. Measured in docs/pretraining.md.
GLIBC_TUNABLES = "glibc.malloc.hugetlb=1"


@click.command("train")
@click.argument("config")
@click.option("--set", "changes", multiple=True, metavar="A.B=VALUE", help="Another value of a field (repeatable).")
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), help="Folder of the run.")
def command(config: str, changes: tuple[str, ...], output: Path | None) -> None:
    """Pretrain a 4DS model as CONFIG says: the name of a size, or a TOML file.

    The same command goes on where a run was stopped. Writes checkpoints, metrics.jsonl and config.json.
    """
    _start_again_with_huge_pages()
    from probe4d_fourds.training import train
    from probe4d_fourds.training_config import load_config

    loaded = load_config(config, changes)
    folder = output or Path(f"train-{loaded.name}")
    result = train(loaded, folder)
    if result.stopped is None:
        click.echo(f"{folder}: {result.step} steps done")


def _start_again_with_huge_pages() -> None:
    """Replace this process by the same command with the tunable set, where it is the `probe4d` program."""
    program = Path(sys.argv[0])
    ours = program.name == "probe4d" or program.parts[-2:] == ("probe4d", "__main__.py")
    if ours and sys.platform == "linux" and "GLIBC_TUNABLES" not in os.environ:
        os.environ["GLIBC_TUNABLES"] = GLIBC_TUNABLES
        os.execv(sys.executable, [sys.executable, "-m", "probe4d", *sys.argv[1:]])

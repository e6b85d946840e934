"""`python -m probe4d_datasets.pretraining SOURCE`: how fast clips come, with no model to wait for."""

from __future__ import annotations

import sys
import time

import click

from probe4d.commands.data_options import dataset_options
from probe4d.errors import Probe4dError
from probe4d_datasets.pretraining import ClipData, open_stream


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("source")
@click.option("--size", default=224, show_default=True, help="Pixels of a clip's side.")
@click.option("--frames", default=16, show_default=True, help="Frames of a clip.")
@click.option("--stride", default=2, show_default=True, help="Of the frames; not of playroom's.")
@click.option("--batch-size", default=8, show_default=True, help="Clips of a batch.")
@click.option("--batches", default=20, show_default=True, help="Batches to read, after a first one.")
@click.option("--workers", default=0, show_default=True, help="Processes that read; 0: a thread.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option of the source (repeatable).")
def main(source: str, batches: int, settings: tuple[str, ...], **fields: int) -> None:
    """Read clips of SOURCE and say how many came a second, and from one core."""
    try:
        options = dataset_options(None, settings)
        data = ClipData(source=source, options=options, max_broken=1.0, **fields)  # type: ignore[arg-type]
        with open_stream(data) as stream:
            next(stream)
            wall, cpu = time.perf_counter(), time.process_time()
            read = sum(len(batch["ids"]) for _, batch in zip(range(batches), stream, strict=False))
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            health = stream.health()
    except Probe4dError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    click.echo(
        f"{read} clips of {data.frames} x {data.size[0]} x {data.size[1]} in {wall:.2f} s: {read / wall:.1f} clips/s"
    )
    if not data.workers:
        click.echo(f"{1000 * cpu / read:.2f} ms of one core a clip: {read / cpu:.1f} clips/s per core")
    for reason, count in health["skipped"].items():
        click.echo(f"skipped, {reason}: {count}")


if __name__ == "__main__":
    main()

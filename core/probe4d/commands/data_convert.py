"""`probe4d data convert`."""

from __future__ import annotations

import json
from typing import Any

import click

from probe4d.commands.data_options import dataset_options
from probe4d.errors import UsageError
from probe4d.opening import open_dataset, revision_of
from probe4d.registry import Entry, find, load_target

EPILOG = """\b
Examples:
  probe4d data convert movi_e /fast/movi_e --root gs://kubric-public/tfds --split train --set 'targets=["points"]'
  probe4d data convert ssv2 s3://bucket/ssv2 --root /data/ssv2 --frames jpeg --workers 8
  probe4d data convert scannet /fast/scannet --root /data/scannet --split val --format zarr
  probe4d run 4d --data-root movi_e=/fast/movi_e …
"""


@click.command("convert", epilog=EPILOG)
@click.argument("dataset")
@click.argument("output")
@click.option("--root", help="Where the data lie: a folder or URL.")
@click.option("--split", help="Default: the dataset's first.")
@click.option("--format", "how", default="webdataset", show_default=True, help="webdataset or zarr.")
@click.option(
    "--frames", default="raw", show_default=True, help="raw, png (lossless) or jpeg; pictures need webdataset."
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option of the dataset (repeatable).")
@click.option("--limit", type=click.IntRange(min=1), help="The first so many samples only.")
@click.option("--samples-per-shard", default=32, show_default=True, type=click.IntRange(min=1))
@click.option("--clip-frames", default=16, show_default=True, type=click.IntRange(min=1), help="Of the shortest clip.")
@click.option("--starts", metavar="0,1,…", help="Frames that clips start at, where targets hang on them. Default: all.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(min=1), help="Processes.")
@click.option(
    "--max-broken", default=0.1, show_default=True, type=click.FloatRange(0, 1), help="Share left out at most."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def convert(
    dataset: str,
    output: str,
    root: str | None,
    split: str | None,
    settings: tuple[str, ...],
    as_json: bool,
    workers: int,
    limit: int | None,
    max_broken: float,
    **options: Any,
) -> None:
    """Write a copy of DATASET to OUTPUT, a folder or URL: frames and targets, in shards that load fast.

    The same command again goes on where it was stopped. The copy takes the original's place: give it as the root of
    the same dataset, or of `converted`. Samples that are missing or broken stay so, with their reasons.
    """
    entry = find("datasets", dataset)
    split = split or _first_split(entry)
    stated = dataset_options(root, settings)
    opened = open_dataset(entry, split, stated)
    begun = load_target("probe4d_datasets.converted.convert:Begun")(
        dataset=entry.name,
        split=split,
        options={key: value for key, value in stated.items() if key != "root"},
        version=revision_of(entry, opened),
        format=options["how"],
        frames=options["frames"],
        samples_per_shard=options["samples_per_shard"],
        rule=load_target("probe4d_datasets.converted.sample:StartRule")(
            clip=options["clip_frames"], starts=_starts(options["starts"])
        ),
    )
    done = load_target("probe4d_datasets.converted.convert:convert_dataset")(
        opened, begun, output, limit=limit, max_broken=max_broken, workers=workers, progress=_tell
    )
    facts = {
        "schema": "probe4d/data-convert/1",
        "dataset": entry.name,
        "split": split,
        "url": output,
        "samples": done.samples,
        "shards": done.shards,
        "written": done.written,
        "left_out": [{"id": name, "reason": reason} for name, reason in done.left_out],
    }
    click.echo(json.dumps(facts, indent=2) if as_json else _text(facts))


def _first_split(entry: Entry) -> str:
    if not entry.spec.splits:
        raise UsageError(f"--split: expected one, as the splits of {entry.name} are yours, got none.")
    return str(entry.spec.splits[0])


def _starts(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"--starts: expected frame numbers as 0,4,8, got {text!r}.") from error
    if not found or min(found) < 0:
        raise UsageError(f"--starts: expected frame numbers from 0, got {text!r}.")
    return found


def _tell(done: int, of: int) -> None:
    click.echo(f"{done} of {of} shards", err=True)


def _text(facts: dict[str, Any]) -> str:
    left = facts["left_out"]
    what = f"{facts['dataset']}:{facts['split']}: {facts['samples']:,} samples"
    lines = [f"{what} in {facts['shards']} shards at {facts['url']}", f"written now: {facts['written']} shards"]
    lines += [f"left out: {len(left):,}", *(f"  {one['id']}: {one['reason']}" for one in left[:10])] if left else []
    return "\n".join(lines)

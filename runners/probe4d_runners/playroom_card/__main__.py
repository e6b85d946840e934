"""`python -m probe4d_runners.playroom_card` measures docs/playroom.md's tables and draws its pictures anew."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from PIL import Image

from probe4d.errors import UsageError
from probe4d_datasets.contact_sheet import contact_sheet
from probe4d_datasets.playroom import CLASSES, Playroom
from probe4d_runners.playroom_card.baselines import Score, fit, score
from probe4d_runners.playroom_card.statistics import ceilings, describe

SHOWN = 6  # frames of each class on the picture of all classes
LARGEST = 300_000  # bytes of a picture


@click.command()
@click.option("--docs", type=click.Path(file_okay=False, path_type=Path), default="docs", help="Where playroom.md is.")
@click.option("--train", "train_clips", default=960, help="Clips that the baselines' constants come from.")
@click.option("--val", "val_clips", default=480, help="Clips that are described and scored.")
@click.option("--size", default=128, help="Height and width in pixels.")
@click.option("--seeds", default=4000, help="Scenes a pair that the ceilings are computed over.")
def main(docs: Path, train_clips: int, val_clips: int, size: int, seeds: int) -> None:
    """Render, describe, score, and write the card."""
    train, val = (
        Playroom(split=split, length=length, size=size)
        for split, length in (("train", train_clips), ("val", val_clips))
    )
    train.prepare()
    val.prepare()
    tables = {
        "statistics": _table(["of the clips", "measured"], describe(val)),
        "ceilings": _table(
            ["pair", "directions known from one frame, at most"],
            [(name, f"{value:.1%}") for name, value in ceilings(range(seeds))],
        ),
        "baselines": _baselines(score(fit(train), val)),
    }
    card = docs / "playroom.md"
    card.write_text(_filled(card.read_text(encoding="utf-8"), tables), encoding="utf-8")
    images = docs / "images"
    images.mkdir(exist_ok=True)
    _save(_classes(), images / "playroom-classes.png")
    sheet = Playroom(split="val", size=176, antialias=2, cache=False)
    _save(contact_sheet(sheet.load(sheet.sample_ids()[3]), columns=6), images / "playroom-sheet.png")
    click.echo(str(card))


def _baselines(scores: list[Score]) -> str:
    rows = [(s.baseline, s.metric, f"{s.value:.3f}", f"{s.low:.3f} to {s.high:.3f}") for s in scores]
    return _table(["baseline", "metric", "value", "95 % interval"], rows)


def _table(head: list[str], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _filled(text: str, tables: dict[str, str]) -> str:
    """Return the card with what stands between `<!-- name -->` and `<!-- end -->` replaced."""
    for name, table in tables.items():
        parts = re.split(rf"(<!-- {name} -->\n)(?:.*?)(<!-- end -->)", text, flags=re.DOTALL)
        if len(parts) != 4:
            raise UsageError(f"playroom.md: expected '<!-- {name} -->' … '<!-- end -->' once. Put it back.")
        before, opening, closing, after = parts
        text = f"{before}{opening}{table}\n{closing}{after}"
    return text


def _classes() -> Image.Image:
    """Return a picture of frames of one clip of every class, two classes a row."""
    clips = Playroom(split="val", size=96, antialias=2, length=48, cache=False)
    by_label = {clips.scene(clip).label: clip for clip in reversed(clips.sample_ids())}
    strips = []
    for label in range(len(CLASSES)):
        frames = np.linspace(0, clips.frames - 1, SHOWN).round().astype(int).tolist()
        video = clips.load(by_label[label], frames).video
        strips.append(np.pad(np.concatenate(list(video), axis=1), ((0, 4), (0, 8), (0, 0)), constant_values=255))
    rows = [np.concatenate(strips[i : i + 2], axis=1) for i in range(0, len(strips), 2)]
    return Image.fromarray(np.concatenate(rows))


def _save(image: Image.Image, file: Path) -> None:
    image.quantize(colors=256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(file, optimize=True)
    if file.stat().st_size > LARGEST:
        raise UsageError(f"{file}: expected at most {LARGEST:,} bytes, got {file.stat().st_size:,}. Show less on it.")


if __name__ == "__main__":
    main()

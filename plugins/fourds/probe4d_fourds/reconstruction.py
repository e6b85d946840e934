"""`probe4d reconstruct`: what the masked auto-encoder sees and what it makes of it, as the paper's picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from attrs import frozen

from probe4d import atomic
from probe4d.errors import DataError, UsageError

__all__ = ["Reconstruction", "command", "draw", "rebuild"]

GAP = 4  # pixels between pictures
GREY = 128  # of what is hidden


@frozen(eq=False)
class Reconstruction:
    """One clip, all `(t, h, w, 3)` uint8.

    Attributes:
        shown: the input; `visible`: what of it the model saw, the rest grey; `rebuilt`: what it made of that.
        error: mean squared error over all pixels, of colours in [0, 1].
    """

    shown: Any
    visible: Any
    rebuilt: Any
    error: float


@click.command("reconstruct")
@click.argument("model")
@click.option("--video", "videos", multiple=True, required=True, help="Video file or URL (repeatable).")
@click.option("--weights", help="Weights of the whole model; those that come with it by default.")
@click.option("--frames", default="1,9", show_default=True, help="Frames of the clip to draw, counted from 1.")
@click.option("--stride", default=2, show_default=True, help="Frames of the video from one of the clip to the next.")
@click.option("--masking", type=float, help="Share of the tokens to hide; as it was trained by default.")
@click.option("--seed", default=0, show_default=True, help="Of the masks.")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), default=Path("reconstruct.png"), help="PNG."
)
def command(
    model: str,
    videos: tuple[str, ...],
    weights: str | None,
    frames: str,
    stride: int,
    masking: float | None,
    seed: int,
    output: Path,
) -> None:
    """Draw input, visible part and reconstruction of the first clip of each video.

    MODEL is a size whose weights are there or named by --weights, as 4ds-mini, or the folder of a finished training.
    """
    config, file = _model(model, weights, masking)
    rows = []
    for i, video in enumerate(videos):
        clip = _clip(video, config, stride)
        made = rebuild(clip, file, config, seed + i)
        click.echo(f"{video}: mean squared error {made.error:.5f}")
        rows.append(made)
    picture = draw(rows, _frames(frames, config.vit.clip[0]))
    with atomic.replacing(output) as temporary:
        picture.save(temporary, format="PNG")
    click.echo(str(output))


def _model(model: str, weights: str | None, masking: float | None) -> tuple[Any, Path]:
    """Return the objective and the file of weights."""
    from probe4d.backbones import weights_file, weights_of
    from probe4d.registry import find
    from probe4d_fourds.objective import mae
    from probe4d_fourds.sizes import SIZES

    changes: dict[str, Any] = {} if masking is None else {"masking": masking}
    run = Path(model) / "config.json"
    if run.is_file():
        trained = json.loads(run.read_text(encoding="utf-8"))["model"]
        options = {name: value for name, value in trained.items() if name != "variant" and value is not None}
        if "output_patch" in options:
            options["output_patch"] = tuple(options["output_patch"])
        file = weights_file(Path(weights) if weights else Path(model) / "weights.npz")
        return mae(trained["variant"], **(options | changes)), file
    if model not in SIZES:
        raise UsageError(f"model: expected a folder of `probe4d train` or {', '.join(SIZES)}, got {model!r}.")
    found = weights_of(find("backbones", f"fourds/{model}"), weights)
    if found is None:
        raise UsageError(f"{model}: expected weights, got none. Name them by --weights.")
    return mae(model, **changes), found


def _clip(video: str, config: Any, stride: int) -> Any:
    """Return the first frames of a video as the model takes them, `(t, h, w, 3)` uint8: the middle of each."""
    from probe4d.specs import VideoInput
    from probe4d_runners.feature_clips import Clip, load_clip

    frames, height, width = config.vit.clip
    wanted = VideoInput(frames=frames, height=height, width=width)
    return load_clip(video, Clip(frames=frames, stride=stride, resize="crop"), wanted)[0]


def _frames(text: str, length: int) -> list[int]:
    try:
        frames = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"--frames: expected numbers, as 1,9, got {text!r}.") from error
    if not frames or min(frames) < 1 or max(frames) > length:
        raise UsageError(f"--frames: expected numbers from 1 to {length}, got {text!r}.")
    return [frame - 1 for frame in frames]


def rebuild(clip: Any, weights: str | Path, config: Any, seed: int) -> Reconstruction:
    """Return what the model makes of a clip `(t, h, w, 3)` uint8.

    Raises:
        DataError: the clip is not as large as the model takes it, or the weights have no decoder.
    """
    import jax
    import jax.numpy as jnp

    from probe4d_fourds import objective
    from probe4d_fourds.export import read_model

    if clip.shape != (*config.vit.clip, 3):
        raise DataError(f"clip: expected shape {(*config.vit.clip, 3)}, got {clip.shape}.")
    params = read_model(weights, config)
    shown = objective.shown(jnp.asarray(clip[None], jnp.float32) / 255, config)
    sequences = config.vit.grid[0] if config.apart else 1
    kept = objective.draw_kept(jax.random.key(seed), sequences, config)
    predicted = jax.jit(
        lambda params, video, kept: objective.reconstruct(params, video, kept, config, "einsum", dtype=jnp.float32)
    )(params, shown, kept)
    error = float(objective.squared_error(predicted, objective.target_patches(shown, config)).mean())
    pixels = np.asarray(shown[0])
    return Reconstruction(
        shown=_bytes(pixels),
        visible=np.where(_visible(np.asarray(kept), config), _bytes(pixels), GREY).astype(np.uint8),
        rebuilt=_bytes(np.asarray(objective.to_video(predicted, config))[0]),
        error=error,
    )


def _visible(kept: Any, config: Any) -> Any:
    """Return which pixels the model saw, `(t, h, w, 1)` bool."""
    t, h, w = config.vit.grid
    seen = np.zeros((kept.shape[0], config.sequence), bool)
    np.put_along_axis(seen, kept, True, axis=1)
    cells = seen.reshape(t, h, w)
    for axis, size in enumerate(config.vit.patch):
        cells = cells.repeat(size, axis=axis)
    return cells[..., None]


def _bytes(video: Any) -> Any:
    return np.round(np.clip(video, 0, 1) * 255).astype(np.uint8)


def draw(rows: Sequence[Reconstruction], frames: Sequence[int]) -> Any:
    """Return a picture: a row per clip; per frame the input, what was visible, and the reconstruction."""
    from PIL import Image

    strips = []
    for row in rows:
        cells = [picture[frame] for frame in frames for picture in (row.shown, row.visible, row.rebuilt)]
        strips.append(_joined(cells, axis=1))
    sheet = _joined(strips, axis=0)
    scale = max(1, 192 // rows[0].shown.shape[1])  # small models make small pictures
    return Image.fromarray(sheet.repeat(scale, axis=0).repeat(scale, axis=1))


def _joined(pictures: Sequence[Any], axis: int) -> Any:
    gap = list(pictures[0].shape)
    gap[axis] = GAP
    spaced: list[Any] = [pictures[0]]
    for picture in pictures[1:]:
        spaced += [np.full(gap, 255, np.uint8), picture]
    return np.concatenate(spaced, axis=axis)

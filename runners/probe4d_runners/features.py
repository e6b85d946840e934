"""`probe4d features`: the features that a backbone has of anybody's videos."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from attrs import frozen

from probe4d import __version__
from probe4d.contracts import Array, Layer
from probe4d.errors import DataError, UsageError
from probe4d.specs import VideoInput

__all__ = ["Clip", "command", "extract", "load_clip"]

SCHEMA = "probe4d/features/1"


@frozen(kw_only=True)
class Clip:
    """Which frames of a video are taken, and how they reach the backbone's size.

    Attributes:
        frames: how many.
        stride: step between them, in frames of the file.
        start: the first.
        resize: `bilinear` the whole frame to the size, `crop` its central part of the right shape, `none`.
    """

    frames: int
    stride: int = 1
    start: int = 0
    resize: str = "bilinear"

    @property
    def positions(self) -> list[int]:
        """The frames of the file."""
        return [self.start + self.stride * number for number in range(self.frames)]


@click.command("features")
@click.option("--backbone", "-b", required=True, help="Name, as `probe4d list backbones` shows it.")
@click.option("--weights", help="Checkpoint: a file or a URL.")
@click.option("--layers", "-l", default="0.95", show_default=True, help="Shares of the depth, or integers: blocks run.")
@click.option("--video", "-v", "videos", multiple=True, required=True, help="A video, or a uint8 (t, h, w, 3) .npy.")
@click.argument("more", nargs=-1, metavar="[FILE]...")
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="OUT.npz or OUT.zarr.")
@click.option("--frames", type=click.IntRange(1), help="Frames of the clip; by default what the backbone takes.")
@click.option("--stride", type=click.IntRange(1), default=1, show_default=True, help="Step between frames.")
@click.option("--start", type=click.IntRange(0), default=0, show_default=True, help="First frame.")
@click.option("--resize", type=click.Choice(["bilinear", "crop", "none"]), default="bilinear", show_default=True)
@click.option("--dtype", type=click.Choice(["float16", "float32"]), default="float32", show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Of random weights.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option of the backbone.")
@click.option("--overwrite", is_flag=True, help="Replace the output.")
def command(
    backbone: str,
    weights: str | None,
    layers: str,
    videos: Sequence[str],
    more: Sequence[str],
    output: Path,
    frames: int | None,
    stride: int,
    start: int,
    resize: str,
    dtype: str,
    seed: int,
    settings: Sequence[str],
    overwrite: bool,
) -> None:
    """Write the features that a backbone has of one clip of each video (`--video A B C`).

    Arrays are (t, k, c): time, places, channels. One video and one layer give `features`; of more,
    the names are `VIDEO/LAYER/features`. `meta` says all that made them.
    """
    from probe4d_runners.feature_files import check_output, write_features

    videos = [*videos, *more]
    check_output(output, overwrite=overwrite)
    arrays, meta = extract(
        backbone,
        videos,
        weights=weights,
        layers=parse_layers(layers),
        clip={"frames": frames, "stride": stride, "start": start, "resize": resize},
        dtype=dtype,
        seed=seed,
        options=dict(map(parse_setting, settings)),
    )
    write_features(output, arrays, meta)
    for name, array in arrays.items():
        click.echo(f"{name} {array.shape} {array.dtype}")
    for failure in meta["failed"]:
        click.echo(f"left out {failure['video']}: {failure['reason']}", err=True)
    click.echo(f"wrote {output}", err=True)
    if meta["failed"]:
        raise DataError(f"--video: {len(meta['failed'])} of {len(videos)} failed. The others are in {output}.")


def extract(
    backbone: str,
    videos: Sequence[str],
    *,
    weights: str | None = None,
    layers: Sequence[Layer] = (0.95,),
    clip: dict[str, Any] | None = None,
    dtype: str = "float32",
    seed: int = 0,
    options: dict[str, Any] | None = None,
) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return features `(t, k, c)` by name (see `feature_files`), and what made them as JSON values.

    A broken video costs itself: it is named in `meta["failed"]`.

    Args:
        clip: fields of `Clip`; `frames` is the backbone's own unless given.

    Raises:
        DataError: not one video could be used.
        UsageError: the backbone, a layer or an option is wrong.
    """
    from probe4d.backbones import load_backbone, weights_of
    from probe4d.registry import find
    from probe4d_runners.feature_files import array_name, labels

    names = labels(videos)
    entry = find("backbones", backbone)
    file = weights_of(entry, weights)
    model = load_backbone(entry.name, weights=file, seed=seed, **(options or {}))
    taken = _clip(entry.spec.input, clip or {})
    arrays: dict[str, Array] = {}
    sources, failed = [], []
    for video, label in zip(videos, names, strict=True):
        try:
            pixels, source = load_clip(video, taken, entry.spec.input)
        except DataError as error:
            failed.append({"video": video, "reason": str(error)})
            continue
        sources.append({"name": label, **source})
        features = model.encode(_unit(pixels)[None], layers)
        for layer, feature in zip(layers, features, strict=True):
            name = array_name(label, str(layer), videos=len(videos), layers=len(layers))
            arrays[name] = _as_dtype(feature[0], dtype, name)
    if not arrays:
        raise DataError(f"--video: expected at least one video that can be read. {failed[0]['reason']}")
    meta = {
        "schema": SCHEMA,
        "backbone": _backbone_facts(entry, file, seed, options or {}),
        "layers": list(layers),
        "dtype": dtype,
        "clip": {"frames": taken.frames, "stride": taken.stride, "start": taken.start, "resize": taken.resize},
        "videos": sources,
        "failed": failed,
        "made_with": _versions(),
    }
    return arrays, meta


def _clip(wanted: VideoInput, fields: dict[str, Any]) -> Clip:
    given = {name: value for name, value in fields.items() if value is not None}
    return Clip(**{"frames": wanted.frames, **given})


def parse_layers(text: str) -> tuple[Layer, ...]:
    """Return the layers of `"0.5,0.95,12"`; what has a point is a share of the depth.

    Raises:
        UsageError: something else stands between the commas, or one stands twice.
    """
    layers: list[Layer] = []
    for part in text.replace(" ", "").split(","):
        try:
            layers.append(float(part) if "." in part else int(part))
        except ValueError as error:
            raise UsageError(f"--layers: expected numbers such as 0.5,0.95, got {part!r}.") from error
    if len(set(map(str, layers))) != len(layers):
        raise UsageError(f"--layers: expected each layer once, got {text!r}.")
    return tuple(layers)


def parse_setting(text: str) -> tuple[str, Any]:
    """Return key and value of `"size=96"`; a value that is JSON is read as such, others are strings.

    Raises:
        UsageError: there is no `=`.
    """
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(f"--set: expected KEY=VALUE, got {text!r}.")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value


def load_clip(video: str, clip: Clip, wanted: VideoInput) -> tuple[Array, dict[str, Any]]:
    """Return the pixels `(t, h, w, 3)` uint8 of one clip, and where they come from.

    Raises:
        DataError: the file cannot be read, or ends before the clip does.
    """
    read = _of_array if video.endswith(".npy") else _of_video
    pixels, facts = read(video, clip.positions)
    source = {"file": video, **facts, "frames": clip.positions, "size": list(pixels.shape[1:3])}
    return _fit(pixels, clip.resize, wanted), source


def _of_video(video: str, positions: Sequence[int]) -> tuple[Array, dict[str, Any]]:
    from probe4d_datasets.video import read_frames
    from probe4d_datasets.video_index import video_index

    index = video_index(video)
    _check_length(video, positions, len(index))
    facts = {"sha256": index.digest, "num_frames": len(index), "decoder": index.decoder}
    return read_frames(video, positions, index=index), facts


def _check_length(video: str, positions: Sequence[int], length: int) -> None:
    if positions[-1] >= length:
        raise DataError(
            f"{video}: expected at least {positions[-1] + 1} frames, got {length}. Give fewer --frames, a smaller "
            "--stride or --start."
        )


def _of_array(video: str, positions: Sequence[int]) -> tuple[Array, dict[str, Any]]:
    import numpy as np

    from probe4d.atomic import sha256_of

    try:
        stored = np.load(video, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{video}: expected an .npy array, got {error}.") from error
    if stored.ndim != 4 or stored.shape[-1] != 3 or stored.dtype != np.uint8:
        raise DataError(f"{video}: expected uint8 of shape (t, h, w, 3), got {stored.dtype} of {stored.shape}.")
    _check_length(video, positions, len(stored))
    facts = {"sha256": sha256_of(Path(video)), "num_frames": len(stored), "decoder": "numpy"}
    return np.ascontiguousarray(stored[positions]), facts


def _fit(pixels: Array, resize: str, wanted: VideoInput) -> Array:
    size = (wanted.height, wanted.width)
    height, width = pixels.shape[1:3]
    if resize == "none" or (height, width) == size:
        return pixels
    from probe4d_datasets.resize import resize_pixels

    box_height, box_width = float(height), float(width)
    if resize == "crop":
        scale = min(height / wanted.height, width / wanted.width)
        box_height, box_width = wanted.height * scale, wanted.width * scale
    left, top = (width - box_width) / 2, (height - box_height) / 2
    return resize_pixels(pixels, (left, top, left + box_width, top + box_height), size)


def _unit(pixels: Array) -> Array:
    import numpy as np

    return pixels.astype(np.float32) / np.float32(255)


def _as_dtype(features: Array, dtype: str, name: str) -> Array:
    import numpy as np

    limit = float(np.finfo(dtype).max)
    largest = float(np.max(np.abs(features), initial=0.0))
    if largest > limit:
        raise UsageError(f"--dtype: {dtype} holds at most {limit:g}, {name} has {largest:g}. Take float32.")
    return np.asarray(features, dtype)


def _backbone_facts(entry: Any, weights: Path | None, seed: int, options: dict[str, Any]) -> dict[str, Any]:
    from probe4d.atomic import sha256_of

    return {
        "name": entry.name,
        "distribution": entry.distribution,
        "version": entry.version,
        "options": {**entry.spec.options, **options},
        "seed": seed,
        "weights": None if weights is None else str(weights),
        "weights_sha256": None if weights is None or not weights.is_file() else sha256_of(weights),
    }


def _versions() -> dict[str, str]:
    from importlib import metadata

    found = {"probe4d": __version__, "python": platform.python_version(), "machine": platform.machine()}
    for name in ("numpy", "jax", "torch"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found

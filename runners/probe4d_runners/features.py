"""`probe4d features`: the features that a backbone has of anybody's videos."""

from __future__ import annotations

import logging
import platform
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from attrs import asdict, frozen

from probe4d import __version__
from probe4d.commands.set_options import toml_value
from probe4d.contracts import Array, Layer
from probe4d.errors import DataError, UsageError
from probe4d_runners.feature_clips import RESIZE

__all__ = ["command", "extract", "parse_layers", "parse_setting"]

SCHEMA = "probe4d/features/1"


@frozen(kw_only=True)
class FeatureOptions:
    """What the command is told; each field is the option of that name."""

    backbone: str
    weights: str | None
    layers: str | None
    videos: Sequence[str]
    more: Sequence[str]
    output: Path
    frames: int | None
    stride: int
    start: int
    resize: str
    dtype: str
    seed: int
    settings: Sequence[str]
    overwrite: bool
    verbose: bool


@click.command("features")
@click.option("--backbone", "-b", required=True, help="Name, as `probe4d list backbones` shows it.")
@click.option("--weights", help="Checkpoint: a file, a folder of the hub's kind, or a URL of either.")
@click.option(
    "--layers",
    "-l",
    help="Shares of the depth, integers (blocks run), block_0 (its bare output), or all; else the backbone's own.",
)
@click.option(
    "--video",
    "videos",
    multiple=True,
    required=True,
    help="A video, or a (t, h, w, 3) .npy: uint8, or floats in [0, 1].",
)
@click.argument("more", nargs=-1, metavar="[FILE]...")
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="OUT.npz or OUT.zarr.")
@click.option("--frames", type=click.IntRange(1), help="Frames of the clip; by default what the backbone takes.")
@click.option("--stride", type=click.IntRange(1), default=1, show_default=True, help="Step between frames.")
@click.option("--start", type=click.IntRange(0), default=0, show_default=True, help="First frame.")
@click.option(
    "--resize",
    type=click.Choice(RESIZE),
    default="whole",
    show_default=True,
    help="The whole frame or its middle by the backbone's own rule, or the whole one by another rule.",
)
@click.option("--dtype", type=click.Choice(["float16", "float32"]), default="float32", show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Of random weights.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option of the backbone.")
@click.option("--overwrite", is_flag=True, help="Replace the output.")
@click.option("--verbose", "-v", is_flag=True, help="Say what is done, and which keys of the checkpoint are ignored.")
def command(**options: Any) -> None:
    """Write the features that a backbone has of one clip of each video (`--video A B C`).

    Arrays are (t, k, c): time, places, channels. One video and one layer give `features`; of more,
    the names are `VIDEO/LAYER/features`. What a block puts out, before any final norm, is `block_0`,
    `block_1`, …; `--layers all` writes the features and every block. `meta` says all that made them.
    """
    from probe4d_runners.feature_files import check_output, write_features

    said = FeatureOptions(**options)
    if said.verbose or _verbose_before():
        _say_all()
    videos = [*said.videos, *said.more]
    check_output(said.output, overwrite=said.overwrite)
    arrays, meta = extract(
        said.backbone,
        videos,
        weights=said.weights,
        layers=None if said.layers is None else parse_layers(said.layers),
        clip={"frames": said.frames, "stride": said.stride, "start": said.start, "resize": said.resize},
        dtype=said.dtype,
        seed=said.seed,
        options=dict(map(parse_setting, said.settings)),
    )
    write_features(said.output, arrays, meta)
    for name, array in arrays.items():
        click.echo(f"{name} {array.shape} {array.dtype}")
    for failure in meta["failed"]:
        click.echo(f"left out {failure['video']}: {failure['reason']}", err=True)
    click.echo(f"wrote {said.output}", err=True)
    if meta["failed"]:
        raise DataError(f"--video: {len(meta['failed'])} of {len(videos)} failed. The others are in {said.output}.")


def extract(
    backbone: str,
    videos: Sequence[str],
    *,
    weights: str | None = None,
    layers: Sequence[Layer | str] | None = None,
    clip: dict[str, Any] | None = None,
    dtype: str = "float32",
    seed: int = 0,
    options: dict[str, Any] | None = None,
) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return features `(t, k, c)` by name (see `feature_files`), and what made them as JSON values.

    A broken video costs itself: it is named in `meta["failed"]`.

    Args:
        layers: as `parse_layers` returns them; by default where the backbone's spec says.
        clip: fields of `Clip`; `frames` is the backbone's own unless given.

    Raises:
        DataError: not one video could be used.
        UsageError: the backbone, a layer or an option is wrong.
    """
    from probe4d.backbones import configured, load_backbone, weights_of
    from probe4d.registry import find
    from probe4d_runners.feature_clips import clip_of, input_of, load_clip
    from probe4d_runners.feature_files import array_name, labels

    names = labels(videos)
    entry, options = configured(find("backbones", backbone), options or {})
    file = weights_of(entry, weights)
    model = load_backbone(entry.name, weights=file, seed=seed, **options)
    layers = _layers(entry.spec, model, layers)
    wanted = input_of(entry.spec.input, model)
    arrays: dict[str, Array] = {}
    sources, failed = [], []
    for video, label in zip(videos, names, strict=True):
        try:
            taken = clip_of(video, wanted, model, clip or {})
            pixels, source = load_clip(video, taken, wanted)
        except DataError as error:
            failed.append({"video": video, "reason": str(error)})
            continue
        sources.append({"name": label, **source})
        features = model.encode(_unit(pixels)[None], layers)
        called = [array_name(label, layer, videos=len(videos), layers=layers) for layer in layers]
        arrays |= {name: _as_dtype(one[0], dtype, name) for name, one in zip(called, features, strict=True)}
    if not arrays:
        raise DataError(f"--video: expected at least one video that can be read. {failed[0]['reason']}")
    meta = {
        "schema": SCHEMA,
        "backbone": _backbone_facts(entry, file, seed, options),
        "layers": list(layers),
        "dtype": dtype,
        "clip": {**asdict(taken), "rule": taken.rule(wanted)},
        "videos": sources,
        "failed": failed,
        "made_with": _versions(),
    }
    return arrays, meta


def _layers(spec: Any, model: Any, layers: Sequence[Layer | str] | None) -> tuple[Layer | str, ...]:
    """Return the layers to read: those given, or the backbone's own; `all` is these and every block."""
    own = tuple(spec.layers) or (0.95,)
    if layers is None:
        return own
    if tuple(layers) != ("all",):
        return tuple(layers)
    names = getattr(model, "block_names", None)
    return (*own, *(names if names is not None else range(1, spec.depth + 1)))


def _say_all() -> None:
    """Let everything that probe4d logs reach the error stream."""
    log = logging.getLogger("probe4d")
    log.setLevel(logging.INFO)
    if not log.handlers:
        log.addHandler(logging.StreamHandler())


def _verbose_before() -> bool:
    """Return whether `probe4d -v features` was called."""
    context = click.get_current_context(silent=True)
    parent = context.parent if context is not None else None
    return bool(parent is not None and parent.params.get("verbose"))


def parse_layers(text: str) -> tuple[Layer | str, ...]:
    """Return the layers of `"0.5,0.95,12,block_3"`; what has a point is a share of the depth. `all` stands alone.

    Raises:
        UsageError: something else stands between the commas, or one stands twice.
    """
    if text.strip() == "all":
        return ("all",)
    layers: list[Layer | str] = []
    for part in text.replace(" ", "").split(","):
        if re.fullmatch(r"block_\d+", part):
            layers.append(part)
            continue
        try:
            layers.append(float(part) if "." in part else int(part))
        except ValueError as error:
            raise UsageError(f"--layers: expected numbers such as 0.5,0.95, got {part!r}.") from error
    if len(set(map(str, layers))) != len(layers):
        raise UsageError(f"--layers: expected each layer once, got {text!r}.")
    return tuple(layers)


def parse_setting(text: str) -> tuple[str, Any]:
    """Return key and value of `"size=96"`; a value that is TOML is read as such, others are strings.

    Raises:
        UsageError: there is no `=`.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--set: expected KEY=VALUE, got {text!r}.")
    return key.strip(), toml_value(value.strip())


def _unit(pixels: Array) -> Array:
    import numpy as np

    return pixels.astype(np.float32) / np.float32(255 if pixels.dtype == np.uint8 else 1)


def _as_dtype(features: Array, dtype: str, name: str) -> Array:
    import numpy as np

    limit = float(np.finfo(dtype).max)
    largest = float(np.max(np.abs(features), initial=0.0))
    if largest > limit:
        raise UsageError(f"--dtype: {dtype} holds at most {limit:g}, {name} has {largest:g}. Take float32.")
    return np.asarray(features, dtype)


def _backbone_facts(entry: Any, weights: Path | None, seed: int, options: dict[str, Any]) -> dict[str, Any]:
    from probe4d.weights_cache import weights_digest

    return {
        "name": entry.name,
        "distribution": entry.distribution,
        "version": entry.version,
        "options": {**entry.spec.options, **options},
        "seed": seed,
        "weights": None if weights is None else str(weights),
        "weights_sha256": None if weights is None else weights_digest(weights),
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

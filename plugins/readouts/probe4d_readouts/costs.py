"""What a readout computes, in floating-point operations: for the estimates of a plan, before anything runs.

Two per multiplication and addition of the products of matrices; softmax, norms and activations are not counted.
Importing this module imports no array library.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from probe4d.specs import ClipSampling, TokenGrid
from probe4d_readouts.configs import (
    BoxesConfig,
    DepthConfig,
    LabelsConfig,
    PointsConfig,
    PoseConfig,
    TrunkConfig,
    configure,
)

__all__ = ["boxes", "depth", "labels", "points", "pose"]

Options = Mapping[str, Any]


def labels(options: Options, tokens: TokenGrid, _clip: ClipSampling, _queries: int) -> float:
    """Return the operations of a forward pass on one clip; so do the others.

    Args:
        options: of the readout.
        tokens: that the backbone answers.
        clip: how clips are cut.
        queries: how many points or boxes of a clip are asked for.
    """
    config = configure(LabelsConfig, "readout 'labels'", options)
    return _trunk(config, tokens, frames=config.frames, queries=1, outputs=config.classes)


def pose(options: Options, tokens: TokenGrid, _clip: ClipSampling, _queries: int) -> float:
    """Return the operations of one learned query on the first and the last frame."""
    return _trunk(configure(PoseConfig, "readout 'pose'", options), tokens, frames=2, queries=1, outputs=12)


def boxes(options: Options, tokens: TokenGrid, _clip: ClipSampling, queries: int) -> float:
    """Return the operations of one query per box."""
    config = configure(BoxesConfig, "readout 'boxes'", options)
    given = _given(config, coordinates=4, queries=queries, asked=queries)
    return given + _trunk(config, tokens, frames=config.frames, queries=queries, outputs=4 * config.frames)


def points(options: Options, tokens: TokenGrid, _clip: ClipSampling, queries: int) -> float:
    """Return the operations of one query per point and `frames_per_query` frames."""
    config = configure(PointsConfig, "readout 'points'", options)
    asked = queries * config.tiles
    given = _given(config, coordinates=3 if config.query_time else 2, queries=queries, asked=asked)
    outputs = 4 * config.frames_per_query
    return given + _trunk(config, tokens, frames=config.frames, queries=asked, outputs=outputs)


def depth(options: Options, tokens: TokenGrid, clip: ClipSampling, _queries: int) -> float:
    """Return the operations of one query per patch of the clip."""
    config = configure(DepthConfig, "readout 'depth'", options)
    sizes = (clip.frames, *clip.size)
    asked = prod(max(1, size // patch) for size, patch in zip(sizes, config.patch, strict=True))
    given = 0.0 if config.queries == "learned" else _given(config, coordinates=3, queries=asked, asked=asked)
    return given + _trunk(config, tokens, frames=config.frames, queries=asked, outputs=prod(config.patch))


def _trunk(config: TrunkConfig, tokens: TokenGrid, *, frames: int, queries: int, outputs: int) -> float:
    """Return the operations of the trunk on features that are resampled to so many frames."""
    width, channels = config.width, tokens.channels
    later = tokens.time < frames  # what is made of the features is resampled, not they
    given = (tokens.time if later else frames) * tokens.space
    resample = 2 * frames * tokens.time * tokens.space if tokens.time != frames else 0  # of one channel
    each = 2 * width * width * (1 + 2 * config.mlp_ratio) + 2 * width * outputs
    absorbed = queries * config.heads < width if config.attention == "auto" else config.attention == "absorbed"
    if absorbed:
        rows = queries * config.heads
        made = 2 * rows
        attention = 4 * queries * width * channels + 4 * given * rows * channels + 4 * frames * rows * channels
    else:
        made = 2 * queries * config.heads  # scores, and weights
        attention = 4 * given * channels * width + 4 * queries * (given * width + frames * width)
    resampled = resample * (channels + (made if later else 0))
    return float(attention + resampled + queries * each)


def _given(config: BoxesConfig | DepthConfig | PointsConfig, *, coordinates: int, queries: int, asked: int) -> float:
    """Return the operations of the MLP of given queries, and of the projection of all that are asked."""
    hidden = config.query_mlp
    return float(2 * queries * hidden * (2 * coordinates * config.bands + hidden) + 2 * asked * hidden * config.width)

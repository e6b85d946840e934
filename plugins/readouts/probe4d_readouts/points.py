"""`points`: tracks of query points, one query per two frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from probe4d_readouts.batches import check_fields, masked_sum, real_samples
from probe4d_readouts.configs import PointsConfig
from probe4d_readouts.fourier import embed_coordinates, embedder_table
from probe4d_readouts.losses import huber, sigmoid_cross_entropy
from probe4d_readouts.params import embedding
from probe4d_readouts.readout import CrossAttentionReadout
from probe4d_readouts.trunk import Dims

__all__ = ["PointsReadout"]


class PointsReadout(CrossAttentionReadout):
    """Point tracks. Options: `PointsConfig`. Source: paper A.2.3.

    Batch: `query_points (b, n, 3)` = t, y, x and `tracks (b, n, t, 2)` = x, y in pixels of a frame that is
    `frame_size (b, 2)` = h, w (corner origin); `visible (b, n, t)`; `mask (b, n)`, the tracks that are
    real; optional `sample_mask (b,)`. Where `visible` or `mask` is off, tracks may hold anything.
    Outputs: `position (b, n, t, 2)` = x, y in [0, 1] (by `predicts = "way"` not bounded), logits `visible` and
    `certainty (b, n, t)`.
    """

    kind = "points"
    config_class = PointsConfig
    terms = ("position", "visible", "certainty")

    def dims(self, features: Any, batch: Mapping[str, Any]) -> Dims:
        """Return given queries, four outputs per frame."""
        _, _, space, channels = features.shape
        config = self.config
        return Dims(
            frames=config.frames,
            space=space,
            channels=channels,
            query_width=config.query_mlp,
            outputs=4 * config.frames_per_query,
        )

    def asked(self, batch: Mapping[str, Any]) -> int:
        """Return one query per point and `frames_per_query` frames."""
        return int(batch["query_points"].shape[1] * self.config.tiles)

    def table(self, dims: Dims) -> dict[str, Any]:
        """Return the trunk's parameters, the query's MLP and its learned tiles."""
        config = self.config
        coordinates = 3 if config.query_time else 2
        return {
            **super().table(dims),
            "query_mlp": embedder_table(coordinates, config.bands, config.query_mlp),
            "tiles": embedding({"_tiles": config.tiles, "query_embed": config.query_mlp}, config.embedding_std),
        }

    def mean_output(self, batch: Mapping[str, Any]) -> Any:
        """Return no way or the frame's middle, and the logit of how many points are visible; nothing is certain."""
        real, visible = self._masks(batch)
        share = jnp.clip(visible.sum() / jnp.maximum(real.sum(), 1), 0.01, 0.99)
        zero = jnp.zeros((), jnp.float32)
        frame = jnp.stack([zero, zero, jnp.log(share / (1 - share)), zero])
        return jnp.tile(frame, self.config.frames_per_query)

    def coefficients(self) -> dict[str, float]:
        """Return the paper's weights of the three terms."""
        config = self.config
        return {
            "position": config.position_weight,
            "visible": config.visible_weight,
            "certainty": config.certainty_weight,
        }

    def apply(self, params: Any, features: Any, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return positions and logits; of the batch, `query_points`, `frame_size` and `mask` are read."""
        config = self.config
        fields = {"query_points": "b n 3", "frame_size": "b 2", "mask": "b n"}
        sizes = check_fields("readout 'points'", batch, fields, b=features.shape[0])
        b, n = sizes["b"], sizes["n"]
        dtype = jnp.dtype(config.dtype)
        query = embed_coordinates(params["query_mlp"], self._coordinates(batch), config.bands, dtype)
        tiled = query[:, :, None] + params["tiles"]["embedding"].astype(dtype)  # (b, n, tiles, e)
        out = self.answer(params, features, tiled.reshape(b, n * config.tiles, -1))
        out = out.reshape(b, n, config.frames, 4)
        return {"position": self._position(out[..., :2], batch), "visible": out[..., 2], "certainty": out[..., 3]}

    def sums(self, outputs: Any, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return Huber over visible points, BCE of visibility over real ones, BCE of certainty over visible."""
        config = self.config
        real, visible = self._masks(batch)
        target = jnp.where(visible[..., None], batch["tracks"], 0.0) / _frame_size(batch)[:, None, None, ::-1]
        error = outputs["position"] - target
        distance = jnp.linalg.norm(jax.lax.stop_gradient(error) * config.raster, axis=-1)
        certain = (distance <= config.certainty_radius).astype(jnp.float32)
        return {
            "position": masked_sum(self._huber(error), visible),
            "visible": masked_sum(sigmoid_cross_entropy(outputs["visible"], visible.astype(jnp.float32)), real),
            "certainty": masked_sum(sigmoid_cross_entropy(outputs["certainty"], certain), visible),
        }

    def weights(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return how many points are visible, and how many are real."""
        real, visible = self._masks(batch)
        seen = visible.sum(dtype=jnp.float32)
        return {"position": seen, "visible": real.sum(dtype=jnp.float32), "certainty": seen}

    def decode(self, outputs: Any, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return `tracks (b, n, t, 2)` = x, y on the 256 raster and `visible (b, n, t)` bool.

        Rows whose `mask` is off are padding, to be dropped.
        """
        config = self.config
        sure = jax.nn.sigmoid(outputs["visible"]) * jax.nn.sigmoid(outputs["certainty"])
        return {"tracks": outputs["position"] * config.raster, "visible": sure > config.visible_threshold}

    def example_batch(self, seed: int, size: int) -> dict[str, Any]:
        """Return random walks for `size` clips of 256x256 pixels, for the conformance kit and examples.

        With the `query_mode` that the metric of these targets wants.
        """
        random, count = np.random.default_rng(seed), 3
        steps = random.normal(0, 2, (size, count, self.config.frames, 2))
        tracks = np.clip(128 + 32 * random.normal(size=(size, count, 1, 2)) + np.cumsum(steps, axis=2), 0, 256)
        visible = random.random(tracks.shape[:-1]) < 0.8
        visible[:, :, 0] = True
        return {
            "query_points": np.pad(tracks[:, :, 0, ::-1], ((0, 0), (0, 0), (1, 0))).astype(np.float32),
            "frame_size": np.full((size, 2), 256, np.int32),
            "tracks": tracks.astype(np.float32),
            "visible": visible,
            "mask": np.ones((size, count), bool),
            "query_mode": np.full(size, "first"),
        }

    def _huber(self, error: Any) -> Any:
        """Return `(b, n, t)` losses of `(b, n, t, 2)` errors."""
        if self.config.huber_norm == "vector":
            return huber(error, self.config.huber_delta)
        return huber(error[..., None], self.config.huber_delta).sum(-1)

    def _position(self, out: Any, batch: Mapping[str, Any]) -> Any:
        """Return x, y in [0, 1] of `(b, n, t, 2)` outputs."""
        if self.config.predicts == "place":
            return jax.nn.sigmoid(out)
        _, yx = self._query(batch)
        return yx[:, :, None, ::-1] + out

    def _query(self, batch: Mapping[str, Any]) -> tuple[Any, Any]:
        """Return the queries' frames `(b, n, 1)` and places `(b, n, 2)` = y, x in [0, 1]; 0 for padding."""
        points = jnp.where(batch["mask"][..., None], batch["query_points"], 0.0)
        return points[..., :1], points[..., 1:] / _frame_size(batch)[:, None]

    def _coordinates(self, batch: Mapping[str, Any]) -> Any:
        """Return the query `(b, n, 2 or 3)` in [0, 1]; 0 for padding."""
        time, yx = self._query(batch)
        space = yx[..., ::-1] if self.config.query_order == "xy" else yx
        if not self.config.query_time:
            return space
        return jnp.concatenate([time / self.config.frames, space], axis=-1)

    def _masks(self, batch: Mapping[str, Any]) -> tuple[Any, Any]:
        """Return `(b, n, t)` real points, and those of them that are visible."""
        fields = {"tracks": "b n t 2", "visible": "b n t", "mask": "b n", "frame_size": "b 2"}
        sizes = check_fields("readout 'points'", batch, fields, t=self.config.frames)
        rows = jnp.asarray(batch["mask"], bool) & real_samples(batch, sizes["b"])[:, None]
        real = jnp.broadcast_to(rows[..., None], batch["visible"].shape)
        return real, real & jnp.asarray(batch["visible"], bool)


def _frame_size(batch: Mapping[str, Any]) -> Any:
    """Return `(b, 2)` float32 h, w; at least 1, so that a padded sample divides by no zero."""
    return jnp.maximum(jnp.asarray(batch["frame_size"], jnp.float32), 1.0)

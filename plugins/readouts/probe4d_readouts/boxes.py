"""`boxes`: a box of the first frame to one box per frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from probe4d_readouts.batches import check_fields, masked_sum, real_samples
from probe4d_readouts.configs import BoxesConfig
from probe4d_readouts.fourier import embed_coordinates, embedder_table
from probe4d_readouts.readout import CrossAttentionReadout
from probe4d_readouts.trunk import Dims

__all__ = ["BoxesReadout"]


class BoxesReadout(CrossAttentionReadout):
    """Box tracks. Options: `BoxesConfig`. Source: paper A.2.4.

    Batch: `boxes (b, n, t, 4)` = ymin, xmin, ymax, xmax in [0, 1], whose first frame is the query;
    `present (b, n, t)`; `mask (b, n)`, the tracks that are real; optional `sample_mask (b,)`. Where
    `present` or `mask` is off, boxes may hold anything. Outputs: `(b, n, t, 4)`.
    """

    kind = "boxes"
    config_class = BoxesConfig
    terms = ("box",)

    def dims(self, features: Any, batch: Mapping[str, Any]) -> Dims:
        """Return given queries, four outputs per frame."""
        _, _, space, channels = features.shape
        config = self.config
        return Dims(
            frames=config.frames,
            space=space,
            channels=channels,
            query_width=config.query_mlp,
            outputs=4 * config.frames,
        )

    def asked(self, batch: Mapping[str, Any]) -> int:
        """Return one query per box."""
        return int(batch["boxes"].shape[1])

    def table(self, dims: Dims) -> dict[str, Any]:
        """Return the trunk's parameters and the query's MLP."""
        return {**super().table(dims), "query_mlp": embedder_table(4, self.config.bands, self.config.query_mlp)}

    def apply(self, params: Any, features: Any, batch: Mapping[str, Any]) -> Any:
        """Return boxes `(b, n, t, 4)`; of the batch, only the first frame of the targets is read."""
        config = self.config
        first = self._masks(batch)[..., :1]
        query = self._reorder(jnp.where(first, batch["boxes"][:, :, 0], 0.0))
        embedded = embed_coordinates(params["query_mlp"], query, config.bands, jnp.dtype(config.dtype))
        out = self.answer(params, features, embedded)
        out = out.reshape(*out.shape[:2], config.frames, 4)
        return self._reorder(out if config.predicts == "place" else query[:, :, None] + out)

    def sums(self, outputs: Any, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return the mean error over the four coordinates, summed over the boxes present."""
        present = self._masks(batch)
        target = jnp.where(present[..., None], batch["boxes"], 0.0)
        error = outputs - target
        size = jnp.square(error) if self.config.loss == "l2" else jnp.abs(error)
        return {"box": masked_sum(size.mean(-1), present)}

    def mean_output(self, batch: Mapping[str, Any]) -> Any:
        """Return the mean box of each frame, or no way."""
        if self.config.predicts == "way":
            return jnp.zeros(4 * self.config.frames)
        present = self._masks(batch)[..., None]
        boxes = jnp.where(present, batch["boxes"], 0.0).sum((0, 1)) / jnp.maximum(present.sum((0, 1)), 1)  # (t, 4)
        return self._reorder(boxes).reshape(-1)

    def weights(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return the number of boxes present."""
        return {"box": self._masks(batch).sum(dtype=jnp.float32)}

    def decode(self, outputs: Any, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return `boxes (b, n, t, 4)` and `present (b, n, t)`: every frame of a real track, none of padding."""
        present = jnp.broadcast_to(jnp.asarray(batch["mask"], bool)[..., None], outputs.shape[:-1])
        return {"boxes": outputs, "present": present}

    def example_batch(self, seed: int, size: int) -> dict[str, Any]:
        """Return boxes that wander in `size` clips, for the conformance kit and examples."""
        random, count = np.random.default_rng(seed), 3
        steps = 0.01 * np.cumsum(random.normal(size=(size, count, self.config.frames, 2)), axis=2)
        centre = random.uniform(0.35, 0.65, (size, count, 1, 2)) + steps
        half = random.uniform(0.05, 0.2, (size, count, 1, 2))
        boxes = np.concatenate([centre - half, centre + half], axis=-1).astype(np.float32)
        present = random.random(boxes.shape[:-1]) < 0.9
        present[:, :, 0] = True
        return {"boxes": boxes, "present": present, "mask": np.ones((size, count), bool)}

    def _reorder(self, boxes: Any) -> Any:
        """Return boxes from yxyx to the order of queries and outputs, or back."""
        return boxes if self.config.order == "yxyx" else boxes[..., np.array([1, 0, 3, 2])]

    def _masks(self, batch: Mapping[str, Any]) -> Any:
        """Return `(b, n, t)`: where there is a box to be found."""
        fields = {"boxes": "b n t 4", "present": "b n t", "mask": "b n"}
        sizes = check_fields("readout 'boxes'", batch, fields, t=self.config.frames)
        rows = jnp.asarray(batch["mask"], bool) & real_samples(batch, sizes["b"])[:, None]
        return jnp.asarray(batch["present"], bool) & rows[..., None]

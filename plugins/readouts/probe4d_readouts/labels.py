"""`labels`: one learned query to class logits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from probe4d.errors import UsageError
from probe4d_readouts.batches import check_fields, masked_sum, real_samples
from probe4d_readouts.configs import LabelsConfig
from probe4d_readouts.losses import cross_entropy
from probe4d_readouts.readout import CrossAttentionReadout
from probe4d_readouts.trunk import Dims

__all__ = ["LabelsReadout"]


class LabelsReadout(CrossAttentionReadout):
    """Action classes. Options: `LabelsConfig`. Source: paper A.2.1.

    Batch: `label (b,)` int; optional `sample_mask (b,)`. Outputs: logits `(b, classes)`.
    """

    kind = "labels"
    config_class = LabelsConfig
    terms = ("cross_entropy",)

    def dims(self, features: Any, batch: Mapping[str, Any]) -> Dims:
        """Return one learned query, one output per class."""
        _, _, space, channels = features.shape
        config = self.config
        return Dims(frames=config.frames, space=space, channels=channels, queries=1, outputs=config.classes)

    def any_dims(self) -> Dims:
        """Return dims with a learned query."""
        return Dims(frames=1, space=1, channels=1, queries=1)

    def apply(self, params: Any, features: Any, batch: Mapping[str, Any]) -> Any:
        """Return logits `(b, classes)`; `batch` may be empty."""
        return self.answer(params, features, None)[:, 0]

    def sums(self, outputs: Any, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return the softmax cross-entropy over the real samples. A label of another sample is not read."""
        real = self._real(outputs, batch)
        label = jnp.where(real, batch["label"], 0)
        return {"cross_entropy": masked_sum(cross_entropy(outputs, label), real)}

    def check_targets(self, batch: Mapping[str, Any]) -> None:
        """Refuse labels that there is no output for; compiled code would train on NaN instead.

        Raises:
            UsageError: a label is not one of `classes`.
        """
        highest = int(np.max(batch["label"], initial=0))
        if highest >= self.config.classes:
            raise UsageError(
                f"readout 'labels': expected labels below its {self.config.classes} classes, got {highest}. "
                "Set the readout's option `classes`."
            )

    def mean_output(self, batch: Mapping[str, Any]) -> Any:
        """Return the log of each class's share, one added to every count."""
        real = real_samples(batch, batch["label"].shape[0])
        counts = jnp.zeros(self.config.classes).at[jnp.where(real, batch["label"], 0)].add(real.astype(jnp.float32))
        return jnp.log((counts + 1) / (counts.sum() + self.config.classes))

    def weights(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return the number of real samples."""
        real = real_samples(batch, batch["label"].shape[0])
        return {"cross_entropy": real.sum(dtype=jnp.float32)}

    def decode(self, outputs: Any, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return `logits (b, classes)`."""
        return {"logits": outputs}

    def example_batch(self, seed: int, size: int) -> dict[str, Any]:
        """Return random labels for `size` clips, for the conformance kit and examples."""
        return {"label": np.random.default_rng(seed).integers(0, self.config.classes, size).astype(np.int32)}

    def _real(self, outputs: Any, batch: Mapping[str, Any]) -> Any:
        check_fields("readout 'labels'", {**batch, "outputs": outputs}, {"outputs": "b c", "label": "b"})
        return real_samples(batch, outputs.shape[0])

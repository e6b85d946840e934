"""`pose`: one learned query on the first and the last frame to the camera's motion between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from probe4d_readouts.batches import check_fields, masked_sum, real_samples
from probe4d_readouts.configs import PoseConfig
from probe4d_readouts.readout import CrossAttentionReadout
from probe4d_readouts.rotations import nearest_rotation
from probe4d_readouts.trunk import Dims

__all__ = ["PoseReadout"]

FIRST_AND_LAST = (0, -1)


class PoseReadout(CrossAttentionReadout):
    """Relative camera pose. Options: `PoseConfig`. Source: paper A.2.2.

    Batch: `pose (b, 3, 4)` = [R|t], first camera to last, metres; optional `sample_mask (b,)`.
    Outputs: `(b, 3, 4)`, row-major, raw: the left 3x3 need not be a rotation.
    """

    kind = "pose"
    config_class = PoseConfig
    terms = ("l2",)

    def dims(self, features: Any, batch: Mapping[str, Any]) -> Dims:
        """Return one learned query over two frames, twelve outputs."""
        _, _, space, channels = features.shape
        return Dims(frames=len(FIRST_AND_LAST), space=space, channels=channels, queries=1, outputs=12)

    def any_dims(self) -> Dims:
        """Return dims with a learned query."""
        return Dims(frames=1, space=1, channels=1, queries=1)

    def apply(self, params: Any, features: Any, batch: Mapping[str, Any]) -> Any:
        """Return raw matrices `(b, 3, 4)`; `batch` may be empty."""
        return self.answer(params, features, None, keep=FIRST_AND_LAST).reshape(-1, 3, 4)

    def sums(self, outputs: Any, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return the mean squared error over the twelve numbers, summed over the real samples."""
        check_fields("readout 'pose'", {**batch, "outputs": outputs}, {"outputs": "b 3 4", "pose": "b 3 4"})
        real = real_samples(batch, outputs.shape[0])
        target = jnp.where(real[:, None, None], batch["pose"], 0.0)
        pose = _with_rotation(outputs) if self.config.project_in_loss else outputs
        return {"l2": masked_sum(jnp.square(pose - target).mean((-2, -1)), real)}

    def mean_output(self, batch: Mapping[str, Any]) -> Any:
        """Return the mean matrix."""
        real = real_samples(batch, batch["pose"].shape[0])[:, None, None]
        return (jnp.where(real, batch["pose"], 0.0).sum(0) / jnp.maximum(real.sum(), 1)).reshape(-1)

    def weights(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return the number of real samples."""
        real = real_samples(batch, batch["pose"].shape[0])
        return {"l2": real.sum(dtype=jnp.float32)}

    def decode(self, outputs: Any, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return `pose (b, 3, 4)`: raw, or with the nearest rotation by `project_decoded`."""
        return {"pose": _with_rotation(outputs) if self.config.project_decoded else outputs}

    def example_batch(self, seed: int, size: int) -> dict[str, Any]:
        """Return small turns and moves for `size` clips, for the conformance kit and examples."""
        random = np.random.default_rng(seed)
        near = np.eye(3) + 0.1 * random.normal(size=(size, 3, 3))
        u, _, vt = np.linalg.svd(near)
        return {"pose": np.concatenate([u @ vt, random.normal(size=(size, 3, 1))], axis=-1).astype(np.float32)}


def _with_rotation(pose: Any) -> Any:
    return jnp.concatenate([nearest_rotation(pose[..., :3]), pose[..., 3:]], axis=-1)

"""The same model as a Flax module, over the same table: its parameters are `model.apply`'s own tree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flax import linen as nn

from probe4d_vit import model
from probe4d_vit.config import VitConfig, blocks_to_run
from probe4d_vit.init import init_params


class Vit(nn.Module):
    """A video ViT.

    `variables["params"]` is the tree of `table.param_table(config)`, so that weights move between
    this module, `VitBackbone` and the checkpoint readers as they are.
    """

    config: VitConfig
    dtype: Any = None
    attention: str | None = None

    @nn.compact  # type: ignore[untyped-decorator]
    def __call__(self, video: Any, layers: Sequence[float] = (1.0,)) -> tuple[Any, ...]:
        """Return one `(b, t, k, c)` per layer of a normalised video `(b, t, h, w, 3)`."""
        names = self.variables["params"] if self.has_variable("params", "embed") else None
        if names is None:
            tree = init_params(self.make_rng("params"), self.config)
            params = {name: self.param(name, lambda _key, value=value: value) for name, value in tree.items()}
        else:
            params = dict(names)
        depth, rule = self.config.total_depth, self.config.layer_rule
        counts = [blocks_to_run(layer, depth, rule) for layer in layers]
        return model.apply(params, video, counts, self.config, dtype=self.dtype, kind=self.attention)

"""What the five readouts share: parameters by table, the trunk, and losses as sums over weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import jax.numpy as jnp

from probe4d.contracts import Params
from probe4d.errors import UsageError
from probe4d_readouts.batches import check_fields
from probe4d_readouts.configs import TrunkConfig, configure
from probe4d_readouts.params import axes_of, init_params, kernels_of
from probe4d_readouts.resample import to_resample
from probe4d_readouts.trunk import Dims, absorbs, run_trunk, trunk_table

__all__ = ["CrossAttentionReadout"]


class CrossAttentionReadout(ABC):
    """A readout of `probe4d.contracts.Readout`; pure functions of their arguments, `vmap`-able over params.

    A loss is `sum_i coefficient_i * sum_i / weight_i`. The weights depend on the batch alone, so a batch
    worked on in parts has the same loss and gradient as the whole (`probe4d_readouts.microbatch`).
    """

    kind: ClassVar[str]
    config_class: ClassVar[type[TrunkConfig]]
    config: Any  # of config_class

    def __init__(self, **options: Any) -> None:
        """Take the fields of `config_class`.

        Raises:
            UsageError: an option that does not exist or has a wrong value.
        """
        self.config = configure(self.config_class, f"readout {self.kind!r}", options)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.config})"

    # What a readout says of itself.

    @abstractmethod
    def dims(self, features: Any, batch: Mapping[str, Any]) -> Dims:
        """Return what the shapes of the parameters depend on."""

    @abstractmethod
    def apply(self, params: Params, features: Any, batch: Mapping[str, Any]) -> Any:
        """Return raw outputs for features `(b, t, k, c)`."""

    @abstractmethod
    def sums(self, outputs: Any, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return each term's sum over what is real in the batch."""

    @abstractmethod
    def weights(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return how much each term's sum is over: a count of samples, points, pixels or boxes."""

    @abstractmethod
    def mean_output(self, batch: Mapping[str, Any]) -> Any:
        """Return the outputs of one query that fit the batch's targets on average, `(outputs,)`."""

    def coefficients(self) -> dict[str, float]:
        """Return the weight of each term in the loss; 1 where it is the only one."""
        return dict.fromkeys(self.terms, 1.0)

    terms: ClassVar[tuple[str, ...]]

    # What follows from it.

    def table(self, dims: Dims) -> dict[str, Any]:
        """Return the parameters: shape, logical axes and start of each."""
        return trunk_table(self.config, dims)

    def init(self, key: Any, features: Any, batch: Mapping[str, Any]) -> Params:
        """Return float32 parameters for features `(b, t, k, c)` of this shape."""
        self.check_features(features)
        params: dict[str, Any] = init_params(self.table(self.dims(features, batch)), key)
        if self.config.output_start == "targets":
            mean = jnp.asarray(self.mean_output(batch), jnp.float32)
            params["out"] = {"kernel": jnp.zeros_like(params["out"]["kernel"]), "bias": mean}
        return params

    def param_axes(self) -> Any:
        """Return a tree like `params`, each leaf a tuple of logical axis names (or None)."""
        return axes_of(self.table(self.any_dims()))

    def kernels(self) -> Any:
        """Return a tree like `params` of booleans: the kernels, which alone are decayed (DECIDE)."""
        return kernels_of(self.table(self.any_dims()))

    def asked(self, batch: Mapping[str, Any]) -> int:
        """Return how many queries a clip is asked, learned or given."""
        return 1

    def apart(self, batch: Mapping[str, Any]) -> bool:
        """Return whether members of a sweep have next to nothing to share: each makes keys and values of its own."""
        return not absorbs(self.config, self.asked(batch))

    def any_dims(self) -> Dims:
        """Return dims of the right structure, whatever the sizes."""
        return Dims(frames=1, space=1, channels=1, query_width=1)

    def loss(self, outputs: Any, batch: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Return the scalar to minimise, and its unweighted terms by name."""
        return self.combine(self.sums(outputs, batch), self.weights(batch))

    def combine(self, sums: Mapping[str, Any], weights: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Return the loss and its terms. A term that nothing in the batch supports is 0, without gradient."""
        terms = {name: sums[name] / jnp.maximum(weights[name], 1.0) for name in self.terms}
        coefficients = self.coefficients()
        total = sum(coefficients[name] * terms[name] for name in self.terms)
        return total, terms

    # What they are made of.

    def check_features(self, features: Any) -> None:
        """Raise UsageError unless features are `(b, t, k, c)`."""
        check_fields(f"readout {self.kind!r}", {"features": features}, {"features": "b t k c"})

    def answer(self, params: Params, features: Any, queries: Any | None, keep: tuple[int, ...] | None = None) -> Any:
        """Return the trunk's `(b, q, outputs)` for features `(b, t, k, c)` of any frame rate.

        Raises:
            UsageError: the parameters were made for features of another shape.
        """
        self.check_features(features)
        features, times = to_resample(features, self.config.frames, keep)
        frames, space, channels = params["temporal"]["embedding"].shape
        wanted = (frames, features.shape[2] if space == 1 else space, channels)
        got = (features.shape[1] if times is None else len(times), *features.shape[2:])
        if got != wanted:
            raise UsageError(
                f"readout {self.kind!r}: expected features (b, t, k, c) that are {wanted} after resampling time, "
                f"got {got}. Make the parameters with features of this shape."
            )
        return run_trunk(self.config, params, features, queries, times)

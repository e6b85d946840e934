"""What the target of each spec has to offer, as typing protocols.

`probe4d.testing` checks them; nothing has to inherit from them. Importing this module imports
no array library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

from attrs import field, frozen

from probe4d.kind_contracts import Field, Kind, KindExtras, MetaKey, Role, TrainingTargets

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "Array",
    "Arrays",
    "Dataset",
    "DatasetExtras",
    "Field",
    "FrozenBackbone",
    "Kind",
    "KindExtras",
    "Layer",
    "LeftOut",
    "MetaKey",
    "Metric",
    "MetricState",
    "MissingPart",
    "Outcome",
    "Params",
    "Readout",
    "Role",
    "Runner",
    "Sample",
    "TrainableBackbone",
    "TrainingTargets",
    "Unit",
]

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
Arrays: TypeAlias = Mapping[str, Array]
Params: TypeAlias = Any  # a pytree of arrays
Layer: TypeAlias = float | int  # depth as a fraction in (0, 1], or the number of blocks run


@frozen(kw_only=True, eq=False)
class Sample:
    """One item of a dataset.

    Attributes:
        id: unique within the split.
        video: `(t, h, w, 3)` uint8.
        targets: by kind, then by field. Coordinates are in pixels of `video`, corner origin
            (the first pixel's centre is 0.5); lengths are metres.
            `points`: tracks (n, t, 2) x y, visible (n, t), query_points (n, 3) t y x.
            `boxes`: boxes (n, t, 4) = (ymin, xmin, ymax, xmax) in [0, 1], present (n, t).
            `depth`: depth (t, h, w) metric z, valid (t, h, w).
            `pose`: extrinsics (t, 3, 4) world to camera, intrinsics (t, 3, 3) pixels; OpenCV axes.
            `labels`: label () int.
        provenance: where it comes from, as plain JSON values.
    """

    id: str
    video: Array
    targets: Mapping[str, Arrays] = field(factory=dict)
    provenance: Mapping[str, Any] = field(factory=dict)


@runtime_checkable
class Dataset(Protocol):
    """One split, opened by `target(root=…, split=…, **options)`. Picklable, no open handles."""

    def sample_ids(self) -> Sequence[str]:
        """Return the ids, in a fixed order."""
        ...

    def num_frames(self, sample_id: str) -> int:
        """Return the length of a sample's video."""
        ...

    def load(self, sample_id: str, frames: Sequence[int] | None = None) -> Sample:
        """Return the sample, or only the frames named (in that order, repeats allowed).

        Which points are asked for, and which boxes count, may hang on the first of the frames.

        Raises:
            DataError: the item is missing or broken; it costs itself and is counted.
        """
        ...


class MissingPart(NamedTuple):
    """A file that a sample needs and that is not there.

    Attributes:
        id: of the sample; empty where all of them need it.
        expected: the path that was looked for, relative to the root.
        reason: what for, or what was found instead.
    """

    id: str
    expected: str
    reason: str = "not there"


class DatasetExtras(Protocol):
    """What a dataset may offer besides `Dataset`: each is optional by itself."""

    @property
    def revision(self) -> str:
        """Which state of the files this is; it belongs to the address of cached features."""
        ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """What a record says of the data, as plain JSON values; `metric: False`: its lengths have no unit."""
        ...

    def coverage(self) -> Mapping[str, Any]:
        """Return what of the published data is there: `total`, `available`, and `missing` by reason.

        `missing` is `{reason: {"count": n, "ids": […]}}`; `summary` says it in words.
        """
        ...

    def missing(self) -> Sequence[MissingPart]:
        """Return which files of the split are not there, by looking for names alone; nothing is decoded.

        `probe4d data check` shows them. Their samples stay among `sample_ids()`, and `load` refuses them.
        """
        ...

    @property
    def first_frame_decides(self) -> Sequence[str]:
        """Kinds whose targets hang on the first of the frames that are loaded, as points asked for on it."""
        ...

    def prepare(self) -> None:
        """Make all samples, for a dataset that makes rather than reads them."""
        ...


@runtime_checkable
class FrozenBackbone(Protocol):
    """Video to features; made by `target(weights=None, seed=0, **options)`."""

    def encode(self, video: Array, layers: Sequence[Layer]) -> tuple[Array, ...]:
        """Return one `(b, t, k, c)` float array per layer.

        Args:
            video: `(b, t, h, w, 3)` float32 in [0, 1], at the size of `BackboneSpec.input`.
        """
        ...


@runtime_checkable
class TrainableBackbone(Protocol):
    """The same as pure functions, for finetuning. Arrays are jax arrays."""

    def init(self, key: Any) -> Params:
        """Return the parameters: the loaded weights, or random ones where there are none."""
        ...

    def apply(self, params: Params, video: Any, layers: Sequence[Layer]) -> tuple[Any, ...]:
        """Return one `(b, t, k, c)` array per layer; differentiable in `params`."""
        ...

    def param_axes(self) -> Any:
        """Return a tree like `params`, each leaf a tuple of logical axis names (or None)."""
        ...


@runtime_checkable
class Readout(Protocol):
    """Features (and queries) to predictions; made by `target(**options)`. Arrays are jax arrays.

    `batch` holds the targets of the kind, stacked and padded to fixed shapes, queries included.
    """

    def init(self, key: Any, features: Any, batch: Mapping[str, Any]) -> Params:
        """Return parameters for features `(b, t, k, c)` of this shape."""
        ...

    def apply(self, params: Params, features: Any, batch: Mapping[str, Any]) -> Any:
        """Return raw outputs."""
        ...

    def loss(self, outputs: Any, batch: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
        """Return the scalar to minimise, and its terms by name."""
        ...

    def decode(self, outputs: Any, batch: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the prediction fields of the kind, `(b, …)` each, as its metrics take them."""
        ...

    def param_axes(self) -> Any:
        """Return a tree like `params`, each leaf a tuple of logical axis names (or None)."""
        ...


class LeftOut(NamedTuple):
    """A sample that has no value, and why."""

    id: str
    reason: str


@runtime_checkable
class MetricState(Protocol):
    """Exact sums per sample. Immutable: `update` and `merge` return a new state."""

    @property
    def left_out(self) -> Sequence[tuple[str, str]]:
        """The samples without a value, with the reason."""
        ...

    def update(self, sample_id: str, predictions: Arrays, targets: Arrays) -> MetricState:
        """Return the state with one more sample; an id that is already in it is an error."""
        ...

    def merge(self, other: MetricState) -> MetricState:
        """Return the union: associative, commutative, exact."""
        ...

    def compute(self) -> Mapping[str, float]:
        """Return every value of the spec; NaN for one that nothing defines."""
        ...

    def per_sample(self) -> Mapping[str, Mapping[str, float]]:
        """Return the values that each sample has by itself, by id."""
        ...

    def resample(self, counts: Array) -> Mapping[str, Array]:
        """Return each value under `counts (r, n)`, how often a resample draws each sample: `(r,)`.

        The samples stand in the order of `per_sample()`.
        """
        ...


@runtime_checkable
class Metric(Protocol):
    """A score of one kind; made by `target(**options)`."""

    def empty(self) -> MetricState:
        """Return the state of no samples: the neutral element of `merge`."""
        ...


@frozen(kw_only=True)
class Unit:
    """One idempotent step of a plan.

    Attributes:
        id: content address; the same id is the same work.
        target: `"package.module:function"`, called as `function(**arguments)`; returns JSON.
        needs: ids of units that must be done before.
        resources: what it asks of a machine (`{"cpus": 1, "memory": bytes}`).
    """

    id: str
    target: str
    arguments: Mapping[str, Any] = field(factory=dict)
    needs: tuple[str, ...] = ()
    resources: Mapping[str, float] = field(factory=dict)


@frozen(kw_only=True)
class Outcome:
    """What became of a unit: `ok` with a value, `failed` with an error, or `skipped` for a need.

    Attributes:
        worker: where it was carried out, if that is another machine's process.
        log: the end of what it wrote there, for runners whose workers do not write to the caller's terminal.
    """

    unit: str
    status: Literal["ok", "failed", "skipped"]
    value: Any = None
    error: str | None = None
    seconds: float = 0.0
    attempts: int = 1
    worker: str = ""
    log: str = ""


@runtime_checkable
class Runner(Protocol):
    """Carries out units; made by `target(**options)`."""

    def run(self, units: Sequence[Unit], *, on_start: Callable[[str], None] | None = None) -> Iterator[Outcome]:
        """Yield one outcome per unit, as they end; never raises for a unit's failure."""
        ...

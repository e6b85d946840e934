"""What a plugin says of the things it provides: frozen, light, and checked when made.

A spec holds names, facts and a lazy target `"package.module:attribute"`; making one imports
nothing of the package it describes. `probe4d.contracts` says what the target has to offer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from attrs import field, frozen

from probe4d.spec_fields import (
    as_tuple,
    fail,
    flag,
    one_of,
    optional_text,
    options,
    positive,
    strings,
    text,
    tuple_of,
    typed,
    valid_name,
    valid_target,
    whole,
)

__all__ = [
    "AggregateSpec",
    "BackboneSpec",
    "ClipSampling",
    "CommandSpec",
    "DataRef",
    "DatasetSpec",
    "KindSpec",
    "MetricSpec",
    "MetricValue",
    "ProtocolSpec",
    "ReadoutSpec",
    "ReportPanelSpec",
    "RunnerSpec",
    "Spec",
    "SuiteSpec",
    "TaskSpec",
    "TokenGrid",
    "VideoInput",
    "Weights",
]


# Converters that let a plugin write a nested record as a plain mapping. Named functions, since
# type checkers follow no others.
def _as_input(value: Any) -> Any:
    return VideoInput(**value) if isinstance(value, Mapping) else value


def _as_tokens(value: Any) -> Any:
    return TokenGrid(**value) if isinstance(value, Mapping) else value


def _as_weights(value: Any) -> Any:
    return Weights(**value) if isinstance(value, Mapping) else value


def _as_data(value: Any) -> Any:
    return DataRef(**value) if isinstance(value, Mapping) else value


def _as_clip(value: Any) -> Any:
    return ClipSampling(**value) if isinstance(value, Mapping) else value


@frozen(kw_only=True)
class Spec:
    """The facts that every kind of spec has.

    Attributes:
        name: the short name, unique within the plugin.
        target: `"package.module:attribute"`, imported only when it is used.
        summary: one line for `probe4d list`.
        requires: requirements (`"torch>=2.4"`) that the target needs beyond the plugin itself.
        extra: what to install for them, as `"probe4d[torch]"`.
        licence: SPDX name, or words, of what the user gets by it.
        tags: free words to filter by.
        options: keyword arguments for the target, so that several specs may share one.
    """

    name: str = field(validator=valid_name)
    target: str = field(validator=valid_target)
    summary: str = field(default="", validator=text)
    requires: tuple[str, ...] = strings()
    extra: str | None = field(default=None, validator=optional_text)
    licence: str | None = field(default=None, validator=optional_text)
    tags: tuple[str, ...] = strings()
    options: Mapping[str, Any] = options()


@frozen(kw_only=True)
class VideoInput:
    """What a backbone is fed: `(b, frames, height, width, 3)`, float32 in [0, 1].

    Attributes:
        mean, std: per channel, subtracted and divided by the backbone itself.
        resize: rule by which a clip of another size gets there, before it is fed (pixels are resized, never position
            tables); see `probe4d_datasets.resize`.
    """

    frames: int = field(validator=positive)
    height: int = field(validator=positive)
    width: int = field(validator=positive)
    mean: tuple[float, ...] = field(default=(0.0, 0.0, 0.0), converter=as_tuple)
    std: tuple[float, ...] = field(default=(1.0, 1.0, 1.0), converter=as_tuple)
    resize: str = field(default="bilinear", validator=one_of("bilinear", "bicubic", "area"))


@frozen(kw_only=True)
class TokenGrid:
    """The features of one clip: `(time, space, channels)`, the `(t, k, c)` of `(b, t, k, c)`."""

    time: int = field(validator=positive)
    space: int = field(validator=positive)
    channels: int = field(validator=positive)


@frozen(kw_only=True)
class Weights:
    """Where a checkpoint is. `public=False` says that nobody outside can have it.

    Attributes:
        url: any fsspec URL, or a file of the plugin's own package (`"package:path"`).
        sha256: hex digest, where one is published.
        nearest: the nearest public model, for one that is not.
    """

    url: str | None = field(default=None, validator=optional_text)
    format: str | None = field(default=None, validator=optional_text)
    sha256: str | None = field(default=None, validator=optional_text)
    bytes: int | None = field(default=None, validator=attrs.validators.optional(positive))
    public: bool = field(default=True, validator=flag)
    nearest: str | None = field(default=None, validator=optional_text)


@frozen(kw_only=True)
class BackboneSpec(Spec):
    """A video backbone; see `probe4d.contracts.FrozenBackbone` and `TrainableBackbone`.

    Attributes:
        params: number of parameters, exact; 0 for a backbone that learns nothing.
        depth: number of blocks that `layers` may name.
        layers: where its features are read unless a suite says; empty leaves it to the protocol.
        frozen, trainable: which of the two contracts the target's product offers.
        configure: `"package.module:function"` of a backbone whose facts are what its options say: called with spec and
            options, it returns both with the facts filled in. Imports no array library; a plan calls it.
    """

    input: VideoInput = field(converter=_as_input, validator=typed("a VideoInput", VideoInput))
    tokens: TokenGrid = field(converter=_as_tokens, validator=typed("a TokenGrid", TokenGrid))
    params: int = field(validator=typed("an integer", int))
    depth: int = field(default=1, validator=positive)
    layers: tuple[float | int, ...] = field(default=(), converter=as_tuple, validator=tuple_of("numbers", int, float))
    modality: str = field(default="video", validator=one_of("image", "video"))
    frozen: bool = field(default=True, validator=flag)
    trainable: bool = field(default=False, validator=flag)
    configure: str | None = field(default=None, validator=attrs.validators.optional(valid_target))
    weights: Weights | None = field(
        default=None,
        converter=_as_weights,
        validator=attrs.validators.optional(typed("Weights", Weights)),
    )


@frozen(kw_only=True)
class DatasetSpec(Spec):
    """Samples with targets; see `probe4d.contracts.Dataset`.

    Attributes:
        kinds: the prediction kinds that its targets serve (`"points"`, …).
        splits: the names of its splits; empty where the user's own rule makes them.
        needs_root: whether the user has to say where the data lie.
        access: how one gets the data, in words.
        published: how many samples each split has where all of it is there, by which a plan counts before it is.
    """

    kinds: tuple[str, ...] = strings()
    splits: tuple[str, ...] = strings()
    needs_root: bool = field(default=True, validator=flag)
    access: str = field(default="", validator=text)
    published: Mapping[str, Any] = options()


@frozen(kw_only=True)
class DataRef:
    """One split of one dataset, with the options that it is opened with."""

    dataset: str = field(validator=text)
    split: str = field(validator=text)
    options: Mapping[str, Any] = options()


@frozen(kw_only=True)
class ClipSampling:
    """How a clip is cut out of a sample, in time and space.

    Attributes:
        frames, stride: `frames` indices, `stride` apart.
        start: `random`, `first`, `center`, or `even` (evenly spaced clips of one sample).
        clips: how many clips of one sample, for `even` and `random`.
        total: at most so many clips of the whole split, spread over its samples; 0 for all.
        short: of a sample with too few frames: `clamp` repeats the last one, `loop` begins again, `refuse`
            leaves the sample out.
        size: `(height, width)` of the clip in pixels.
        fit: `center` cuts the middle out of the frame resized by its short side; `stretch` resizes both sides.
        short_side: pixels that the frame's short side has when a crop is cut out of it; 0 for as few as the crop
            needs (`random-crop`: 239 for a crop of 224).
        augment: names of augmentations of the training clips, in order.
    """

    frames: int = field(default=16, validator=positive)
    stride: int = field(default=1, validator=positive)
    start: str = field(default="random", validator=one_of("random", "first", "center", "even"))
    size: tuple[int, ...] = field(default=(224, 224), converter=as_tuple, validator=tuple_of("integers", int))
    clips: int = field(default=1, validator=positive)
    total: int = field(default=0, validator=whole)
    short: str = field(default="clamp", validator=one_of("clamp", "loop", "refuse"))
    fit: str = field(default="center", validator=one_of("center", "stretch"))
    short_side: int = field(default=0, validator=whole)
    augment: tuple[str, ...] = strings()

    @property
    def drawn(self) -> bool:
        """Whether a clip depends on a seed: views of one that does not are all the same."""
        return self.start == "random" or bool(self.augment)


@frozen(kw_only=True)
class TaskSpec(Spec):
    """Data to train and to evaluate on, how clips are cut, a readout, and metrics.

    Attributes:
        target: nothing is imported for a task, so it may be left out.
        kind: the prediction kind; readout and metrics must be of it.
        metrics: metric names, evaluated together.
        primary: `"metric.value"`, the number that stands for the task.
    """

    target: str = field(default="", validator=text)
    kind: str = field(validator=text)
    train: DataRef = field(converter=_as_data, validator=typed("a DataRef", DataRef))
    evaluate: DataRef = field(converter=_as_data, validator=typed("a DataRef", DataRef))
    readout: str = field(validator=text)
    readout_options: Mapping[str, Any] = options()
    metrics: tuple[str, ...] = field(converter=as_tuple, validator=tuple_of("strings", str))
    primary: str = field(validator=text)
    train_clip: ClipSampling = field(
        factory=ClipSampling, converter=_as_clip, validator=typed("a ClipSampling", ClipSampling)
    )
    evaluate_clip: ClipSampling = field(
        factory=ClipSampling, converter=_as_clip, validator=typed("a ClipSampling", ClipSampling)
    )

    @primary.validator
    def _check_primary(self, attribute: attrs.Attribute[Any], value: str) -> None:
        if value.partition(".")[0] not in self.metrics or not value.partition(".")[2]:
            fail(self, attribute, f"'<metric>.<value>' with a metric of {self.metrics}", value)


@frozen(kw_only=True)
class ReadoutSpec(Spec):
    """Features (and queries) to predictions; see `probe4d.contracts.Readout`.

    Attributes:
        sizes: options by which a protocol may size it, as `("width", "heads")`.
        flops: `"package.module:function"` of what a plan's estimate of time is made from. It is called with the
            readout's options, the backbone's `TokenGrid`, the `ClipSampling` and the number of queries of a clip, and
            returns the floating-point operations of a forward pass on one clip. A light module: it is imported to
            plan. Without it, the readout's time is not estimated.
    """

    kind: str = field(validator=text)
    sizes: tuple[str, ...] = strings()
    flops: str = field(default="", validator=text)


@frozen(kw_only=True)
class MetricValue:
    """One number that a metric answers.

    Attributes:
        unit: `""` for a ratio, else `m`, `deg`, `px`, …
        best, worst: the ends of its range; `None` where it has none.
    """

    name: str = field(validator=text)
    higher_is_better: bool = field(default=True, validator=flag)
    unit: str = field(default="", validator=text)
    best: float | None = None
    worst: float | None = None
    summary: str = field(default="", validator=text)


def _values(value: Any) -> tuple[MetricValue, ...]:
    return tuple(MetricValue(**item) if isinstance(item, Mapping) else item for item in value)


@frozen(kw_only=True)
class MetricSpec(Spec):
    """A mergeable score of one kind; see `probe4d.contracts.Metric`. The first value is primary."""

    kind: str = field(validator=text)
    values: tuple[MetricValue, ...] = field(converter=_values, validator=tuple_of("MetricValue", MetricValue))

    @values.validator
    def _check_values(self, attribute: attrs.Attribute[Any], value: tuple[MetricValue, ...]) -> None:
        names = [item.name for item in value]
        if not names or len(set(names)) != len(names):
            fail(self, attribute, "at least one value, each name once", names)


@frozen(kw_only=True)
class KindSpec(Spec):
    """A prediction schema; see `probe4d.contracts.Kind`.

    Attributes:
        schema: `"<plugin>/<kind>/<version>"`.
        training: target of what stacks its targets for readouts, see `probe4d.contracts.TrainingTargets`;
            None for a kind that is only scored.
    """

    schema: str = field(validator=text)
    training: str | None = field(default=None, validator=attrs.validators.optional(valid_target))


@frozen(kw_only=True)
class ProtocolSpec(Spec):
    """How a backbone is evaluated; `settings` are the target's fields, strict.

    Attributes:
        mode: `frozen` features, or the whole model `finetune`d.
        views: augmented views cached per training clip; 0 for a protocol that caches none.
    """

    mode: str = field(validator=one_of("frozen", "finetune"))
    views: int = field(default=1, validator=typed("an integer", int))
    settings: Mapping[str, Any] = options()


@frozen(kw_only=True)
class AggregateSpec(Spec):
    """A function of the whole results table: `f(table, **options) -> {backbone: number}`."""

    higher_is_better: bool = field(default=True, validator=flag)


@frozen(kw_only=True)
class RunnerSpec(Spec):
    """Something that carries out units; see `probe4d.contracts.Runner`."""


@frozen(kw_only=True)
class SuiteSpec:
    """A suite file inside a package, `resource="package:path/to/suite.toml"`: data, no code."""

    name: str = field(validator=valid_name)
    resource: str = field(validator=text)
    summary: str = field(default="", validator=text)
    tags: tuple[str, ...] = strings()

    @resource.validator
    def _check_resource(self, attribute: attrs.Attribute[Any], value: str) -> None:
        package, _, path = value.partition(":")
        if not package or not path.endswith(".toml"):
            fail(self, attribute, "'package:path/to/suite.toml'", value)


@frozen(kw_only=True)
class ReportPanelSpec(Spec):
    """A section of the report: the target maps a run to HTML. Panels stand by `order`, then name."""

    title: str = field(validator=text)
    order: int = field(default=100, validator=typed("an integer", int))


@frozen(kw_only=True)
class CommandSpec(Spec):
    """A command of `probe4d`: the target is a `click.Command`, imported when it is called."""

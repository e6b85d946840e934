"""What a readout can be told, strict, with the paper's numbers and where each comes from.

Every point that the paper leaves open is a named field here ("DECIDE" in its Source line), so that a
record can hold it. Importing this module imports no array library.

Sources: "paper" is Scaling 4D Representations (arXiv 2412.15212); "released" is the readout code its
authors publish with the 4DS depth checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import attrs
from attrs import field, frozen
from attrs.validators import and_, ge, gt, in_, instance_of

from probe4d.errors import UsageError, did_you_mean

__all__ = ["BoxesConfig", "DepthConfig", "LabelsConfig", "PointsConfig", "PoseConfig", "TrunkConfig", "configure"]

Config = TypeVar("Config", bound="TrunkConfig")


def _count(default: Any = attrs.NOTHING) -> Any:
    return field(default=default, validator=and_(instance_of(int), ge(1)))


def _real(default: float, *, positive: bool = True) -> Any:
    return field(default=default, converter=float, validator=gt(0) if positive else ge(0))


def _choice(default: str, *others: str) -> Any:
    return field(default=default, validator=in_((default, *others)))


def _flag(default: bool) -> Any:
    return field(default=default, validator=instance_of(bool))


def _sizes(default: tuple[int, ...]) -> Any:
    each = attrs.validators.deep_iterable(and_(instance_of(int), ge(1)))
    return field(
        default=default, converter=tuple, validator=[each, attrs.validators.min_len(3), attrs.validators.max_len(3)]
    )


@frozen(kw_only=True)
class TrunkConfig:
    """The cross-attention trunk that all five share.

    Attributes:
        width, heads: channels of queries, keys and values, and how many heads share them.
        frames: time steps that the features are resampled to. Source: paper 3.2.
        temporal_embedding: `time` is `(frames, 1, c)`, as released; `time_space` is `(frames, k, c)`,
            as the paper's text says. Source: DECIDE the released code.
        mlp_ratio: hidden width of the residual MLP over `width`. Source: paper A.2.
        norm_eps: of both LayerNorms. Source: released.
        dtype: of the trunk's activations and matmuls; parameters, softmax, Fourier features and losses
            stay float32.
        attention: how the same attention is computed. `projected` makes keys and values; `absorbed`
            moves both projections to the query's side, which costs `queries * heads / width` of that;
            `auto` takes the cheaper.
        embedding_std: of learned queries and the temporal embedding at the start. Source: released (0.02); a larger
            one tells places and times apart from the first step on, which a short training needs.
        output_start: what the output layer answers at the start: `random`, as released, about 0 with a spread of
            1, or `targets`, exactly the mean over the targets of the first batch.
        query_tile: queries that are worked on at a time, so that memory stays bounded.
    """

    width: int = _count()
    heads: int = _count()
    frames: int = _count(16)
    temporal_embedding: str = _choice("time", "time_space")
    mlp_ratio: int = _count(4)
    norm_eps: float = _real(1e-6)
    dtype: str = _choice("float32", "bfloat16")
    attention: str = _choice("auto", "projected", "absorbed")
    embedding_std: float = _real(0.02)
    output_start: str = _choice("random", "targets")
    query_tile: int = _count(784)

    def __attrs_post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"'heads' must divide width {self.width}: {self.heads}")


@frozen(kw_only=True)
class LabelsConfig(TrunkConfig):
    """Action classes from one learned query. Source: paper A.2.1 (Something-Something v2).

    Attributes:
        classes: 174 of Something-Something v2.
    """

    width: int = _count(768)
    heads: int = _count(12)
    classes: int = _count(174)


@frozen(kw_only=True)
class PoseConfig(TrunkConfig):
    """The camera's motion from the first to the last frame. Source: paper A.2.2 (RealEstate10K).

    Attributes:
        width: missing in the paper; DECIDE 768, as for the other readout with one learned query.
        project_in_loss: train on the rotation after a differentiable Procrustes projection.
            Source: paper: the loss is on the raw matrix, so off.
        project_decoded: answer the projected rotation instead of the raw matrix. Off: what scores a
            pose projects it, and reports how far it was from a rotation.
    """

    width: int = _count(768)
    heads: int = _count(8)
    project_in_loss: bool = _flag(False)
    project_decoded: bool = _flag(False)


@frozen(kw_only=True)
class PointsConfig(TrunkConfig):
    """Tracks of query points. Source: paper A.2.3 (Perception Test); losses as in TAPIR where silent.

    Attributes:
        frames_per_query: frames that one query answers; the query is tiled `frames / frames_per_query`
            times, each tile with a learned embedding. Source: paper A.2.3.
        bands: Fourier frequencies. Source: paper A.2.3.
        query_mlp: hidden and output width of the query's MLP. Source: paper A.2.3.
        query_order: order of the two coordinates in the query. Source: DECIDE as the outputs, x then y.
        query_time: add the query's frame as a third coordinate. Source: paper: queries are always on
            frame 0, so off; a task with queries on other frames needs it.
        position_weight, visible_weight, certainty_weight: of the three terms. Source: paper A.2.3.
        huber_delta: where the Huber loss turns linear, in coordinates of [0, 1]. Source: DECIDE 4/256;
            1.0 is the default of the authors' library.
        huber_norm: of which the Huber loss is taken: the error's length (`vector`), or each coordinate's
            size, summed (`coordinate`). Source: DECIDE vector.
        certainty_radius: a prediction within it counts as certain, in pixels of `raster`.
            Source: DECIDE 6 of 256.
        visible_threshold: a point is visible where sigma(visible) * sigma(certainty) is above it.
            Source: released.
        raster: side in pixels of the square that tracks are decoded to. Source: TAP-Vid.
        predicts: the outputs are a `place` in the frame, squashed into it, or the `way` there from the query, which
            may leave it. Source: paper: place. A short training that predicts ways starts at points that stand still,
            and need not learn first to repeat the query.
    """

    width: int = _count(1024)
    heads: int = _count(8)
    frames_per_query: int = _count(2)
    bands: int = _count(16)
    query_mlp: int = _count(512)
    query_order: str = _choice("xy", "yx")
    query_time: bool = _flag(False)
    position_weight: float = _real(100.0, positive=False)
    visible_weight: float = _real(0.1, positive=False)
    certainty_weight: float = _real(0.1, positive=False)
    huber_delta: float = _real(4 / 256)
    huber_norm: str = _choice("vector", "coordinate")
    certainty_radius: float = _real(6.0)
    visible_threshold: float = _real(0.5)
    raster: int = _count(256)
    predicts: str = _choice("place", "way")

    @frames_per_query.validator
    def _check_tiles(self, attribute: attrs.Attribute[Any], value: int) -> None:
        if self.frames % value:
            raise ValueError(f"'frames_per_query' must divide frames {self.frames}: {value}")

    @property
    def tiles(self) -> int:
        """Return how many queries one track has."""
        return self.frames // self.frames_per_query


@frozen(kw_only=True)
class DepthConfig(TrunkConfig):
    """Metres per pixel. Source: paper A.2.5 (ScanNet).

    Attributes:
        patch: frames, rows and columns that one query answers. Source: paper A.2.5.
        queries: `learned`, one embedding per patch, or `fourier`, the patch's centre.
            Source: DECIDE learned (paper A.2.5 and released); the paper's 3.2 says Fourier.
        bands, query_mlp: of Fourier queries. Source: as for points.
        valid_range: metres; depths at or outside its ends are not trained on. Source: paper A.2.5.
    """

    width: int = _count(1024)
    heads: int = _count(16)
    patch: tuple[int, int, int] = _sizes((2, 8, 8))
    queries: str = _choice("learned", "fourier")
    bands: int = _count(16)
    query_mlp: int = _count(512)
    valid_range: tuple[float, float] = field(default=(0.001, 10.0), converter=tuple)

    @valid_range.validator
    def _check_range(self, attribute: attrs.Attribute[Any], value: tuple[float, ...]) -> None:
        if len(value) != 2 or not 0 <= value[0] < value[1]:
            raise ValueError(f"'valid_range' must be (smallest, largest) metres: {value}")


@frozen(kw_only=True)
class BoxesConfig(TrunkConfig):
    """Tracks of boxes that are given in the first frame. Source: paper A.2.4 (Waymo Open).

    Coordinates are in [0, 1], outputs without activation.

    Attributes:
        bands, query_mlp: of the query box. Source: as for points.
        order: of the four coordinates in the query and the outputs; batches and decoded boxes are `yxyx`
            whatever it is. Source: DECIDE (ymin, xmin, ymax, xmax).
        loss: `l2` or `l1`, the mean over the coordinates. Source: DECIDE l2.
        predicts: the outputs are the coordinates (`place`), or how far they are from the query's (`way`).
            Source: paper: place; see `PointsConfig.predicts`.
    """

    width: int = _count(1024)
    heads: int = _count(4)
    bands: int = _count(16)
    query_mlp: int = _count(512)
    order: str = _choice("yxyx", "xyxy")
    loss: str = _choice("l2", "l1")
    predicts: str = _choice("place", "way")


def configure(cls: type[Config], where: str, options: Mapping[str, Any]) -> Config:
    """Return `cls(**options)`.

    Raises:
        UsageError: an option that does not exist (with the nearest name) or has a wrong value.
    """
    known = [attribute.name for attribute in attrs.fields(cls)]
    for name in options:
        if name not in known:
            raise UsageError(
                f"{where}: expected options among {', '.join(known)}, got {name!r}.{did_you_mean(name, known)}"
            )
    try:
        return cls(**options)
    except (TypeError, ValueError) as error:
        reason = error.args[0] if error.args else error
        raise UsageError(f"{where}: expected valid options, got {dict(options)!r}. {reason}.") from error

"""What a prediction kind has to offer: its schema, and how its targets are trained on.

Part of `probe4d.contracts`, from where everybody imports it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

from attrs import frozen

if TYPE_CHECKING:
    from probe4d.contracts import Arrays, Sample

__all__ = ["Field", "Kind", "KindExtras", "MetaKey", "Role", "TrainingTargets"]

Role: TypeAlias = Literal["predictions", "targets"]


@frozen(kw_only=True)
class Field:
    """One array of a prediction file.

    Attributes:
        dims: names of its axes, as `"n t 2"`; a number is a fixed size, `""` a single value, and
            `"t h w | h w"` allows either.
        dtypes: numpy kind characters that it may have (`"f"`, `"iu"`, `"b"`).
        finite: whether NaN and infinity are refused before `Kind.read` sees them.
        streams: whether `Kind.read` takes a large one as a lazy array (`shape`, `dtype`, slices of
            its first axis), and hands its metrics such arrays too.
    """

    dims: str
    dtypes: str = "f"
    required: bool = True
    summary: str = ""
    finite: bool = True
    streams: bool = False


@frozen(kw_only=True)
class MetaKey:
    """One convention that a file states.

    Attributes:
        choices: the values it may have; empty where `type` says it.
        type: `string`, `number`, `boolean`, `size` ([height, width]), `range` ([low, high]) or
            `names` (a list of them, or their number).
        default: taken where the file is silent.
        required: whether it must be stated, by the file or by `--meta`.
        agree: whether predictions and targets must state the same.
        only_if: `(key, value)`: the key means something only where the other key has that value.
    """

    choices: tuple[str, ...] = ()
    type: str = "string"
    default: Any = None
    required: bool = False
    agree: bool = False
    summary: str = ""
    only_if: tuple[str, str] | None = None


@runtime_checkable
class Kind(Protocol):
    """A prediction schema; made by `target(**options)`.

    `KindExtras` says what else it may offer. A message of a DataError that begins with
    `predictions.<field>:` or `targets.<field>:` is completed with the file and the sample.
    """

    def fields(self, role: Role) -> Mapping[str, Field]:
        """Return the fields of a prediction or a target sample."""
        ...

    def meta(self, role: Role) -> Mapping[str, MetaKey]:
        """Return the conventions that such a file states."""
        ...

    def read(
        self, predictions: Arrays, targets: Arrays, meta: Mapping[Role, Mapping[str, Any]]
    ) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Return both in the kind's canonical frame, as its metrics take them.

        Raises:
            DataError: naming the field, what was expected and what was found.
        """
        ...

    def worst(self, targets: Arrays, meta: Mapping[Role, Mapping[str, Any]]) -> Arrays:
        """Return raw predictions that score worst on these targets (`--missing worst`)."""
        ...

    def example(self, seed: int) -> tuple[Arrays, Arrays, Mapping[Role, Mapping[str, Any]]]:
        """Return a perfect prediction, its targets and both metas, for checks and documentation."""
        ...


class KindExtras(Protocol):
    """What a kind may offer besides `Kind`: each method is optional by itself."""

    def choices(self) -> Mapping[str, tuple[str, ...]]:
        """Return the options of `probe4d score` that it takes (`match`, `align`, `align_per`).

        The first choice is the default; an empty string there means that one must be stated.
        What was chosen is passed to the kind's target by these keywords.
        """
        ...

    def formats(self) -> Mapping[str, str]:
        """Return the foreign file formats that it reads: name to lazy target.

        The target is called as `target(path, role=…, meta=…, limits=…)` and returns a
        `probe4d.scoring.source.Source`.
        """
        ...

    def metric_options(self, meta: Mapping[Role, Mapping[str, Any]]) -> Mapping[str, Any]:
        """Return options for the metrics of this kind; each metric gets those that it takes."""
        ...

    def value_name(self, name: str, meta: Mapping[Role, Mapping[str, Any]]) -> str:
        """Return the name that a metric's value has under these conventions."""
        ...

    def from_dataset(self, targets: Arrays, size: tuple[int, int]) -> tuple[Arrays, Mapping[str, Any]]:
        """Return the targets of a `Sample` of frames `(height, width)` as a target file has them, and its meta."""
        ...


@runtime_checkable
class TrainingTargets(Protocol):
    """How a kind's targets are trained on and written down; made by `KindSpec.training()`.

    Attributes:
        settings: names of the settings that `stack` takes.
        score_options: options of `probe4d.score` for files that it wrote.
    """

    settings: Sequence[str]
    score_options: Mapping[str, Any]

    def stack(self, sample: Sample, settings: Mapping[str, Any]) -> Arrays:
        """Return a clip's targets as the kind's readouts take them; the same shapes for every clip.

        Raises:
            DataError: the clip has no such target, or it cannot be trained on.
        """
        ...

    def blank(self, frames: int, height: int, width: int) -> Arrays:
        """Return the targets of a clip of this size with nothing in it, by which shapes are known."""
        ...

    def file_meta(self, role: Role) -> Mapping[str, Any]:
        """Return the conventions that files of decoded predictions and of stacked targets state."""
        ...

    def file_fields(self, role: Role, arrays: Arrays, stacked: Arrays) -> Arrays | None:
        """Return the fields of one sample of such a file; None where nothing is asked of the clip.

        Args:
            arrays: one clip of decoded predictions, or its stacked targets.
            stacked: its stacked targets.
        """
        ...

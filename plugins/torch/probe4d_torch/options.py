"""What is said of a module, in TOML or in Python; checked without torch, so that a plan needs none."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from attrs import evolve, field, frozen

from probe4d.errors import UsageError, did_you_mean
from probe4d.spec_fields import as_tuple, flag, one_of, positive, text, tuple_of, whole
from probe4d.specs import BackboneSpec, TokenGrid, VideoInput
from probe4d_torch.axes import Axes

__all__ = ["SOURCES", "Reading", "Source", "configure", "split"]

DTYPES = ("float32", "bfloat16")
MATMUL = ("medium", "highest")

_optional = attrs.validators.optional


def _size(value: int | Sequence[int]) -> tuple[int, ...]:
    return (value, value) if isinstance(value, int) else as_tuple(value)


def _number(count: int) -> Any:
    def check(_instance: object, attribute: attrs.Attribute[Any], value: tuple[int, ...]) -> None:
        if len(value) != count or any(isinstance(item, bool) or item < 1 for item in value):
            raise UsageError(f"{attribute.name}: expected {count} integers of at least 1, got {list(value)}.")

    return [tuple_of("integers", int), check]


def _axes(_instance: object, attribute: attrs.Attribute[Any], value: str) -> None:
    Axes.parse(value, attribute.name)


def _place(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise UsageError(f"{attribute.name}: expected an index or a name such as 'last_hidden_state', got {value!r}.")


def _table(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, Mapping):
        raise UsageError(f"{attribute.name}: expected a table, got {value!r}.")


@frozen(kw_only=True)
class Reading:
    """What goes into a module, and where and how its features come out.

    Attributes:
        frames, size: of the input; `size` is a side or (h, w).
        tokens: `(t, k, c)`, time, places and channels of the features.
        mean, std: per channel, of videos in [0, 1].
        layout: the input's axes: `bcthw`, `btchw`, `bthwc`, or `(bt)chw` for a module that takes images.
        argument: the name that `method` has for the input; by default it is the first argument.
        arguments: further keyword arguments.
        method: what is called.
        output: where the features are in what comes out: an index, a key or an attribute; dots go deeper.
        blocks: names of the submodules that `layers` count, as `blocks.{i}`; without, only the output is read.
        depth: how many blocks there are.
        block_output: where the features are in what a block puts out.
        norm: name of the submodule that follows the last block.
        axes: the features' own axes, `b(tk)c` where all tokens are in a row, time first. `(bt)kc` of an image
            model, `(bt)chw` of a convolutional one, `b(kt)c` where places come first.
        prefix: number of tokens before those of the places, left out.
        batch_size: clips of one call; the last call is filled up. By default all that `encode` is given.
        dtype: `bfloat16` computes under autocast.
        matmul: `medium` lets float32 products be made of bfloat16 ones, where that is found to be as accurate.
        compile: by `torch.compile`, block by block.
        params: number of parameters, for estimates of cost.
        revision: of the module's code. Change it when the code changes: features of before are kept apart.
    """

    frames: int = field(validator=positive)
    size: tuple[int, ...] = field(converter=_size, validator=_number(2))
    tokens: tuple[int, ...] = field(converter=as_tuple, validator=_number(3))
    mean: tuple[float, ...] = field(default=(0.0, 0.0, 0.0), converter=as_tuple)
    std: tuple[float, ...] = field(default=(1.0, 1.0, 1.0), converter=as_tuple)
    layout: str = field(default="bcthw", validator=[text, _axes])
    argument: str = field(default="", validator=text)
    arguments: Mapping[str, Any] = field(factory=dict, validator=_table)
    method: str = field(default="forward", validator=text)
    output: str | int = field(default="", validator=_place)
    blocks: str = field(default="", validator=text)
    depth: int = field(default=1, validator=positive)
    block_output: str | int = field(default="", validator=_place)
    norm: str = field(default="", validator=text)
    axes: str = field(default="b(tk)c", validator=[text, _axes])
    prefix: int = field(default=0, validator=whole)
    batch_size: int | None = field(default=None, validator=_optional(positive))
    device: str = field(default="cpu", validator=text)
    dtype: str = field(default="float32", validator=one_of(*DTYPES))
    matmul: str = field(default="medium", validator=one_of(*MATMUL))
    compile: bool = field(default=False, validator=flag)
    params: int = field(default=0, validator=whole)
    revision: str = field(default="", validator=text)

    def __attrs_post_init__(self) -> None:
        for name in ("mean", "std"):
            value = getattr(self, name)
            if len(value) != 3 or not all(isinstance(item, (int, float)) for item in value):
                raise UsageError(f"{name}: expected a number for each of three channels, got {list(value)}.")
        if not all(self.std):
            raise UsageError(f"std: expected numbers other than 0, got {list(self.std)}.")
        if set(Axes.parse(self.layout, "layout").letters) != set("btchw"):
            raise UsageError(f"layout: expected each of b t c h w, as bcthw or (bt)chw, got {self.layout!r}.")
        letters = set(Axes.parse(self.axes, "axes").letters)
        if letters not in (set("btkc"), set("btchw")):
            raise UsageError(f"axes: expected each of b t k c (or h w for k), as b(tk)c, got {self.axes!r}.")
        if self.blocks:
            self._check_blocks()
        elif self.depth != 1 or self.norm or self.block_output != "":
            raise UsageError(
                "blocks: expected their names, as 'blocks.{i}', with depth, norm or block_output; got none."
            )

    def _check_blocks(self) -> None:
        if self.output != "":
            raise UsageError(
                f"output: expected none beside blocks, got {self.output!r}. Name a norm, or drop one of them."
            )
        if (self.depth > 1) != ("{i}" in self.blocks):
            raise UsageError(
                f"blocks: expected '{{i}}' in the name if and only if depth is above 1, got {self.blocks!r} "
                f"and depth {self.depth}."
            )


@frozen(kw_only=True)
class Source:
    """Where a module comes from.

    Attributes:
        model: `package.module:Class` or a function of the user's code; an entry of `repo/hubconf.py`; or a class of
            transformers.
        model_options: its keyword arguments.
        repo: a folder with a `hubconf.py`.
        attention: of transformers: `sdpa`, `eager` or another that it knows.
        weights_key: which table of a torch file holds the weights (`model`, `state_dict`, …).
        strip: what stands before each key of the weights, as `module.`; other keys are left out.
        ignore: regular expressions, matched from the start, of keys that the module does not have.
    """

    model: str = field(default="", validator=text)
    model_options: Mapping[str, Any] = field(factory=dict, validator=_table)
    repo: str = field(default="", validator=text)
    attention: str = field(default="sdpa", validator=text)
    weights_key: str = field(default="", validator=text)
    strip: str = field(default="", validator=text)
    ignore: tuple[str, ...] = field(default=(), converter=as_tuple, validator=tuple_of("strings", str))


_OF_WEIGHTS = ("weights_key", "strip", "ignore")
# What each name of a backbone takes, and must be told.
SOURCES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "module": (("model", "model_options", *_OF_WEIGHTS), ("model",)),
    "hub": (("repo", "model", "model_options", *_OF_WEIGHTS), ("repo", "model")),
    "transformers": (("model", "model_options", "attention"), ()),
    "file": ((), ()),
}


def split(source: str, options: Mapping[str, Any]) -> tuple[Source, Reading]:
    """Return what the options say of the module, and of how it is read.

    Raises:
        UsageError: an option that there is not (with the nearest), one that is missing, or a bad value.
    """
    where = f"torch-{source}"
    allowed, needed = SOURCES[source]
    reading = [attribute.name for attribute in attrs.fields(Reading)]
    known = (*allowed, *reading, "config")
    for name in options:
        if name not in known:
            raise UsageError(
                f"{where}: expected options among {', '.join(known)}, got {name!r}.{did_you_mean(name, known)}"
            )
    for name in (*needed, "frames", "size", "tokens"):
        if options.get(name) in (None, ""):
            raise UsageError(f"{where}: expected {name!r} to be stated, got only {sorted(options)}. See docs/torch.md.")
    of_model = {name: value for name, value in options.items() if name in allowed}
    try:
        return Source(**of_model), Reading(**{name: value for name, value in options.items() if name in reading})
    except (UsageError, TypeError) as error:
        raise UsageError(f"{where}: {error}") from error


def configure(spec: BackboneSpec, options: Mapping[str, Any]) -> tuple[BackboneSpec, dict[str, Any]]:
    """Return the spec with the facts that options say, and the options with those of the file `config`.

    Raises:
        UsageError: as `split`; or the file is not to be read.
    """
    expanded = expand(options)
    _, reading = split(spec.options["source"], expanded)
    layout = Axes.parse(reading.layout, "layout")
    height, width = reading.size
    frames, (t, k, c) = reading.frames, reading.tokens
    facts = evolve(
        spec,
        input=VideoInput(frames=frames, height=height, width=width, mean=reading.mean, std=reading.std),
        tokens=TokenGrid(time=t, space=k, channels=c),
        depth=reading.depth,
        params=reading.params,
        modality="image" if layout.place("b") == layout.place("t") else "video",
    )
    return facts, expanded


def expand(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with those of the TOML file that `config` names; what is given goes before them.

    Raises:
        UsageError: it cannot be read, or names another file.
    """
    given = dict(options)
    if (file := given.pop("config", None)) is None:
        return given
    try:
        said = tomllib.loads(Path(str(file)).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"config: expected a TOML file, got {file!r}: {error}.") from error
    if "config" in said:
        raise UsageError(f"{file}: config: expected options of the backbone, got another file.")
    return {**said, **given}

"""What a pretraining run is: a TOML file or the name of a size, strict in both.

base = "4ds-mini"        # a size of `sizes.SIZES`; its numbers stand where nothing else is said
seed = 1

[data]
source = "clips/*.mp4"

[optimizer]
steps = 20_000
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from attrs import evolve, field, frozen

from probe4d.commands.set_options import put
from probe4d.errors import UsageError, did_you_mean
from probe4d.spec_fields import flag, one_of, positive, whole
from probe4d_datasets.own.options import fraction, settings
from probe4d_datasets.pretraining import ClipData
from probe4d_fourds.objective import ROUNDING, Mae, mae
from probe4d_fourds.sizes import SIZES, SMALL
from probe4d_fourds.step import REMAT, Recipe
from probe4d_runners.jax.mesh import MeshShape
from probe4d_runners.jax.optimizer import SCHEDULES
from probe4d_vit import attention

__all__ = ["TrainConfig", "load_config"]


@frozen(kw_only=True)
class Model:
    """What is trained.

    Attributes:
        variant: a key of `sizes.SIZES`.
        image: the image twin, see `objective.mae`.
        masking, keep_rounding: which tokens are dropped, see `objective.Mae`.
        decode_layers, output_patch: where they differ from the size's own.
    """

    variant: str = field(validator=one_of(*SIZES))
    image: bool = field(default=False, validator=flag)
    masking: float = field(default=0.95)
    keep_rounding: str = field(default="floor", validator=one_of(*ROUNDING))
    decode_layers: int | None = None
    output_patch: Sequence[int] | None = None

    def objective(self) -> Mae:
        """Return the objective.

        Raises:
            UsageError: values that do not fit each other.
        """
        fraction("model.masking", self.masking)
        changes: dict[str, Any] = {"masking": self.masking, "keep_rounding": self.keep_rounding}
        if self.decode_layers is not None:
            changes["decode_layers"] = self.decode_layers
        if self.output_patch is not None:
            changes["output_patch"] = tuple(self.output_patch)
        return mae(self.variant, image=self.image, **changes)


@frozen(kw_only=True)
class Optimizer:
    """How it is trained; what `Recipe` says, by the names that it has there.

    Schedule and the decay of biases are DECIDE: the paper names neither.
    """

    steps: int = field(validator=positive)
    learning_rate: float
    warmup_steps: int = field(validator=whole)
    schedule: str = field(default="cosine", validator=one_of(*SCHEDULES))
    end_learning_rate: float = 0.0
    betas: Sequence[float] = (0.9, 0.95)  # Source: paper, Table 4; so is the decay
    epsilon: float = 1e-8
    weight_decay: float = 0.05
    decay_biases: bool = field(default=False, validator=flag)
    clip_norm: float = 0.0
    accumulate: int = field(default=1, validator=positive)


@frozen(kw_only=True)
class Compute:
    """How it is computed; None: the best of the platform that it runs on.

    Attributes:
        dtype: `float32` or `bfloat16`.
        attention: see `probe4d_vit.attention`.
        remat: `none`, `dots` or `full`.
    """

    dtype: str | None = None
    attention: str | None = field(default=None, validator=attrs.validators.optional(one_of(*attention.KINDS)))
    remat: str = field(default="none", validator=one_of(*REMAT))


@frozen(kw_only=True)
class Run:
    """What is written while it runs.

    Attributes:
        log_every, checkpoint_every: steps.
        keep_last: checkpoints that stay; `keep_every`: those of every so many steps stay too, 0 for none.
        on_nonfinite: `stop`, or `skip` the update and count it.
        max_skipped: updates that may be skipped.
        tensorboard: write events of it too (extra `tensorboard`).
        weights_dtype: of `weights.safetensors` at the end; `weights.npz`, the released layout, is float32.
    """

    log_every: int = field(default=20, validator=positive)
    checkpoint_every: int = field(default=500, validator=positive)
    keep_last: int = field(default=2, validator=positive)
    keep_every: int = field(default=0, validator=whole)
    on_nonfinite: str = field(default="stop", validator=one_of("stop", "skip"))
    max_skipped: int = field(default=10, validator=whole)
    tensorboard: bool = field(default=False, validator=flag)
    weights_dtype: str = field(default="float32", validator=one_of("float32", "bfloat16"))


SECTIONS = {"model": Model, "data": ClipData, "optimizer": Optimizer, "mesh": MeshShape, "compute": Compute, "run": Run}


@frozen(kw_only=True)
class TrainConfig:
    """A pretraining run.

    Attributes:
        name: of the configuration, for people.
        seed: of weights and masks; `data.seed` is that of clips.
    """

    name: str
    seed: int = field(default=0, validator=whole)
    model: Model
    data: ClipData
    optimizer: Optimizer
    mesh: MeshShape = field(factory=MeshShape)
    compute: Compute = field(factory=Compute)
    run: Run = field(factory=Run)

    def recipe(self) -> Recipe:
        """Return what a step does, for the platform that this process computes on."""
        from probe4d_vit.model import compute_dtype

        values = attrs.asdict(self.optimizer)
        values["betas"] = tuple(values["betas"])
        return Recipe(
            **values,
            dtype=str(compute_dtype(self.compute.dtype)),
            attention=attention.choose(self.compute.attention),
            remat=self.compute.remat,
        )

    def tables(self) -> dict[str, Any]:
        """Return the configuration as plain tables, as `config.json` of a run holds it."""
        plain: dict[str, Any] = _plain(attrs.asdict(self))
        return plain


def load_config(name: str, changes: Sequence[str] = ()) -> TrainConfig:
    """Return the configuration of a size or of a TOML file, with `a.b=value` changes.

    Raises:
        UsageError: no such size or file, an unknown key (with the nearest), or a bad value.
    """
    file = Path(name)
    if name in SIZES:
        tables: dict[str, Any] = {"base": name}
    elif file.suffix == ".toml":
        tables = _read(file)
    else:
        raise UsageError(
            f"config: expected a .toml file or {', '.join(SIZES)}, got {name!r}.{did_you_mean(name, SIZES)}"
        )
    for change in changes:
        path, equals, value = change.partition("=")
        if not equals:
            raise UsageError(f"--set: expected KEY=VALUE, got {change!r}.")
        put(tables, path.split("."), value, change)
    return _config(tables, name if name in SIZES else file.stem)


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error}.") from error
    except ValueError as error:
        raise UsageError(f"{file}: expected TOML, got an error: {error}.") from error


def _config(tables: Mapping[str, Any], name: str) -> TrainConfig:
    keys = ("base", "name", "seed", *SECTIONS)
    for key in tables:
        if key not in keys:
            raise UsageError(f"config: expected {', '.join(keys)}, got {key!r}.{did_you_mean(str(key), keys)}")
    base = tables.get("base", tables.get("model", {}).get("variant"))
    if base not in SIZES:
        raise UsageError(f"config base: expected {', '.join(SIZES)}, got {base!r}.{did_you_mean(str(base), SIZES)}")
    parts: dict[str, Any] = {}
    for section, cls in SECTIONS.items():
        given = tables.get(section, {})
        if not isinstance(given, Mapping):
            raise UsageError(f"config {section}: expected a table, got {given!r}.")
        parts[section] = settings(cls, {**_of_size(base).get(section, {}), **given}, section)
    values = {key: tables[key] for key in ("seed",) if key in tables}
    config = TrainConfig(name=str(tables.get("name", name)), **values, **parts)
    return evolve(config, data=_fitting(config))


def _of_size(base: str) -> dict[str, dict[str, Any]]:
    """Return what the size says: the paper's Table 4 for the paper's, ours for ours."""
    size = SIZES[base]
    return {
        "model": {"variant": base},
        "data": {
            "source": "playroom",  # what is there on every machine; who has videos names them
            **({"options": {"length": 12_000}} if base in SMALL else {}),
            "frames": size.frames,
            "size": size.resolution,
            "batch_size": size.batch_size,
        },
        "optimizer": {
            "steps": size.train_steps,
            "learning_rate": size.learning_rate,
            "warmup_steps": size.warmup_steps,
        },
    }


def _fitting(config: TrainConfig) -> ClipData:
    """Return the data, whose clips must be the model's input."""
    want = config.model.objective().vit.clip
    got = (config.data.frames, *config.data.size)
    if got != want:
        raise UsageError(f"data: expected clips of (frames, height, width) = {want}, as the model takes, got {got}.")
    return config.data


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value

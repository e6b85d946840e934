"""A published model, or any other of its family, as a backbone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import frozen

from probe4d.errors import UsageError
from probe4d_baselines import architecture, hub_config
from probe4d_baselines.families import FAMILIES
from probe4d_baselines.layouts import Found, find_layout, sources
from probe4d_baselines.models import MODELS
from probe4d_baselines.weights_folder import find_files
from probe4d_vit.backbone import VitBackbone
from probe4d_vit.checkpoints import check_keys, load_params, missing_keys, open_checkpoint
from probe4d_vit.config import VitConfig
from probe4d_vit.table import Tree, param_table, truncate

RULES = ("original", "hub")


def load(
    weights: str | None = None,
    seed: int = 0,
    *,
    variant: str | None = None,
    family: str | None = None,
    width: int | None = None,
    depth: int | None = None,
    heads: int | None = None,
    mlp: int | None = None,
    patch: int | Sequence[int] | None = None,
    temporal_depth: int | None = None,
    registers: int | None = None,
    activation: str | None = None,
    eps: float | None = None,
    frames: int | None = None,
    size: int | Sequence[int] | None = None,
    rules: str = "original",
    resample: str | None = None,
    weights_key: str | None = None,
    layer_rule: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    dtype: str | None = None,
    attention: str | None = None,
) -> VitBackbone:
    """Return a backbone of one of the families.

    Its architecture is that of the named variant; of a family's name, that of the `config.json` beside
    the weights, or what the shapes of their arrays tell. What is given here goes before both.

    Args:
        weights: a checkpoint, or a folder with one; random values without it (`probe4d.load_backbone`
            refuses to, for a name that means trained ones).
        seed: of random values.
        variant: a key of `models.MODELS`; or else
        family: a key of `families.FAMILIES`.
        width, depth, heads, mlp, patch, temporal_depth, registers, activation, eps: see `VitConfig`.
        frames, size: the input it is made for: `size` is a side or (h, w).
        rules: away from the native size, positions as in the authors' code (`original`) or in the hub's port.
        resample: that rule by its own name, one of `probe4d_vit.config.RESAMPLE`.
        weights_key: which dict of a torch file holds the weights (`target_encoder`, `model`, …).
        layer_rule: `paper` or `released`, see `probe4d_vit.config.blocks_to_run`.
        mean, std: of the input; by default those of `preprocessor_config.json`, or the family's.
        dtype: `float32` or `bfloat16`; by default float32 on a CPU and bfloat16 elsewhere.
        attention: `tiled`, `fused` or `einsum`; by default the fastest here.

    Raises:
        UsageError: an option is wrong, or the file does not tell what has to be told.
        DataError: the file is of another model.
    """
    if rules not in RULES:
        raise UsageError(f"rules: expected {' or '.join(RULES)}, got {rules!r}.")
    model = MODELS[variant] if variant is not None else None
    own = FAMILIES[family or (model.family if model else "")]
    given = {
        "width": width, "depth": depth, "heads": heads, "mlp": mlp, "patch": patch, "frames": frames, "size": size,
        "temporal_depth": temporal_depth, "registers": registers, "activation": activation, "eps": eps,
        "resample": resample, "layer_rule": layer_rule,
    }  # fmt: skip
    wanted = architecture.Wanted.of(own, model, given, rules)
    source = _Source.of(weights, weights_key, wanted)
    return VitBackbone(
        source.built.config,
        source.read,
        native=source.built.native,
        adapts=True,
        seed=seed,
        mean=source.mean if mean is None else mean,
        std=source.std if std is None else std,
        dtype=dtype,
        kind=attention,
        note=source.built.note,
    )


@frozen
class _Source:
    """What a backbone is made of: its architecture, its parameters (None: random ones), and its input's statistics."""

    built: architecture.Architecture
    read: Callable[[int], Tree] | None
    mean: Sequence[float]
    std: Sequence[float]

    @classmethod
    def of(cls, weights: str | None, key: str | None, wanted: architecture.Wanted) -> _Source:
        """Return it, from a checkpoint or a folder with one; the file is checked.

        Raises:
            UsageError: the file does not tell what has to be told.
            DataError: it is of another model.
        """
        own = wanted.family
        if weights is None:
            return cls(wanted.without_file(), None, own.mean, own.std)
        files = find_files(weights, own.name)
        says = hub_config.fields_of(files.config, own) if files.config and own.model_types else {}
        checkpoint = open_checkpoint(files.weights)
        found = find_layout(checkpoint, own.name, key)
        built = wanted.of_file(checkpoint, found, says)
        reader = _Reader(files.weights, found, built.native_config)
        reader.check()
        return cls(built, reader.read, *(hub_config.normalisation(files.weights.parent) or (own.mean, own.std)))


@frozen
class _Reader:
    """Reads the parameters of one file; it can be pickled, since it keeps nothing open."""

    file: Path
    found: Found
    config: VitConfig

    def check(self) -> None:
        """Refuse a file of another model now, not at the first clip."""
        checkpoint = open_checkpoint(self.file)
        places = sources(self.found, self.config, checkpoint.keys())
        missing_keys(checkpoint, places, depths=self._depths)
        check_keys(checkpoint, places, depths=self._depths, ignore=self.found.ignore)

    def read(self, blocks: int) -> Tree:
        """Return what the first so many blocks need."""
        checkpoint = open_checkpoint(self.file)
        places = sources(self.found, self.config, checkpoint.keys())
        table = truncate(param_table(self.config), blocks, self.config)
        return load_params(checkpoint, table, places, depths=self._depths, ignore=self.found.ignore)

    @property
    def _depths(self) -> dict[str, int]:
        return {"blocks": self.config.depth, "temporal/blocks": self.config.temporal_depth}

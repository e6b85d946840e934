"""What makes a feature set: the address whose digest names it."""

from __future__ import annotations

import functools
import hashlib
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from attrs import field, frozen

from probe4d.contracts import Layer
from probe4d.errors import UsageError
from probe4d.spec_fields import ReadOnly
from probe4d.store.dtypes import FEATURE_DTYPES
from probe4d.store.errors import StoreMismatchError

__all__ = ["NO_BACKBONE", "FeatureAddress", "check_same", "layer_name", "platform_class", "sample_ids_digest"]

NO_BACKBONE = "none"
CPU_FEATURES = ("avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "amx_tile", "asimd", "sve")


def _plain(value: Any) -> Any:
    """Return what a value is after a trip through JSON, so that stored and given ones compare equal."""
    if isinstance(value, Mapping):
        value = dict(value)
    try:
        text = json.dumps(value, sort_keys=True, allow_nan=False, default=_unpack)
    except (TypeError, ValueError) as error:
        raise UsageError(f"FeatureAddress: expected plain JSON values, got {value!r} ({error}).") from error
    return json.loads(text)


def _unpack(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


def _mapping(value: Mapping[str, Any]) -> Mapping[str, Any]:
    return ReadOnly(_plain(value))


def _layers(value: Iterable[Layer | str]) -> tuple[str, ...]:
    return tuple(layer if isinstance(layer, str) else layer_name(layer) for layer in value)


def _text(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not value:
        raise UsageError(f"FeatureAddress.{attribute.name}: expected a non-empty string, got {value!r}.")


def _integers(value: Iterable[int]) -> tuple[int, ...]:
    return tuple(int(seed) for seed in value)


@frozen(kw_only=True)
class FeatureAddress:
    """Everything that makes the bytes of a feature set.

    Attributes:
        backbone: canonical name, `plugin/name`; `NO_BACKBONE` for a set of targets, which all backbones share.
        backbone_version: distribution and version of its code, `"probe4d-vit 0.1.0"`.
        weights: digest of the weights (`"sha256:…"`), or `"random:<seed>"`, or `"none"`.
        preprocessing: what is done to pixels before the backbone (size, resize, mean, std).
        layers: names as of `layer_name`; numbers are converted.
        dtype: float16, bfloat16 or float32.
        dataset: canonical name; with `dataset_revision` and `split`.
        samples: `sample_ids_digest` of the ids, in order.
        clip: how clips are cut and augmented.
        views: seed of each augmented view; their number is K.
        targets: how targets are made and stacked (kind, padding, …).
        platform: `platform_class(…)`.
    """

    backbone: str = field(validator=_text)
    backbone_version: str = field(validator=_text)
    weights: str = field(validator=_text)
    preprocessing: Mapping[str, Any] = field(converter=_mapping)
    layers: tuple[str, ...] = field(converter=_layers)
    dtype: str = field(default="float16", validator=_text)
    dataset: str = field(validator=_text)
    dataset_revision: str = field(validator=_text)
    split: str = field(validator=_text)
    samples: str = field(validator=_text)
    clip: Mapping[str, Any] = field(converter=_mapping)
    views: tuple[int, ...] = field(default=(0,), converter=_integers)
    targets: Mapping[str, Any] = field(factory=dict, converter=_mapping)
    platform: Mapping[str, Any] = field(converter=_mapping)

    def __attrs_post_init__(self) -> None:
        if self.dtype not in FEATURE_DTYPES:
            raise UsageError(f"FeatureAddress.dtype: expected one of {FEATURE_DTYPES}, got {self.dtype!r}.")
        for name in ("layers", "views"):
            values = getattr(self, name)
            # A set of targets alone has no backbone and no layer.
            needed = name == "views" or self.backbone != NO_BACKBONE
            if (needed and not values) or len(set(values)) != len(values):
                raise UsageError(f"FeatureAddress.{name}: expected at least one, each once, got {values}.")

    @property
    def digest(self) -> str:
        """The sha256 of the canonical JSON, hex."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        values = attrs.asdict(self, recurse=False)
        return {
            name: dict(v) if isinstance(v, Mapping) else list(v) if isinstance(v, tuple) else v
            for name, v in values.items()
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any], where: str) -> FeatureAddress:
        """Return the address that `to_json` gave.

        Raises:
            StoreMismatchError: fields are missing or unknown.
        """
        names = {item.name for item in attrs.fields(cls)}
        if set(value) != names:
            odd = ", ".join(sorted(names ^ set(value)))
            raise StoreMismatchError(f"{where}: expected the fields of this version, got a difference in {odd}.")
        return cls(**value)

    def differences(self, other: FeatureAddress) -> dict[str, tuple[Any, Any]]:
        """Return the fields that differ, dotted where inside one, with both values."""
        found: dict[str, tuple[Any, Any]] = {}
        mine, theirs = self.to_json(), other.to_json()
        for name, value in mine.items():
            _compare(name, value, theirs[name], found)
        return found


def _compare(name: str, left: Any, right: Any, found: dict[str, tuple[Any, Any]]) -> None:
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        for key in sorted({*left, *right}):
            _compare(f"{name}.{key}", left.get(key), right.get(key), found)
    elif left != right:
        found[name] = (left, right)


def check_same(where: str, expected: FeatureAddress, stored: FeatureAddress) -> None:
    """Compare what was asked for with what a set holds.

    Raises:
        StoreMismatchError: naming each field that differs, with both values.
    """
    if differing := expected.differences(stored):
        listed = "; ".join(f"{name}: expected {a!r}, got {b!r}" for name, (a, b) in differing.items())
        raise StoreMismatchError(
            f"{where}: not the feature set asked for. {listed}. Extract anew under its own address."
        )


def layer_name(layer: Layer) -> str:
    """Return a layer's name in a set: `0.95` for a depth, `11` for a number of blocks.

    Raises:
        UsageError: it is not a depth in (0, 1] or a number of blocks.
    """
    if (
        isinstance(layer, bool)
        or not isinstance(layer, (int, float))
        or layer <= 0
        or (isinstance(layer, float) and layer > 1)
    ):
        raise UsageError(f"layer: expected a depth in (0, 1] or a number of blocks, got {layer!r}.")
    return repr(layer)


def sample_ids_digest(ids: Sequence[str]) -> str:
    """Return the sha256 of the ids, in order."""
    return _digest_of(tuple(ids))


@functools.lru_cache(maxsize=4)  # a plan's sets share their ids, and every shard's unit opens the same set
def _digest_of(ids: tuple[str, ...]) -> str:
    text = json.dumps(ids, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def platform_class(
    versions: Mapping[str, str],
    *,
    device: str | None = None,
    threads: int | None = None,
    batch: int | None = None,
) -> dict[str, Any]:
    """Return what features are bit-equal within: processor, library versions, threads and batch shape.

    Args:
        versions: of the libraries that compute, `{"jax": "0.10.2"}`.
        device: kind of accelerator (`"NVIDIA H100"`); the processor of this machine where it is None.
        threads: threads of the computation.
        batch: clips of one call of the backbone.
    """
    stated = {
        "system": platform.system(),
        "machine": platform.machine(),
        "device": device or _processor(),
        "threads": threads,
        "batch": batch,
        "libraries": dict(sorted(versions.items())),
    }
    return {name: value for name, value in stated.items() if value is not None}


def _processor() -> str:
    """Return model and vector instructions of the processor, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in reversed(lines))}
    flags = set((facts.get("flags") or facts.get("Features", "")).split())
    model = facts.get("model name") or platform.machine()
    return " ".join([model, *(name for name in CPU_FEATURES if name in flags)])

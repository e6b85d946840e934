"""The stored sets of a plan: features of a backbone, and the targets that all backbones share."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
from attrs import field, frozen

from probe4d.backbones import local_weights, packaged_weights
from probe4d.contracts import Layer
from probe4d.planning.clips import Clips
from probe4d.planning.resolve import Backbone
from probe4d.registry import load_target
from probe4d.store import SetDescription, describe_set
from probe4d.store.address import NO_BACKBONE, FeatureAddress, platform_class, sample_ids_digest
from probe4d.weights_cache import weights_digest

__all__ = ["DECODERS", "LIBRARIES", "StoredSet", "feature_set", "target_set", "versions_of"]

# What the bits of clips and targets depend on besides our own code, and those of features; what is absent is left out.
DECODERS = ("numpy", "av", "pillow")
LIBRARIES = ("jax", "jaxlib", "torch", *DECODERS, "opencv-python-headless", "opencv-python")

TARGET_SHAPES = "probe4d_runners.targets:target_shapes"


@frozen(kw_only=True)
class StoredSet:
    """One set of the feature store that a plan needs.

    Attributes:
        row_shapes: shape of a row by layer name; empty for targets.
        kinds: prediction kinds whose targets it holds; empty for features.
        backbone: whose features they are.
        here: the address that they would have here, where those of another platform are taken; see `adoption`.
    """

    address: FeatureAddress
    clips: Clips
    layers: tuple[Layer, ...] = ()
    row_shapes: Mapping[str, tuple[int, ...]] = field(factory=dict)
    kinds: tuple[str, ...] = ()
    target_settings: Mapping[str, Any] = field(factory=dict)
    backbone: Backbone | None = None
    dtype: str = "float16"
    here: FeatureAddress | None = None

    @property
    def differs(self) -> dict[str, tuple[Any, Any]]:
        """By field, what this environment has and what stored features of another one were made with."""
        return {} if self.here is None else self.here.differences(self.address)

    @property
    def digest(self) -> str:
        """The name of the set."""
        return self.address.digest

    @property
    def rows(self) -> int:
        """Clips times views."""
        return len(self.clips.ids) * len(self.clips.views)

    @functools.cached_property
    def description(self) -> SetDescription:
        """What the store will say of it: its arrays, with their shapes and bytes."""
        shapes: dict[str, Any] = {}
        for kind in self.kinds:
            shapes |= load_target(TARGET_SHAPES)(kind, self.clips.sampling, self.target_settings)
        layers: Mapping[Any, Sequence[int]] = self.row_shapes  # by the name that the store gives a layer
        return describe_set(self.address, self.clips.ids, layers, shapes)


def feature_set(backbone: Backbone, clips: Clips, layers: Iterable[Layer], dtype: str, batch: int) -> StoredSet:
    """Return the set of a backbone's features at these layers."""
    spec, chosen = backbone.spec, tuple(sorted(set(layers)))
    address = FeatureAddress(
        backbone=backbone.entry.name,
        backbone_version=f"{backbone.entry.distribution} {backbone.entry.version}",
        weights=_weights_digest(backbone),
        preprocessing={"input": attrs.asdict(spec.input), "options": dict(backbone.ref.options)},
        layers=chosen,
        dtype=dtype,
        platform=platform_class(versions_of(LIBRARIES), batch=batch),
        **_clip_fields(clips),
    )
    grid = spec.tokens
    shapes = dict.fromkeys(address.layers, (grid.time, grid.space, grid.channels))
    return StoredSet(address=address, clips=clips, layers=chosen, row_shapes=shapes, backbone=backbone, dtype=dtype)


def target_set(clips: Clips, kinds: Sequence[str], settings: Mapping[str, Any]) -> StoredSet:
    """Return the set of the targets of these kinds."""
    address = FeatureAddress(
        backbone=NO_BACKBONE,
        backbone_version=NO_BACKBONE,
        weights=NO_BACKBONE,
        preprocessing={},
        layers=(),
        dtype="float32",
        targets={"kinds": sorted(kinds), "settings": dict(settings)},
        platform=platform_class(versions_of(DECODERS)),
        **_clip_fields(clips),
    )
    return StoredSet(
        address=address, clips=clips, kinds=tuple(sorted(kinds)), target_settings=dict(settings), dtype="float32"
    )


def _clip_fields(clips: Clips) -> dict[str, Any]:
    arguments = clips.arguments()
    return {
        "dataset": clips.dataset,
        "dataset_revision": f"{clips.version} {_digest(arguments['data']['options'])}",
        "split": clips.split,
        "samples": sample_ids_digest(clips.ids),
        "clip": arguments["clip"],
        "views": clips.views,
    }


def _weights_digest(backbone: Backbone) -> str:
    """Return what tells these weights from others: a file's or a folder's digest, the published one, or the seed."""
    ref, spec = backbone.ref, backbone.spec
    if ref.weights is not None:
        path = local_weights(ref.weights)
        return f"url:{ref.weights}" if path is None else f"sha256:{weights_digest(path)}"
    if spec.weights is not None and spec.weights.sha256:
        return f"sha256:{spec.weights.sha256}"
    if (packaged := packaged_weights(backbone.entry)) is not None:
        return f"sha256:{weights_digest(packaged)}"
    return f"random:{ref.seed}" if spec.params or spec.configure else NO_BACKBONE


def versions_of(names: Iterable[str]) -> dict[str, str]:
    """Return the installed versions of these distributions; those that are absent are left out."""
    versions = {}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]

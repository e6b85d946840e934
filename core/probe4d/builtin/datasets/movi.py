"""Kubric's MOVi datasets as entries of the registry."""

from __future__ import annotations

from typing import Any

from probe4d.specs import DatasetSpec

SHARED: dict[str, Any] = {
    "target": "probe4d_datasets.movi.dataset:Movi",
    "requires": ("av>=14", "fsspec>=2024.6"),
    "extra": "probe4d[video]",
    "kinds": ("points", "boxes", "depth", "pose"),
    "splits": ("train", "validation"),
    "licence": "Apache-2.0",
    "tags": ("synthetic", "tracking", "depth", "camera"),
}

DATASETS = (
    DatasetSpec(
        name="movi_e",
        summary="Kubric MOVi-E: rendered objects thrown into a scene, a camera moving on a line; exact targets.",
        access="no login; gs://kubric-public/tfds (pip install gcsfs), about 330 GB at 256x256",
        options={"builder": "movi_e"},
        published={"train": 9749, "validation": 250},
        **SHARED,
    ),
    DatasetSpec(
        name="panning_movi_e",
        summary="Kubric MOVi-E with a camera that also pans: 97,500 training videos.",
        access="rendered by Kubric's scripts; shards perhaps in gs://kubric-public/tfds (not verified)",
        options={"builder": "panning_movi_e"},
        published={"train": 97_500, "validation": 2500},
        **SHARED,
    ),
)

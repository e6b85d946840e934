"""The embedded benchmark as datasets of the registry."""

from __future__ import annotations

from probe4d.specs import DatasetSpec

KINDS = ("points", "boxes", "depth", "pose", "labels")
SPLITS = ("pretrain", "train", "val", "test")

DATASETS = (
    DatasetSpec(
        name="playroom",
        target="probe4d_datasets.playroom:Playroom",
        summary="Rendered room with moving things and camera; exact targets of all five kinds, no download.",
        kinds=KINDS,
        splits=SPLITS,
        needs_root=False,
        licence="Apache-2.0",
        tags=("synthetic", "offline"),
        access="generated on your machine",
        options={"textures": "noise"},
    ),
    DatasetSpec(
        name="playroom-photo",
        target="probe4d_datasets.playroom:Playroom",
        summary="The same room painted with photographs: a folder of yours, or those of scikit-image.",
        requires=("pillow>=10",),
        extra="probe4d[png]",
        kinds=KINDS,
        splits=SPLITS,
        needs_root=False,
        licence="Apache-2.0 (code); the photographs' own",
        tags=("synthetic", "offline"),
        access="generated on your machine; root: a folder of images, else pip install scikit-image",
        options={"textures": "photo"},
    ),
)

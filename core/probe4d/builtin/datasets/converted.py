"""Copies of datasets as an entry of the registry."""

from __future__ import annotations

from probe4d.specs import DatasetSpec

DATASETS = (
    DatasetSpec(
        name="converted",
        target="probe4d_datasets.converted.dataset:Converted",
        summary="A copy of any dataset, written by `probe4d data convert`: frames and targets that load fast.",
        requires=("fsspec>=2024.6",),
        extra="probe4d[video]",
        kinds=("points", "boxes", "depth", "pose", "labels"),
        tags=("your-own", "fast"),
        access="root: the folder or URL that was converted to",
    ),
)

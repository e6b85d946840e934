"""ScanNet v2 as an entry of the registry."""

from __future__ import annotations

from probe4d.specs import DatasetSpec

DATASETS = (
    DatasetSpec(
        name="scannet",
        target="probe4d_datasets.scannet:ScanNet",
        summary="ScanNet v2: rooms filmed with a depth camera; 1,201 / 312 / 100 scenes.",
        requires=("fsspec>=2024.6", "pillow>=10"),
        extra="probe4d[video]",
        licence="ScanNet Terms of Use (research, signed)",
        kinds=("depth",),
        splits=("train", "val", "test"),
        published={"train": 1201, "val": 312, "test": 100},
        tags=("paper", "depth"),
        access=(
            "terms of use signed and sent by e-mail, see http://www.scan-net.org/; the lists scannetv2_*.txt are in "
            "Tasks/Benchmark of its repository. root: the folder or URL with scans/ and the lists"
        ),
    ),
)

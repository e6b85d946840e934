"""RealEstate10K as an entry of the registry."""

from __future__ import annotations

from probe4d.specs import DatasetSpec

DATASETS = (
    DatasetSpec(
        name="re10k",
        target="probe4d_datasets.re10k:RealEstate10K",
        summary="RealEstate10K: walks through houses with camera poses, up to a scale per clip.",
        requires=("av>=14", "fsspec>=2024.6", "pillow>=10"),
        extra="probe4d[video]",
        licence="CC-BY-4.0 (camera files); the videos are their YouTube authors'",
        kinds=("pose",),
        splits=("train", "test"),
        published={"train": 72_000, "test": 8_000},  # about 80,000 clips by the data set's page
        tags=("paper", "camera"),
        access=(
            "camera files: https://storage.googleapis.com/realestate10k-public-files/RealEstate10K.tar.gz, no login; "
            "videos: YouTube, many are gone. root: the folder or URL with both"
        ),
    ),
)

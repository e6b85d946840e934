"""The Perception Test's point tracking as an entry of the registry."""

from __future__ import annotations

from probe4d.specs import DatasetSpec

DATASETS = (
    DatasetSpec(
        name="perception_test",
        target="probe4d_datasets.perception_test:PerceptionTest",
        summary="Perception Test, point tracking: points followed through whole videos, with when they are hidden.",
        requires=("av>=14", "fsspec>=2024.6"),
        extra="probe4d[video]",
        licence="CC-BY-4.0",
        kinds=("points",),
        splits=("train", "valid", "test"),
        published={"valid": 73},
        tags=("paper", "tracking"),
        access=(
            "https://storage.googleapis.com/dm-perception-test/zip_data/point_tracking_valid_annotations.zip and "
            "…_videos.zip, no login, 1.1 GB. root: the folder or URL with them, zipped or not"
        ),
    ),
)

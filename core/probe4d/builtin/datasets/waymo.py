"""The Waymo Open Dataset as an entry of the registry."""

from __future__ import annotations

from probe4d.specs import DatasetSpec

DATASETS = (
    DatasetSpec(
        name="waymo",
        target="probe4d_datasets.waymo.dataset:Waymo",
        summary="Waymo Open perception: 2-D box tracks of one camera, from v1 TFRecord or v2 parquet.",
        requires=("fsspec>=2024.6", "pillow>=10", "pyarrow>=16"),
        extra="probe4d[video,parquet]",
        kinds=("boxes",),
        splits=("training", "validation"),
        licence="Waymo Dataset License Agreement for Non-Commercial Use",
        published={"training": 798, "validation": 202},
        tags=("tracking", "driving"),
        access="an account that accepted the licence of waymo.com/open: gs://waymo_open_dataset_v_1_4_3 or _v_2_0_1",
    ),
)

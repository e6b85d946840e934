"""Something-Something v2 as an entry of the registry."""

from __future__ import annotations

from probe4d.specs import DatasetSpec

DATASETS = (
    DatasetSpec(
        name="ssv2",
        target="probe4d_datasets.ssv2:SomethingSomething",
        summary="Something-Something v2: what hands do to things, in 174 classes; 168,913 / 24,777 / 27,157 videos.",
        requires=("av>=14", "fsspec>=2024.6"),
        extra="probe4d[video]",
        licence="Qualcomm research licence (not for commercial use)",
        kinds=("labels",),
        splits=("train", "validation", "test"),
        published={"train": 168_913, "validation": 24_777, "test": 27_157},
        tags=("paper", "action"),
        access=(
            "account and licence at https://www.qualcomm.com/developer/software/something-something-v-2-dataset; "
            "19.4 GB. root: the folder or URL with labels/ and 20bn-something-something-v2/"
        ),
    ),
)

"""The TAP-Vid evaluation sets as entries of the registry."""

from __future__ import annotations

from typing import Any

from probe4d.specs import DatasetSpec

SHARED: dict[str, Any] = {
    "target": "probe4d_datasets.tapvid.dataset:TapVid",
    "requires": ("av>=14", "fsspec>=2024.6", "pillow>=10"),
    "extra": "probe4d[video]",
    "kinds": ("points",),
    "splits": ("test",),
    "tags": ("tracking", "evaluation"),
}

DATASETS = (
    DatasetSpec(
        name="tapvid_davis",
        summary="TAP-Vid-DAVIS: annotated point tracks on 30 real videos.",
        licence="CC-BY-4.0 (annotations); the videos' own, by DAVIS",
        access="no login; https://storage.googleapis.com/dm-tapnet/tapvid_davis.zip",
        options={"subset": "davis"},
        **SHARED,
    ),
    DatasetSpec(
        name="tapvid_rgb_stacking",
        summary="TAP-Vid-RGB-Stacking: exact point tracks on 50 videos of simulated robots.",
        licence="CC-BY-4.0 (annotations and videos)",
        access="no login; https://storage.googleapis.com/dm-tapnet/tapvid_rgb_stacking.zip",
        options={"subset": "rgb_stacking"},
        **SHARED,
    ),
    DatasetSpec(
        name="tapvid_kinetics",
        summary="TAP-Vid-Kinetics: annotated point tracks on 1,189 YouTube videos, from pickles or the csv.",
        licence="CC-BY-4.0 (annotations); the videos' own, by their authors",
        access="tracks: https://storage.googleapis.com/dm-tapnet/tapvid_kinetics.zip; the videos of Kinetics-700",
        options={"subset": "kinetics"},
        **SHARED,
    ),
)

"""Datasets of the user's own files as entries of the registry."""

from __future__ import annotations

from probe4d.specs import DatasetSpec

DATASETS = (
    DatasetSpec(
        name="video-folder",
        target="probe4d_datasets.own.video_folder:VideoFolder",
        summary="Your videos, a folder per class, or each video a class by itself.",
        requires=("av>=14", "fsspec>=2024.6"),
        extra="probe4d[video]",
        kinds=("labels",),
        tags=("your-own", "video"),
        access="root: a folder or fsspec URL of yours",
    ),
    DatasetSpec(
        name="mot-folder",
        target="probe4d_datasets.own.mot_folder:MotFolder",
        summary="Your sequences with box tracks, in the MOTChallenge layout.",
        requires=("av>=14", "fsspec>=2024.6", "pillow>=10"),
        extra="probe4d[video]",
        kinds=("boxes",),
        tags=("your-own", "tracking"),
        access="root: a folder or fsspec URL of yours",
    ),
    DatasetSpec(
        name="rgbd-folder",
        target="probe4d_datasets.own.rgbd_folder:RgbdFolder",
        summary="Your RGB-D sequences with depth and camera poses, in the TUM layout.",
        requires=("fsspec>=2024.6", "pillow>=10"),
        extra="probe4d[video]",
        kinds=("depth", "pose"),
        tags=("your-own", "depth", "camera"),
        access="root: a folder or fsspec URL of yours",
    ),
    DatasetSpec(
        name="points-npz",
        target="probe4d_datasets.own.points_npz:PointsNpz",
        summary="Your point tracks in npz files, over video files of the same name.",
        requires=("av>=14", "fsspec>=2024.6"),
        extra="probe4d[video]",
        kinds=("points",),
        tags=("your-own", "tracking"),
        access="root: a folder or fsspec URL of yours",
    ),
)

"""Tasks over the user's own data: `[data.video-folder]` and so on of a suite say what is in them."""

from __future__ import annotations

from probe4d.specs import ClipSampling, DataRef, TaskSpec


def _measured(dataset: str, kind: str, primary: str, summary: str, *, fit: str) -> TaskSpec:
    """Return a task whose targets were measured: a random clip of each sample trains, four even ones are asked for."""
    return TaskSpec(
        name=f"{dataset}-{kind}",
        summary=summary,
        kind=kind,
        train=DataRef(dataset=f"probe4d/{dataset}", split="train"),
        evaluate=DataRef(dataset=f"probe4d/{dataset}", split="val"),
        readout=f"readouts/{kind}",
        metrics=(primary.partition(".")[0],),
        primary=primary,
        train_clip=ClipSampling(start="random", fit=fit),
        evaluate_clip=ClipSampling(start="even", clips=4, fit=fit),
        tags=("your-own", kind),
    )


TASKS = (
    TaskSpec(
        name="video-folder-labels",
        summary="classes of your own videos: which folder, or which video, a clip is of",
        kind="labels",
        train=DataRef(dataset="probe4d/video-folder", split="train"),
        evaluate=DataRef(dataset="probe4d/video-folder", split="val"),
        readout="readouts/labels",
        metrics=("probe4d/accuracy",),
        primary="probe4d/accuracy.top1",
        train_clip=ClipSampling(frames=16, start="random", size=(224, 224), augment=("random-crop",)),
        evaluate_clip=ClipSampling(frames=16, start="center", size=(224, 224)),
        tags=("your-own", "video"),
    ),
    # Points and boxes at the rim are asked for too, so both sides are resized and nothing is cut off.
    _measured(
        "mot-folder",
        "boxes",
        "probe4d/box_iou.mean_iou",
        "follow the boxes of your own MOTChallenge sequences, given the first frame",
        fit="stretch",
    ),
    _measured(
        "points-npz",
        "points",
        "probe4d/point_tracks.average_jaccard",
        "follow your own points, given their place in the first frame",
        fit="stretch",
    ),
    _measured(
        "rgbd-folder",
        "depth",
        "probe4d/depth_error.abs_rel",
        "depth of your own RGB-D sequences, in metres",
        fit="center",
    ),
    _measured(
        "rgbd-folder",
        "pose",
        "probe4d/pose_error.epe",
        "how the camera of your own sequences moved from the first frame to the last, in metres",
        fit="center",
    ),
)

"""The five tasks on the embedded benchmark."""

from __future__ import annotations

from probe4d.specs import ClipSampling, DataRef, TaskSpec

# Clips are whole, 16 frames of the dataset's own size; a suite sets both sizes alike.
CLIP = ClipSampling(frames=16, start="first", size=(128, 128), fit="stretch")


def _task(kind: str, metric: str, primary: str, summary: str, **readout_options: object) -> TaskSpec:
    return TaskSpec(
        name=f"playroom-{kind}",
        summary=summary,
        kind=kind,
        train=DataRef(dataset="probe4d/playroom", split="train"),
        evaluate=DataRef(dataset="probe4d/playroom", split="val"),
        readout=f"readouts/{kind}",
        readout_options=readout_options,
        metrics=(f"probe4d/{metric}",),
        primary=f"probe4d/{metric}.{primary}",
        train_clip=CLIP,
        evaluate_clip=CLIP,
        tags=("synthetic", "offline"),
    )


TASKS = (
    _task(
        "points", "point_tracks", "average_jaccard", "follow points through 16 frames, given their place in the first"
    ),
    _task("boxes", "box_iou", "mean_iou", "follow boxes through 16 frames, given the first"),
    _task("pose", "pose_error", "epe", "motion of the camera from the first frame to the last, in metres"),
    _task("depth", "depth_error", "abs_rel", "depth of every pixel of every frame, in metres"),
    _task("labels", "accuracy", "top1", "which of 12 motions, ten of them told apart by time alone", classes=12),
)

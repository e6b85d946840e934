"""A task over the user's own videos: `[data.video-folder]` of a suite says what is in them."""

from __future__ import annotations

from probe4d.specs import ClipSampling, DataRef, TaskSpec

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
)

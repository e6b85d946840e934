"""The paper's five tasks on their own data: what is sampled and augmented how. "Paper" is arXiv 2412.15212.

Every choice that the paper leaves open is a field here, marked DECIDE; a suite can override it and records hold it.
"""

from __future__ import annotations

from probe4d.specs import ClipSampling, DataRef, TaskSpec

# Training clips that are cut out of one long video, so that a cache of one view holds tens of thousands of clips.
# Source: DECIDE; the paper draws clips online and is silent on caching.
CLIPS_OF_A_SCENE = 32  # ScanNet: 38,432 clips of 1,201 scenes; Waymo: 25,536 of 798 segments
CLIPS_OF_A_MOVI = 4  # 38,996 clips of 9,749 videos

SSV2 = TaskSpec(
    name="ssv2",
    summary="which of 174 actions a video of Something-Something v2 shows; top-1",
    kind="labels",
    train=DataRef(dataset="probe4d/ssv2", split="train"),
    evaluate=DataRef(dataset="probe4d/ssv2", split="validation"),
    # Source: paper A.2.1: stride 2, short side 239, random crop of 224, no flip, as labels know directions.
    train_clip=ClipSampling(
        stride=2, short_side=239, augment=("random-crop", "colour-jitter", "grayscale"), start="random"
    ),
    # Source: paper A.2.1: one centre crop. DECIDE its middle in time, and the training's short side.
    evaluate_clip=ClipSampling(stride=2, short_side=239, start="center"),
    readout="readouts/labels",
    readout_options={"classes": 174},
    metrics=("probe4d/accuracy",),
    primary="probe4d/accuracy.top1",
    tags=("paper", "action"),
)

RE10K = TaskSpec(
    name="re10k",
    summary="how the camera moved from the first frame to the last in RealEstate10K, in metres; end-point error",
    kind="pose",
    train=DataRef(dataset="probe4d/re10k", split="train"),
    evaluate=DataRef(dataset="probe4d/re10k", split="test"),
    # Source: DECIDE stride 1, the centre of the short-side resize, no augmentation; paper A.2.2 is silent.
    train_clip=ClipSampling(start="random"),
    evaluate_clip=ClipSampling(start="even", clips=4),  # Source: DECIDE 4, evenly spaced
    readout="readouts/pose",
    metrics=("probe4d/pose_error",),
    primary="probe4d/pose_error.epe",
    tags=("paper", "camera"),
)

PERCEPTION_TEST = TaskSpec(
    name="perception_test",
    summary="follow points through 16 frames of Perception Test, trained on Kubric MOVi-E; average Jaccard",
    kind="points",
    train=DataRef(dataset="probe4d/movi_e", split="train", options={"targets": ("points",)}),
    evaluate=DataRef(dataset="probe4d/perception_test", split="valid"),
    # Source: paper A.2.3: 16 of 24 frames, crops of area 0.3-1 and aspect 0.5-2. DECIDE contiguous, at a random start.
    train_clip=ClipSampling(start="random", clips=CLIPS_OF_A_MOVI, augment=("area-crop",)),
    # Source: paper A.2.3: stride 4. DECIDE from frame 0, both sides resized.
    evaluate_clip=ClipSampling(stride=4, start="first", fit="stretch"),
    readout="readouts/points",
    metrics=("probe4d/point_tracks",),
    primary="probe4d/point_tracks.average_jaccard",
    tags=("paper", "tracking"),
)

SCANNET = TaskSpec(
    name="scannet",
    summary="depth of every pixel of 16 frames of ScanNet, in metres; absolute relative error",
    kind="depth",
    train=DataRef(dataset="probe4d/scannet", split="train"),
    evaluate=DataRef(dataset="probe4d/scannet", split="val"),
    # Source: paper A.2.5: random crop and flip. DECIDE stride 2 ("just over 1 s" at 30 fps), crops as of SSv2.
    train_clip=ClipSampling(stride=2, start="random", clips=CLIPS_OF_A_SCENE, augment=("random-crop", "flip")),
    # Source: paper A.2.5: centre crop. DECIDE four evenly spaced clips a scene, as for RealEstate10K.
    evaluate_clip=ClipSampling(stride=2, start="even", clips=4),
    readout="readouts/depth",
    metrics=("probe4d/depth_error",),
    primary="probe4d/depth_error.abs_rel",
    tags=("paper", "depth"),
)

WAYMO = TaskSpec(
    name="waymo",
    summary="follow boxes through 16 frames of Waymo Open, given the first; mean IoU",
    kind="boxes",
    train=DataRef(dataset="probe4d/waymo", split="training"),
    evaluate=DataRef(dataset="probe4d/waymo", split="validation"),
    # Source: paper A.2.4: 5 of the 10 fps, random in time; 256x384 and its central 256x256 are the dataset's.
    train_clip=ClipSampling(stride=2, start="random", clips=CLIPS_OF_A_SCENE, size=(256, 256)),
    # Source: paper A.2.4: 4096 clips, random in time. DECIDE as many of each segment, by seed.
    evaluate_clip=ClipSampling(stride=2, start="random", clips=21, total=4096, size=(256, 256)),
    readout="readouts/boxes",
    metrics=("probe4d/box_iou",),
    primary="probe4d/box_iou.mean_iou",
    tags=("paper", "tracking"),
)

TASKS = (SSV2, RE10K, PERCEPTION_TEST, SCANNET, WAYMO)

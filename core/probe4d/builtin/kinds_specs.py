"""The five prediction kinds of the paper's tasks: what a scorer writes and a metric takes."""

from __future__ import annotations

from probe4d.specs import KindSpec

KINDS = (
    KindSpec(
        name="points",
        target="probe4d.builtin.kinds.points:Points",
        schema="probe4d/points/1",
        training="probe4d_runners.targets:PointTargets",
        summary="Point tracks (n, t, 2) with visibility, and the queries they start from.",
    ),
    KindSpec(
        name="depth",
        target="probe4d.builtin.kinds.depth:Depth",
        schema="probe4d/depth/1",
        training="probe4d_runners.targets:DepthTargets",
        summary="Depth maps (t, h, w).",
    ),
    KindSpec(
        name="pose",
        target="probe4d.builtin.kinds.pose:Pose",
        schema="probe4d/pose/1",
        training="probe4d_runners.targets:PoseTargets",
        summary="Relative camera pose [R|t] between the first and the last frame.",
    ),
    KindSpec(
        name="boxes",
        target="probe4d.builtin.kinds.boxes:Boxes",
        schema="probe4d/boxes/1",
        training="probe4d_runners.targets:BoxTargets",
        summary="Box tracks (n, t, 4), present or not.",
    ),
    KindSpec(
        name="labels",
        target="probe4d.builtin.kinds.labels:Labels",
        schema="probe4d/labels/1",
        training="probe4d_runners.targets:LabelTargets",
        summary="One class per clip, as logits or as the class itself.",
    ),
)

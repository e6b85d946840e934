"""The five metrics of probe4d; `probe4d_metrics` computes them and imports nothing of probe4d."""

from __future__ import annotations

from probe4d.specs import MetricSpec, MetricValue

THRESHOLDS = (1, 2, 4, 8, 16)  # pixels of the 256x256 raster


def _ratio(name: str, summary: str, best: float = 1.0) -> MetricValue:
    return MetricValue(name=name, best=best, worst=0.0, summary=summary)


def _error(name: str, unit: str, summary: str, worst: float | None = None) -> MetricValue:
    return MetricValue(name=name, higher_is_better=False, unit=unit, best=0.0, worst=worst, summary=summary)


METRICS = (
    MetricSpec(
        name="point_tracks",
        kind="points",
        target="probe4d_metrics.tracks:PointTracks",
        summary="TAP-Vid: average Jaccard, occlusion accuracy, points within 1 to 16 px of a 256x256 raster",
        values=(
            _ratio("average_jaccard", "mean of the five Jaccards, per video, then over videos"),
            *(_ratio(f"jaccard_{px}", f"true positives within {px} px") for px in THRESHOLDS),
            _ratio("occlusion_accuracy", "points whose visibility is predicted right"),
            _ratio("points_within_delta", "mean of the five points_within values"),
            *(_ratio(f"points_within_{px}", f"visible points less than {px} px away") for px in THRESHOLDS),
        ),
    ),
    MetricSpec(
        name="depth_error",
        kind="depth",
        target="probe4d_metrics.depth:DepthError",
        summary="AbsRel, delta 1 and RMSE, pooled over the valid pixels of all samples",
        values=(
            _error("abs_rel", "", "|target - prediction| / (target + 1e-6)"),
            _ratio("delta_1", "pixels whose depth is less than 1.25 times off"),
            _error("rmse", "m", "root of the mean squared error"),
        ),
    ),
    MetricSpec(
        name="pose_error",
        kind="pose",
        target="probe4d_metrics.pose:PoseError",
        summary="end-point error of the corners of a 10 m cube under a relative camera pose",
        values=(
            _error("epe", "m", "mean distance of 8 corners, over samples"),
            _error("rotation_deg", "deg", "median angle between the rotations", worst=180.0),
            _error("translation_m", "m", "median distance between the translations"),
        ),
    ),
    MetricSpec(
        name="box_iou",
        kind="boxes",
        target="probe4d_metrics.boxes:BoxIoU",
        summary="mean IoU of tracked boxes, the first frame excluded",
        values=(
            _ratio("mean_iou", "pooled over boxes and frames"),
            _ratio("mean_iou_nested", "mean over samples of each sample's mean IoU"),
            _ratio("success_auc", "mean share of boxes with IoU > 0, 0.05, …, 1 (at most 20/21)", best=20 / 21),
        ),
    ),
    MetricSpec(
        name="accuracy",
        kind="labels",
        target="probe4d_metrics.labels:Accuracy",
        summary="top-1 and top-5 accuracy; the first index wins ties",
        values=(
            _ratio("top1", "samples whose label has the highest logit"),
            _ratio("top5", "samples whose label is among the five highest logits"),
        ),
    ),
)

"""The metrics of probe4d: numpy in, numbers out, and nothing of probe4d imported.

Each metric is a pure function first, and a mergeable state of exact sums second. A metric of your own
is a subclass of `Metric`; see `probe4d_metrics.state`.
"""

from __future__ import annotations

from probe4d_metrics.aggregates import mean_rank, relative_to_baseline, worst_task
from probe4d_metrics.bootstrap import bootstrap_ci, paired_difference
from probe4d_metrics.boxes import BoxIoU, box_iou, pairwise_iou
from probe4d_metrics.depth import DepthError, abs_rel, valid_depth
from probe4d_metrics.estimators import Average, Estimator, Largest, Mean, Median, Ratio, Root, Total
from probe4d_metrics.labels import Accuracy, label_ranks
from probe4d_metrics.pose import CUBE_CORNERS, PoseError, end_point_error, project_so3, rotation_angle
from probe4d_metrics.shapes import check_shapes
from probe4d_metrics.state import LeftOut, Measured, Metric, State, Undefined
from probe4d_metrics.tracks import PointTracks, tapvid_metrics, to_raster

__all__ = [
    "CUBE_CORNERS",
    "Accuracy",
    "Average",
    "BoxIoU",
    "DepthError",
    "Estimator",
    "Largest",
    "LeftOut",
    "Mean",
    "Measured",
    "Median",
    "Metric",
    "PointTracks",
    "PoseError",
    "Ratio",
    "Root",
    "State",
    "Total",
    "Undefined",
    "abs_rel",
    "bootstrap_ci",
    "box_iou",
    "check_shapes",
    "end_point_error",
    "label_ranks",
    "mean_rank",
    "paired_difference",
    "pairwise_iou",
    "project_so3",
    "relative_to_baseline",
    "rotation_angle",
    "tapvid_metrics",
    "to_raster",
    "valid_depth",
    "worst_task",
]

"""Plain numpy transcriptions of the published formulas, to compare speed and values with."""

from __future__ import annotations

import numpy as np

THRESHOLDS = (1, 2, 4, 8, 16)


def plain_tapvid(pred_tracks, pred_visible, target_tracks, target_visible, query_points, query_mode):
    """The TAP-Vid metrics as their paper and tapnet's `compute_tapvid_metrics` state them, `(b,)` each."""
    frames = target_tracks.shape[2]
    eye = np.eye(frames, dtype=np.int32)
    query_to_evaluated = np.cumsum(eye, axis=1) - eye if query_mode == "first" else 1 - eye
    query_frame = np.round(query_points[..., 0]).astype(np.int32)
    evaluated = query_to_evaluated[query_frame] > 0
    out, jaccards, fractions = {}, [], []
    out["occlusion_accuracy"] = np.sum(np.equal(pred_visible, target_visible) & evaluated, axis=(1, 2)) / np.sum(
        evaluated, axis=(1, 2)
    )
    for threshold in THRESHOLDS:
        within = np.sum(np.square(pred_tracks - target_tracks), axis=-1) < np.square(threshold)
        correct = within & target_visible
        visible = np.sum(target_visible & evaluated, axis=(1, 2))
        fraction = np.sum(correct & evaluated, axis=(1, 2)) / visible
        true_positives = np.sum(correct & pred_visible & evaluated, axis=(1, 2))
        false_positives = (~target_visible & pred_visible) | (~within & pred_visible)
        false_positives = np.sum(false_positives & evaluated, axis=(1, 2))
        jaccard = true_positives / (visible + false_positives)
        out[f"points_within_{threshold}"], out[f"jaccard_{threshold}"] = fraction, jaccard
        fractions.append(fraction)
        jaccards.append(jaccard)
    out["average_jaccard"] = np.mean(np.stack(jaccards, axis=1), axis=1)
    out["points_within_delta"] = np.mean(np.stack(fractions, axis=1), axis=1)
    return out


def plain_abs_rel(pred, target, valid):
    """AbsRel pooled over valid pixels."""
    error = np.abs(target - pred) / (target + 1e-6)
    return np.sum(np.where(valid, error, 0.0)) / np.sum(valid)


def plain_iou(pred, target):
    """IoU of `(..., 4)` boxes row by row, as torchvision's and DETR's `box_iou` state it."""
    low = np.maximum(pred[..., :2], target[..., :2])
    high = np.minimum(pred[..., 2:], target[..., 2:])
    sides = np.clip(high - low, 0, None)
    inter = sides[..., 0] * sides[..., 1]
    pred_area = (pred[..., 2] - pred[..., 0]) * (pred[..., 3] - pred[..., 1])
    target_area = (target[..., 2] - target[..., 0]) * (target[..., 3] - target[..., 1])
    return inter / (pred_area + target_area - inter)


def plain_epe(pred, target):
    """End-point error `(b,)` of the corners of the cube under `(b, 3, 4)` poses."""
    corners = np.array([[x, y, z, 1.0] for x in (-5, 5) for y in (-5, 5) for z in (0, 10)]).T  # (4, 8)
    return np.mean(np.linalg.norm(pred @ corners - target @ corners, axis=1), axis=-1)

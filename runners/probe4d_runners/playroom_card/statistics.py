"""Numbers that say what a split's clips are like."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from probe4d_datasets.playroom import CLASSES, Playroom
from probe4d_datasets.playroom.leakage import first_frame_ceiling
from probe4d_datasets.playroom.scene import MOTIONS, PAIRS
from probe4d_runners.playroom_card.baselines import relative_pose

RASTER = 256.0  # pixels that way lengths are given in, whatever the size


def describe(clips: Playroom) -> list[tuple[str, str]]:
    """Return names and values, as a table's rows."""
    classes: Counter[str] = Counter()
    things, visible, hidden_runs, ways, still = [], [], [], [], []
    areas, shifts, depths, turns, travels, shares = [], [], [], [], [], []
    for clip in clips.sample_ids():
        scene, sample = clips.scene(clip), clips.load(clip)
        classes[CLASSES[scene.label]] += 1
        points, boxes = sample.targets["points"], sample.targets["boxes"]
        things.append(len(scene.things))
        visible.append(points["visible"].mean())
        hidden_runs.append((~points["visible"]).any(1).mean())
        scale = RASTER / np.array((clips.size[1], clips.size[0]))
        way = np.sqrt((((points["tracks"][:, -1] - points["tracks"][:, 0]) * scale) ** 2).sum(1))
        half = len(way) // 2  # the first half of the points is on things
        ways += way[:half].tolist()
        still += way[half:].tolist()
        height, width = (boxes["boxes"][..., i + 2] - boxes["boxes"][..., i] for i in (0, 1))
        areas += (height * width)[boxes["present"]].tolist()
        shown = boxes["present"][:, 0] & boxes["present"][:, -1]
        centers = (boxes["boxes"][..., :2] + boxes["boxes"][..., 2:])[shown] / 2
        shifts += np.sqrt(((centers[:, -1] - centers[:, 0]) ** 2).sum(-1)).tolist()
        depths.append(np.quantile(sample.targets["depth"]["depth"], (0.0, 0.5, 1.0)))
        pose = relative_pose(sample)
        turns.append(math.degrees(math.acos(min((np.trace(pose[:, :3]) - 1) / 2, 1.0))))
        travels.append(float(np.sqrt((pose[:, 3] ** 2).sum())))
        ids = clips.object_ids(clip)
        shares += [float((ids == mover + 1).mean()) for mover in scene.movers]
    nearest, median, farthest = np.array(depths).T
    return [
        ("clips", f"{clips.length} of {clips.frames} frames, {clips.size[0]}x{clips.size[1]}"),
        ("clips of a class", f"{min(classes.values())} to {max(classes.values())}"),
        ("things in a scene", f"{min(things)} to {max(things)}, mean {np.mean(things):.2f}"),
        ("a mover's share of the pixels", _spread(shares, "{:.1%}")),
        ("points visible", f"{np.mean(visible):.1%} of all; {np.mean(hidden_runs):.1%} are hidden at some time"),
        ("way of points on things, first to last (px of 256)", _spread(ways, "{:.1f}")),
        ("way of points on the room (px of 256)", _spread(still, "{:.1f}")),
        ("area of boxes (share of the frame)", _spread(areas, "{:.2%}")),
        ("way of box centres, first to last (share of the frame)", _spread(shifts, "{:.2f}")),
        ("depth (m)", f"{nearest.min():.2f} to {farthest.max():.2f}, median {np.median(median):.2f}"),
        ("camera's way, first to last (m)", _spread(travels, "{:.2f}")),
        ("camera's turn, first to last (degrees)", _spread(turns, "{:.1f}")),
    ]


def _spread(values: list[float], form: str) -> str:
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
    return f"median {form.format(middle)}; 5 % to 95 %: {form.format(low)} to {form.format(high)}"


def ceilings(seeds: range) -> list[tuple[str, float]]:
    """Return what an ideal observer of the first frame knows of the direction, per pair and in all."""
    pairs = [(motion, first_frame_ceiling(motion, seeds)) for motion in MOTIONS[:PAIRS]]
    within = sum(value for _, value in pairs) / PAIRS
    over = (2 * sum(value for _, value in pairs) + len(MOTIONS) - PAIRS) / len(CLASSES)
    return [*pairs, ("mean within pairs", within), ("all twelve classes, told the pair", over)]

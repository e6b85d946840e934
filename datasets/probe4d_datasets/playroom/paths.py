"""How things move in each motion, where they start, and what others keep clear of."""

from __future__ import annotations

from attrs import frozen

from probe4d_datasets.playroom.exact import PI, UP, Mat, Stream, Vec, add, dot, norm, product, scale, sub, turn
from probe4d_datasets.playroom.scene import Path, Stage, radius_of

MARGIN = 0.03  # metres between bounding spheres
DEPTHS = (2.0, 4.2)  # metres in front of the camera's mean place
SIDES = 0.68  # share of the field of view that tracks are centred in
BASES = (0.0, 1.65)  # metres from the floor to a thing's bounding sphere
CLOSEST, WIDEST = 0.0, 1.9  # metres between two that collide or separate, beyond MARGIN


def draw_place(layout: Stream, stage: Stage, depths: tuple[float, float], sides: float) -> tuple[float, float]:
    """Return (side, depth): even in depth, and in the image's width."""
    depth = layout.uniform(*depths)
    return layout.signed(sides * stage.tan_half) * depth, depth


@frozen(kw_only=True)
class Lane:
    """What others keep clear of: a ball, or, along an axis, the whole line that it could come from or go to.

    Were only the part that the mover uses kept clear, a thing beside it would tell where it is not going.
    """

    center: Vec
    radius: float
    axis: Vec | None = None

    def clears(self, point: Vec, radius: float) -> bool:
        """Say whether a ball stays outside."""
        away = sub(point, self.center)
        if self.axis is not None:
            away = sub(away, scale(self.axis, dot(away, self.axis)))
        return norm(away) > self.radius + radius + MARGIN


def draw_paths(
    layout: Stream, stage: Stage, motion: str, shapes: list[tuple[str, Vec]]
) -> tuple[list[Path], list[Lane]]:
    """Return the paths of the movers, which are the first shapes, and what the others keep clear of."""
    side, depth = draw_place(layout, stage, DEPTHS, SIDES)
    ease, skew = layout.uniform(0.0, 0.7), layout.signed(0.25)
    turns = [product(turn(2, layout.signed(PI)), turn(0, layout.signed(0.4))) for _ in range(2)]
    radii = [radius_of(*shape) for shape in shapes[:2]]
    if motion in ("collide", "swap"):
        return _two_paths(layout, stage, motion, stage.place(side, depth, 0.0), radii, turns, (ease, skew))
    rise = layout.uniform(0.35, 0.5) if motion == "lift" else 0.0
    height = radii[0] + layout.uniform(BASES[0] + rise / 2, BASES[1] - rise / 2)
    center = stage.place(side, depth, height)
    axis: Vec | None = None
    shift, spin = (0.0, 0.0, 0.0), 0.0
    if motion == "push":
        axis, shift = stage.right, scale(stage.right, -layout.uniform(0.55, 0.85))
    elif motion == "approach":
        axis, shift = stage.forward, scale(stage.forward, -layout.uniform(0.55, 0.85))
    elif motion == "lift":
        axis, shift = UP, (0.0, 0.0, rise)
    elif motion == "spin":
        spin = -layout.uniform(1.2, 2.4)
    path = Path(center=center, rotation=turns[0], shift=shift, spin=spin, ease=ease, skew=skew)
    return [path], [Lane(center=center, radius=radii[0], axis=axis)]


def _two_paths(
    layout: Stream,
    stage: Stage,
    motion: str,
    ground: Vec,
    radii: list[float],
    turns: list[Mat],
    speed: tuple[float, float],
) -> tuple[list[Path], list[Lane]]:
    base = layout.uniform(*BASES)
    heights = [base + radius for radius in radii]
    across, along, _ = turn(2, layout.signed(0.6))[0]
    axis = add(scale(stage.right, across), scale(stage.forward, along))
    touching = radii[0] + radii[1] + MARGIN
    closing = layout.uniform(0.4, 0.6) if motion == "collide" else 0.0
    near, far = (CLOSEST + closing / 2, WIDEST - closing / 2) if motion == "collide" else (0.05, 0.5)
    gap = layout.uniform(near, far)
    share = layout.uniform(0.3, 0.7)
    clockwise = layout.unit() < 0.5
    paths = []
    for i, sign in enumerate((-1.0, 1.0)):
        place = add(ground, scale(axis, sign * (touching + gap) / 2))
        part = closing * (share if i == 0 else 1.0 - share)
        paths.append(
            Path(
                center=(place[0], place[1], heights[i]),
                rotation=turns[i],
                shift=scale(axis, -sign * part),
                pivot=ground if motion == "swap" else None,
                orbit=(-PI if clockwise else PI) if motion == "swap" else 0.0,
                ease=speed[0],
                skew=speed[1],
            )
        )
    middle = (ground[0], ground[1], (heights[0] + heights[1]) / 2)
    if motion == "swap":
        reach = (touching + gap) / 2 + max(radii)
        return paths, [Lane(center=middle, radius=reach, axis=UP)]
    return paths, [Lane(center=middle, radius=max(radii) + abs(heights[0] - heights[1]) / 2, axis=axis)]


def draw_still(layout: Stream, stage: Stage, radius: float, clear: list[Lane]) -> Path | None:
    """Return the path of a thing that stands by, clear of all lanes, or None where 20 places were not."""
    for _ in range(20):
        side, depth = draw_place(layout, stage, (1.8, 4.5), 0.8)
        center = stage.place(side, depth, radius + layout.uniform(*BASES))
        rotation = product(turn(2, layout.signed(PI)), turn(0, layout.signed(0.4)))
        if all(lane.clears(center, radius) for lane in clear):
            return Path(center=center, rotation=rotation)
    return None

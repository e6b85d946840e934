"""Scenes drawn from a seed, so that no frame betrays which way time runs.

The motion is drawn as a whole, forwards; a bit that nothing else depends on plays it backwards,
camera included. So both members of a pair have the same frames, and whoever ignores their order
knows nothing of the bit. What remains is what one *named* frame can know: the place where the
mover is, as a mover that goes left has to start further right. Its places are drawn from one
range that is wide against the way it goes; the card states what an ideal observer makes of it.

Everything that a draw is rejected for depends on the whole path in both directions.
"""

from __future__ import annotations

import math

from attrs import frozen

from probe4d_datasets.playroom.exact import PI, UP, Mat, Stream, Vec, add, cross, dot, norm, product, scale, sub, turn
from probe4d_datasets.playroom.looks import draw_material
from probe4d_datasets.playroom.scene import (
    MOTIONS,
    CameraPath,
    Light,
    Path,
    Room,
    Scene,
    Stage,
    Thing,
    project,
    segment_distance,
)

STREAMS = 4  # independent streams per clip seed: layout, looks, points, playback
LAYOUT, LOOKS, POINTS, PLAYBACK = range(STREAMS)
CHECKED_TIMES = tuple(i / 8 for i in range(9))
MARGIN = 0.03  # metres between bounding spheres
IN_VIEW = 0.9  # share of the field of view that a mover's centre keeps to
DEPTHS = (2.0, 4.2)  # metres in front of the camera's mean place
SIDES = 0.68  # share of the field of view that tracks are centred in
BASES = (0.0, 1.65)  # metres from the floor to a thing's bounding sphere
CLOSEST, WIDEST = 0.0, 1.9  # metres between two that collide or separate, beyond MARGIN


def stream(seed: int, which: int) -> Stream:
    """Return one of the independent streams of a clip's seed."""
    return Stream(seed * STREAMS + which)


def draw_scene(seed: int, motion: str, reverse: bool) -> Scene:
    """Return the scene of a seed and a motion; the same scene backwards where `reverse`."""
    layout = stream(seed, LAYOUT)
    for _ in range(2000):
        scene = _draft(layout, seed, motion, reverse)
        if scene is not None:
            return scene
    raise RuntimeError(f"seed {seed}, {motion}: no scene in 2000 drafts")


def _draft(layout: Stream, seed: int, motion: str, reverse: bool) -> Scene | None:
    stage = _draw_stage(layout)
    camera = _draw_camera(layout, stage)
    looks = stream(seed, LOOKS)
    room, light = _draw_room(layout, looks)
    count = 3 + layout.below(2)
    shapes = [_draw_shape(layout) for _ in range(count)]
    paths, clear = _draw_paths(layout, stage, motion, shapes)
    for shape, half in shapes[len(paths) :]:
        path = _draw_still(layout, stage, _radius(shape, half), clear)
        if path is None:
            return None
        clear.append(Lane(center=path.center, radius=_radius(shape, half)))
        paths.append(path)
    order = layout.shuffled(count)
    things = [
        Thing(shape=shape, half=half, path=path, material=draw_material(looks, "thing"))
        for (shape, half), path in zip(shapes, paths, strict=True)
    ]
    moving = 2 if motion in ("collide", "swap") else 1
    scene = Scene(
        seed=seed,
        stage=stage,
        motion=motion,
        reverse=reverse,
        things=tuple(things[i] for i in order),
        movers=tuple(order.index(i) for i in range(moving)),
        room=room,
        light=light,
        camera=camera,
    )
    return scene if fits(scene) else None


def _draw_stage(layout: Stream) -> Stage:
    (forward_x, forward_y, _), _, _ = turn(2, layout.signed(PI))
    forward = (forward_x, forward_y, 0.0)
    return Stage(
        forward=forward,
        right=cross(forward, UP),
        distance=layout.uniform(2.6, 3.0),
        tan_half=layout.uniform(0.52, 0.72),
    )


def _draw_camera(layout: Stream, stage: Stage) -> CameraPath:
    """Return a path whose two ends are drawn alike, so that its law is the same backwards."""
    height = layout.uniform(0.9, 1.8)

    def eye() -> Vec:
        return stage.place(layout.signed(0.4), layout.signed(0.2), height + layout.signed(0.2))

    def target() -> Vec:
        depth = stage.distance + layout.signed(0.3)
        return stage.place(layout.signed(0.3), depth, 0.85 + layout.signed(0.2))

    return CameraPath(
        eyes=(eye(), eye()),
        targets=(target(), target()),
        rolls=(layout.signed(0.14), layout.signed(0.14)),
        bend=(layout.signed(0.12), layout.signed(0.12), layout.signed(0.08)),
        tan_half=stage.tan_half,
    )


def _draw_room(layout: Stream, looks: Stream) -> tuple[Room, Light]:
    x, y = layout.signed(0.1), layout.signed(0.1)
    half_x, half_y, height = layout.uniform(3.7, 4.5), layout.uniform(3.7, 4.5), layout.uniform(2.85, 3.3)
    lamp = (layout.signed(1.6), layout.signed(1.6), height - 0.1)
    warmth = layout.uniform(0.75, 1.0)
    floor, wall, ceiling = (draw_material(looks, what) for what in ("floor", "wall", "ceiling"))
    room = Room(
        low=(x - half_x, y - half_y, 0.0),
        high=(x + half_x, y + half_y, height),
        floor=floor,
        wall=wall,
        ceiling=ceiling,
    )
    light = Light(position=lamp, color=(1.0, 0.5 + 0.5 * warmth, warmth), ambient=layout.uniform(0.28, 0.42))
    return room, light


def _draw_shape(layout: Stream) -> tuple[str, Vec]:
    if layout.unit() < 0.5:
        return "box", (layout.uniform(0.17, 0.3), layout.uniform(0.17, 0.3), layout.uniform(0.17, 0.3))
    return "ellipsoid", (layout.uniform(0.22, 0.45), layout.uniform(0.22, 0.45), layout.uniform(0.22, 0.45))


def _draw_place(layout: Stream, stage: Stage, depths: tuple[float, float], sides: float) -> tuple[float, float]:
    """Return (side, depth): even in depth, and in the image's width."""
    depth = layout.uniform(*depths)
    return layout.signed(sides * stage.tan_half) * depth, depth


def _radius(shape: str, half: Vec) -> float:
    return norm(half) if shape == "box" else max(half)


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


def _draw_paths(
    layout: Stream, stage: Stage, motion: str, shapes: list[tuple[str, Vec]]
) -> tuple[list[Path], list[Lane]]:
    """Return the paths of the movers, which are the first shapes, and what the others keep clear of."""
    side, depth = _draw_place(layout, stage, DEPTHS, SIDES)
    ease, skew = layout.uniform(0.0, 0.7), layout.signed(0.25)
    turns = [product(turn(2, layout.signed(PI)), turn(0, layout.signed(0.4))) for _ in range(2)]
    radii = [_radius(*shape) for shape in shapes[:2]]
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


def _draw_still(layout: Stream, stage: Stage, radius: float, clear: list[Lane]) -> Path | None:
    for _ in range(20):
        side, depth = _draw_place(layout, stage, (1.8, 4.5), 0.8)
        center = stage.place(side, depth, radius + layout.uniform(*BASES))
        rotation = product(turn(2, layout.signed(PI)), turn(0, layout.signed(0.4)))
        if all(lane.clears(center, radius) for lane in clear):
            return Path(center=center, rotation=rotation)
    return None


def fits(scene: Scene) -> bool:
    """Say whether all things stay in the room, and the movers in view and not hidden half of the time."""
    hidden = [0] * len(scene.movers)
    for s in CHECKED_TIMES:
        centers = [thing.path.pose(s)[1] for thing in scene.things]
        if not all(
            _inside(scene.room, center, thing.radius) for center, thing in zip(centers, scene.things, strict=True)
        ):
            return False
        for i, mover in enumerate(scene.movers):
            x, y, z = project(scene.camera, centers[mover], s)
            if z < 0.5 or max(abs(x), abs(y)) > IN_VIEW * scene.camera.tan_half:
                return False
            hidden[i] += _hidden(scene, s, mover, centers)
    return max(hidden) * 2 < len(CHECKED_TIMES)


def _inside(room: Room, center: Vec, radius: float) -> bool:
    return all(low + radius <= x <= high - radius for low, x, high in zip(room.low, center, room.high, strict=True))


def _hidden(scene: Scene, s: float, mover: int, centers: list[Vec]) -> bool:
    eye = scene.camera.pose(s)[1]
    return any(
        segment_distance(eye, centers[mover], center) < 0.7 * scene.things[i].radius
        for i, center in enumerate(centers)
        if i != mover
    )


def draw_playback(seed: int, number: int) -> tuple[str, bool]:
    """Return motion and direction of clip `number` of a split: each class once in every dozen, in random order.

    Args:
        seed: of the dozen, not of the clip.
        number: place within the dozen, 0..11.
    """
    bits = stream(seed, PLAYBACK)
    label = bits.shuffled(12)[number]
    if label < 10:
        return MOTIONS[label // 2], bool(label % 2)
    coin = math.floor(2 * [bits.unit() for _ in range(12)][number])
    return MOTIONS[label - 5], bool(coin)

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

from probe4d_datasets.playroom.exact import PI, UP, Stream, Vec, cross, turn
from probe4d_datasets.playroom.looks import draw_material
from probe4d_datasets.playroom.paths import Lane, draw_paths, draw_still
from probe4d_datasets.playroom.scene import (
    MOTIONS,
    CameraPath,
    Light,
    Room,
    Scene,
    Stage,
    Thing,
    project,
    radius_of,
    segment_distance,
)

STREAMS = 4  # independent streams per clip seed: layout, looks, points, playback
LAYOUT, LOOKS, POINTS, PLAYBACK = range(STREAMS)
CHECKED_TIMES = tuple(i / 8 for i in range(9))
IN_VIEW = 0.9  # share of the field of view that a mover's centre keeps to


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
    paths, clear = draw_paths(layout, stage, motion, shapes)
    for shape, half in shapes[len(paths) :]:
        path = draw_still(layout, stage, radius_of(shape, half), clear)
        if path is None:
            return None
        clear.append(Lane(center=path.center, radius=radius_of(shape, half)))
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

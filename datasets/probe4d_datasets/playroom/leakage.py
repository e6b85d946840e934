"""What an ideal observer of one named frame can know of the direction of time.

Bags of frames know nothing: partners have the same frames. A named frame shows where the mover
is at one end of its way, and a mover that leaves to the left has to start further right: with
places in a range R and a way d, no design leaks less than about d / R. This module computes what
leaks exactly, for an observer who is told all of the scene but the direction: which pair it is,
which thing moves and how far, the ranges of all places, and the camera's whole path.
"""

from __future__ import annotations

import attrs
from attrs import frozen

from probe4d_datasets.playroom.exact import norm, product, scale, sub, turn
from probe4d_datasets.playroom.paths import BASES, CLOSEST, DEPTHS, MARGIN, SIDES, WIDEST
from probe4d_datasets.playroom.sampling import draw_scene, fits
from probe4d_datasets.playroom.scene import MOTIONS, PAIRS, Path, Scene


@frozen
class Ceiling:
    """What the ideal observer of the first frame reaches: within pairs, and over the twelve classes."""

    within_pairs: float
    over_classes: float


# Over 4,000 seeds a pair; measured by `python -m probe4d_runners.playroom_card`.
CEILING = Ceiling(within_pairs=0.66, over_classes=0.72)


def first_frame_ceiling(motion: str, seeds: range) -> float:
    """Return the share of directions that the ideal observer of the first frame gets right, for one pair."""
    return sum(_certainty(draw_scene(seed, motion, False)) for seed in seeds) / len(seeds)


def ceiling_over_classes(seeds: range) -> float:
    """Return the share of all twelve classes that the observer, told the pair, gets right."""
    pairs = [first_frame_ceiling(motion, seeds) for motion in MOTIONS[:PAIRS]]
    return (2 * sum(pairs) + 2) / 12


def _certainty(scene: Scene) -> float:
    """Return the posterior of the likelier direction, given how the scene begins."""
    other = rival(scene)
    density, against = _density(scene), _density(other) if fits(other) else 0.0
    return max(density, against) / (density + against)


def rival(scene: Scene) -> Scene:
    """Return the other explanation of a scene's first frame: it is played backwards and begins the same."""
    moved = {i: attrs.evolve(scene.things[i], path=_other_way(scene.things[i].path)) for i in scene.movers}
    camera = attrs.evolve(
        scene.camera, eyes=scene.camera.eyes[::-1], targets=scene.camera.targets[::-1], rolls=scene.camera.rolls[::-1]
    )
    things = tuple(moved.get(i, thing) for i, thing in enumerate(scene.things))
    return attrs.evolve(scene, things=things, camera=camera, reverse=not scene.reverse)


def _other_way(path: Path) -> Path:
    # At e = -1/2 the path is half a shift before its centre; the other path is there at e = +1/2.
    # A turn of the same size ends where this one begins.
    rotation = product(turn(2, -path.spin), path.rotation) if path.spin else path.rotation
    return attrs.evolve(path, center=sub(path.center, path.shift), rotation=rotation)


def _density(scene: Scene) -> float:
    """Return how likely the sampler is to draw these places, up to a factor that directions share."""
    movers = [scene.things[i] for i in scene.movers]
    first = scene.stage.locate(movers[0].path.center)
    if scene.motion == "collide":
        return _collide_density(scene)
    side, depth, height = first
    rise = abs(movers[0].path.shift[2])
    base = height - movers[0].radius
    even = abs(side) <= SIDES * scene.stage.tan_half * depth and DEPTHS[0] <= depth <= DEPTHS[1]
    return 1.0 / depth if even and BASES[0] + rise / 2 <= base <= BASES[1] - rise / 2 else 0.0


def _collide_density(scene: Scene) -> float:
    one, other = (scene.things[i] for i in scene.movers)
    flat = sub(one.path.center, other.path.center)
    gap = norm((flat[0], flat[1], 0.0)) - one.radius - other.radius - MARGIN
    closing = norm(one.path.shift) + norm(other.path.shift)
    middle = scale((one.path.center[0] + other.path.center[0], one.path.center[1] + other.path.center[1], 0.0), 0.5)
    side, depth, _ = scene.stage.locate(middle)
    even = abs(side) <= SIDES * scene.stage.tan_half * depth and DEPTHS[0] <= depth <= DEPTHS[1]
    return 1.0 / depth if even and CLOSEST + closing / 2 <= gap <= WIDEST - closing / 2 else 0.0

"""What a playroom scene is: a room, things that move along paths, a light, a camera on a path.

World axes: x and y along the floor, z up, metres, the floor at z = 0. Time `s` runs from 0 to 1.
Camera axes are OpenCV's: x right, y down, z forward.
"""

from __future__ import annotations

from attrs import frozen

from probe4d_datasets.playroom.exact import (
    UP,
    Mat,
    Vec,
    add,
    apply,
    cross,
    dot,
    lerp,
    norm,
    product,
    scale,
    sin_cos,
    sub,
    turn,
    unit,
)

MOTIONS = ("push", "approach", "lift", "spin", "collide", "swap", "static")
CLASSES = (
    "push left",
    "push right",
    "approach",
    "recede",
    "lift",
    "drop",
    "spin clockwise",
    "spin counter-clockwise",
    "collide",
    "separate",
    "swap",
    "static",
)
PAIRS = 5  # classes 2k and 2k + 1 are each other's time reversal for k < PAIRS


def class_of(motion: str, reverse: bool) -> int:
    """Return the label of a motion played forwards or backwards; swap and static are their own partners."""
    index = MOTIONS.index(motion)
    return 2 * index + reverse if index < PAIRS else index + PAIRS


@frozen(kw_only=True)
class Material:
    """What a surface looks like, as a function of a point in its own space (metres).

    Attributes:
        pattern: `checker`, `stripes`, `dots` or `plain`, between the two colours (linear RGB).
        frequency: cells of the pattern per metre; `grain`: cells of the noise per metre.
        contrast: how much of the brightness is noise, in [0, 1].
        offset, axis: where the pattern starts, and across what the stripes run.
        photo: number that chooses the photograph, where textures are photographs.
    """

    pattern: str
    low: Vec
    high: Vec
    frequency: float
    grain: float
    contrast: float
    offset: Vec
    axis: Vec
    photo: int


@frozen(kw_only=True)
class Path:
    """The pose of a thing over time: all that moves in a clip moves by one amount e(s) in [-1/2, 1/2].

    Attributes:
        center, rotation: the pose at e = 0.
        shift: displacement over the whole clip, metres.
        spin: turn about the vertical axis through its centre over the whole clip, radians.
        pivot, orbit: turn of its centre about the vertical axis through a pivot, radians.
        ease, skew: how uneven the speed is; 0 and 0 for a constant one.
    """

    center: Vec
    rotation: Mat
    shift: Vec = (0.0, 0.0, 0.0)
    spin: float = 0.0
    pivot: Vec | None = None
    orbit: float = 0.0
    ease: float = 0.0
    skew: float = 0.0

    def pose(self, s: float) -> tuple[Mat, Vec]:
        """Return rotation and centre, object to world, at time s."""
        e = s + self.ease * (s * s * (3.0 - 2.0 * s) - s) + self.skew * s * (1.0 - s) - 0.5
        center = add(self.center, scale(self.shift, e))
        if self.pivot is not None:
            center = add(self.pivot, apply(turn(2, self.orbit * e), sub(center, self.pivot)))
        return (product(turn(2, self.spin * e), self.rotation) if self.spin else self.rotation), center


def radius_of(shape: str, half: Vec) -> float:
    """Return the radius of the sphere that holds a `box` of half edges, or an `ellipsoid` of half axes."""
    return norm(half) if shape == "box" else max(half)


@frozen(kw_only=True)
class Thing:
    """A box or an ellipsoid: `half` are its half edges or its half axes, metres."""

    shape: str
    half: Vec
    material: Material
    path: Path

    @property
    def radius(self) -> float:
        """Radius of the sphere about its centre that holds it."""
        return radius_of(self.shape, self.half)


@frozen(kw_only=True)
class Room:
    """The inside of a box with one material each for floor, walls and ceiling."""

    low: Vec
    high: Vec
    floor: Material
    wall: Material
    ceiling: Material


@frozen(kw_only=True)
class Light:
    """A point light: hard shadows, and ambient light from above and below."""

    position: Vec
    color: Vec
    ambient: float


@frozen(kw_only=True)
class CameraPath:
    """A camera that goes from one eye to another, looking from one target to another, and rolls.

    Attributes:
        eyes, targets, rolls: at s = 0 and s = 1.
        bend: how far the path bows out in its middle.
        tan_half: tangent of half the field of view of the image's smaller side.
    """

    eyes: tuple[Vec, Vec]
    targets: tuple[Vec, Vec]
    rolls: tuple[float, float]
    bend: Vec
    tan_half: float

    def pose(self, s: float) -> tuple[Mat, Vec]:
        """Return the rotation (world to camera, rows are the camera's axes) and the eye at time s."""
        eye = add(lerp(*self.eyes, s), scale(self.bend, 4.0 * s * (1.0 - s)))
        forward = unit(sub(lerp(*self.targets, s), eye))
        level = unit(cross(forward, UP))
        down = cross(forward, level)
        sine, cosine = sin_cos(self.rolls[0] + (self.rolls[1] - self.rolls[0]) * s)
        right = add(scale(level, cosine), scale(down, sine))
        return (right, add(scale(down, cosine), scale(level, -sine)), forward), eye


@frozen(kw_only=True)
class Stage:
    """The frame that a scene is laid out in: metres to the right of, in front of, above the camera's mean place."""

    right: Vec
    forward: Vec
    distance: float
    tan_half: float

    def place(self, side: float, depth: float, height: float) -> Vec:
        """Return the world point; the world's origin is `distance` in front of the camera."""
        flat = add(scale(self.right, side), scale(self.forward, depth - self.distance))
        return (flat[0], flat[1], height)

    def locate(self, point: Vec) -> Vec:
        """Return (side, depth, height) of a world point."""
        flat = (point[0], point[1], 0.0)
        return dot(flat, self.right), dot(flat, self.forward) + self.distance, point[2]


@frozen(kw_only=True)
class Scene:
    """All that makes a clip but its size and number of frames.

    Attributes:
        stage: what left, right, towards and away mean.
        motion: one of `MOTIONS`; `reverse` plays the whole scene, camera included, backwards.
        movers: indices of the things that move (for `static`: that would).
    """

    seed: int
    stage: Stage
    motion: str
    reverse: bool
    things: tuple[Thing, ...]
    movers: tuple[int, ...]
    room: Room
    light: Light
    camera: CameraPath

    @property
    def label(self) -> int:
        """The class, an index into `CLASSES`."""
        return class_of(self.motion, self.reverse)

    def time(self, frame: int, frames: int) -> float:
        """Return the time s of a frame. Reversal is of frame numbers, so it is exact."""
        played = frames - 1 - frame if self.reverse else frame
        return played / (frames - 1) if frames > 1 else 0.5


def project(camera: CameraPath, point: Vec, s: float) -> Vec:
    """Return (x / z, y / z, z) of a world point in the camera at time s."""
    axes, eye = camera.pose(s)
    x, y, z = apply(axes, sub(point, eye))
    return x / z, y / z, z


def segment_distance(a: Vec, b: Vec, p: Vec) -> float:
    """Return how far p is from the segment a b."""
    along = sub(b, a)
    share = min(max(dot(sub(p, a), along) / dot(along, along), 0.0), 1.0)
    return norm(sub(p, add(a, scale(along, share))))

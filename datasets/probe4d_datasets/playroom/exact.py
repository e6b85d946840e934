"""Scalar arithmetic that gives the same bits on every platform: uniforms, sine and cosine, 3-D vectors.

IEEE 754 fixes `+ - * /` and the square root; it does not fix what a platform's libm returns for
a sine. So sines are polynomials in Python floats here, and random numbers are the raw words of
PCG64, which numpy's compatibility policy freezes (its distributions it does not).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Vec: TypeAlias = tuple[float, float, float]
Mat: TypeAlias = tuple[Vec, Vec, Vec]  # rows

UP: Vec = (0.0, 0.0, 1.0)
PI = 3.141592653589793
# Half of pi in two parts (Cody and Waite; fdlibm's pio2_1 and pio2_1t): k times the first is exact.
HALF_PI_HIGH = 1.57079632673412561417e00
HALF_PI_LOW = 6.07710050650619224932e-11
# Taylor coefficients, highest power first; the remainder is below 1e-17 for |x| <= pi/4.
SIN_TERMS = tuple((-1) ** k / math.factorial(2 * k + 1) for k in range(9, -1, -1))
COS_TERMS = tuple((-1) ** k / math.factorial(2 * k) for k in range(9, -1, -1))


class Stream:
    """Uniform numbers from one seed, the same on every platform and numpy version."""

    def __init__(self, seed: int) -> None:
        self._bits = np.random.PCG64(seed)

    def unit(self) -> float:
        """Return the next number in [0, 1)."""
        return int(self._bits.random_raw() >> 11) * 2.0**-53

    def uniform(self, low: float, high: float) -> float:
        """Return the next number in [low, high)."""
        return low + (high - low) * self.unit()

    def signed(self, size: float) -> float:
        """Return the next number in [-size, size)."""
        return self.uniform(-size, size)

    def below(self, n: int) -> int:
        """Return the next integer in [0, n)."""
        return int(self.unit() * n)

    def shuffled(self, n: int) -> list[int]:
        """Return a permutation of `range(n)` (Fisher-Yates)."""
        order = list(range(n))
        for last in range(n - 1, 0, -1):
            other = self.below(last + 1)
            order[last], order[other] = order[other], order[last]
        return order

    def table(self, n: int) -> npt.NDArray[np.float32]:
        """Return `(n,)` numbers in [0, 1], float32."""
        raw: npt.NDArray[np.uint64] = self._bits.random_raw(n) >> np.uint64(11)
        return (raw.astype(np.float64) * 2.0**-53).astype(np.float32)


def sin_cos(angle: float) -> tuple[float, float]:
    """Return the sine and the cosine of an angle in radians, within 3e-16 for |angle| < 100."""
    quarter = math.floor(angle / HALF_PI_HIGH + 0.5)
    rest = (angle - quarter * HALF_PI_HIGH) - quarter * HALF_PI_LOW
    sine, cosine = rest * _horner(SIN_TERMS, rest * rest), _horner(COS_TERMS, rest * rest)
    return ((sine, cosine), (cosine, -sine), (-sine, -cosine), (-cosine, sine))[quarter % 4]


def _horner(terms: Sequence[float], x: float) -> float:
    total = 0.0
    for term in terms:
        total = total * x + term
    return total


def add(a: Vec, b: Vec) -> Vec:
    """Return a + b."""
    return (a[0] + b[0], a[1] + b[1], a[2] + b[2])


def sub(a: Vec, b: Vec) -> Vec:
    """Return a - b."""
    return (a[0] - b[0], a[1] - b[1], a[2] - b[2])


def scale(a: Vec, k: float) -> Vec:
    """Return k a."""
    return (a[0] * k, a[1] * k, a[2] * k)


def dot(a: Vec, b: Vec) -> float:
    """Return a · b."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def cross(a: Vec, b: Vec) -> Vec:
    """Return a x b."""
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def norm(a: Vec) -> float:
    """Return |a|."""
    return math.sqrt(dot(a, a))


def unit(a: Vec) -> Vec:
    """Return a / |a|."""
    return scale(a, 1.0 / norm(a))


def lerp(a: Vec, b: Vec, s: float) -> Vec:
    """Return the point between a (s = 0) and b (s = 1)."""
    return (a[0] + (b[0] - a[0]) * s, a[1] + (b[1] - a[1]) * s, a[2] + (b[2] - a[2]) * s)


def apply(m: Mat, v: Vec) -> Vec:
    """Return m v."""
    return (dot(m[0], v), dot(m[1], v), dot(m[2], v))


def transpose(m: Mat) -> Mat:
    """Return the transpose of m: the inverse of a rotation."""
    return (
        (m[0][0], m[1][0], m[2][0]),
        (m[0][1], m[1][1], m[2][1]),
        (m[0][2], m[1][2], m[2][2]),
    )


def product(a: Mat, b: Mat) -> Mat:
    """Return a b."""
    columns = transpose(b)
    return (
        (dot(a[0], columns[0]), dot(a[0], columns[1]), dot(a[0], columns[2])),
        (dot(a[1], columns[0]), dot(a[1], columns[1]), dot(a[1], columns[2])),
        (dot(a[2], columns[0]), dot(a[2], columns[1]), dot(a[2], columns[2])),
    )


def turn(axis: int, angle: float) -> Mat:
    """Return the rotation by an angle (radians, right-handed) about the x (0), y (1) or z (2) axis."""
    sine, cosine = sin_cos(angle)
    if axis == 0:
        return ((1.0, 0.0, 0.0), (0.0, cosine, -sine), (0.0, sine, cosine))
    if axis == 1:
        return ((cosine, 0.0, sine), (0.0, 1.0, 0.0), (-sine, 0.0, cosine))
    return ((cosine, -sine, 0.0), (sine, cosine, 0.0), (0.0, 0.0, 1.0))

"""Axes in letters: `b(tk)c` is an array of three axes, whose second runs over time and, inside it, places."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from attrs import frozen

from probe4d.errors import UsageError

_PARTS = re.compile(r"\(([a-z]+)\)|([a-z])")


@frozen
class Axes:
    """The letters of each axis of an array, slowest first."""

    groups: tuple[str, ...]

    @classmethod
    def parse(cls, text: str, where: str) -> Axes:
        """Return the axes that a text such as `b c t h w` or `(bt)kc` names; spaces make no difference.

        Raises:
            UsageError: it is none, or names a letter twice.
        """
        plain = re.sub(r"\s", "", text)
        groups = tuple(one or other for one, other in _PARTS.findall(plain))
        letters = "".join(groups)
        if not groups or _PARTS.sub("", plain) or len(set(letters)) != len(letters):
            raise UsageError(f"{where}: expected axes as bcthw or (bt)chw, each letter once, got {text!r}.")
        return cls(groups)

    @property
    def letters(self) -> str:
        """All letters, in order."""
        return "".join(self.groups)

    def place(self, letter: str) -> int:
        """Return the number of the axis that a letter is part of."""
        return next(number for number, group in enumerate(self.groups) if letter in group)

    def shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Return the shape of an array of these sizes."""
        return tuple(prod(sizes[letter] for letter in group) for group in self.groups)

    def pack(self, array: Any, order: str, sizes: Mapping[str, int]) -> Any:
        """Return a tensor of one axis per letter, in `order`, as one of these axes."""
        return array.permute([order.index(letter) for letter in self.letters]).reshape(self.shape(sizes))

    def unpack(self, array: Any, order: Sequence[str], sizes: Mapping[str, int]) -> Any:
        """Return a tensor of these axes as one of an axis per letter, in `order`."""
        apart = array.reshape([sizes[letter] for letter in self.letters])
        return apart.permute([self.letters.index(letter) for letter in order])

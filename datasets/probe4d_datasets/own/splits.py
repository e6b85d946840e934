"""Which of the user's items belong to a split: by folder, list, fraction or time."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, TypeAlias

import attrs
from attrs import field, frozen

from probe4d.errors import DataError, UsageError, did_you_mean
from probe4d_datasets.own.options import one_of, settings
from probe4d_datasets.own.root import Root

__all__ = ["All", "ByFolder", "ByFraction", "ByList", "ByTime", "Rule", "read_rule"]


def _texts(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, Mapping) or not all(isinstance(v, str) and v for v in value.values()):
        raise UsageError(f"{attribute.name}: expected a table of split = text, got {value!r}.")


def _shares(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    numbers = list(value.values()) if isinstance(value, Mapping) else []
    right = all(isinstance(v, int | float) and not isinstance(v, bool) and v > 0 for v in numbers)
    if not numbers or not right or sum(numbers) > 1 + 1e-9:
        raise UsageError(f"{attribute.name}: expected split = share, above 0 and 1 at most together, got {value!r}.")


def _spans(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    pairs = sorted(_pair(item) for item in value.values()) if isinstance(value, Mapping) else []
    right = all(0 <= start < stop <= 1 for start, stop in pairs)
    if not pairs or not right or any(a[1] > b[0] for a, b in itertools.pairwise(pairs)):
        raise UsageError(
            f"{attribute.name}: expected split = [start, stop], shares from 0 to 1 that do not overlap, got {value!r}."
        )


def _pair(value: Any) -> tuple[float, float]:
    """Return two numbers, or what lies in no range."""
    if isinstance(value, list | tuple) and len(value) == 2 and all(type(v) in (int, float) for v in value):
        return float(value[0]), float(value[1])
    return -1.0, -1.0


def _whole(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise UsageError(f"{attribute.name}: expected an integer, got {value!r}.")


class _WholeItems:
    """A rule that gives an item whole to one split."""

    by_time: ClassVar[bool] = False

    def span(self, split: str, length: int) -> tuple[int, int]:
        """Return the frames `[start, stop)` of an item of this length that belong to the split."""
        return 0, length


@frozen(kw_only=True)
class All(_WholeItems):
    """Everything is in the one split `all`."""

    def select(self, split: str, items: Sequence[str], root: Root) -> list[str]:
        """Return the items of the split."""
        one_of("split", split, ("all",))
        return list(items)


@frozen(kw_only=True)
class ByFolder(_WholeItems):
    """The first folder of an item is its split. `folders` maps split names to other folder names."""

    folders: Mapping[str, str] = field(factory=dict, validator=_texts)

    def select(self, split: str, items: Sequence[str], root: Root) -> list[str]:
        """Return the items of the split.

        Raises:
            DataError: there is no such folder with items.
        """
        folder = self.folders.get(split, split).strip("/")
        if found := [item for item in items if item.startswith(f"{folder}/")]:
            return found
        there = sorted({item.partition("/")[0] for item in items})
        raise DataError(
            f"{root.url}: expected a folder {folder!r} for the split {split!r}, "
            f"got {', '.join(there[:8]) or 'nothing'}.{did_you_mean(folder, there)} "
            f"Or state another rule: {', '.join(RULES)}."
        )


@frozen(kw_only=True)
class ByList(_WholeItems):
    """A text file under the root names the items of each split, one a line; `#` begins a comment."""

    files: Mapping[str, str] = field(validator=_texts)

    def select(self, split: str, items: Sequence[str], root: Root) -> list[str]:
        """Return the items of the split as the list has them: one that is missing costs itself later.

        Raises:
            DataError: the list is missing, empty, or names an item twice.
        """
        path = self.files[one_of("split", split, tuple(self.files))]
        lines = [line.strip() for line in root.read_text(path).splitlines()]
        names = [line for line in lines if line and not line.startswith("#")]
        twice = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
        if not names or twice:
            raise DataError(f"{root.location(path)}: expected each item once, got {sorted(twice) or 'none'}.")
        return names


@frozen(kw_only=True)
class ByFraction(_WholeItems):
    """Each item falls into a split by a hash of its path: adding files never moves the others."""

    parts: Mapping[str, float] = field(validator=_shares)
    seed: int = field(default=0, validator=_whole)

    def select(self, split: str, items: Sequence[str], root: Root) -> list[str]:
        """Return the items of the split."""
        one_of("split", split, tuple(self.parts))
        return [item for item in items if self._split_of(item) == split]

    def _split_of(self, item: str) -> str | None:
        digest = hashlib.sha256(f"{self.seed}/{item}".encode()).digest()
        place, edge = int.from_bytes(digest[:8], "big") / 2**64, 0.0
        for split, share in sorted(self.parts.items()):  # a TOML table has no order
            edge += share
            if place < edge:
                return split
        return None


@frozen(kw_only=True)
class ByTime:
    """Every item is in every split, with other frames of it.

    `spans` gives each split its share of every item's length, as `{train = [0, 0.6], val = [0.7, 1]}`:
    the first 60 %, then nothing, then the last 30 %. Neighbouring frames look alike: leave a gap.
    """

    by_time: ClassVar[bool] = True
    spans: Mapping[str, Sequence[float]] = field(validator=_spans)

    def select(self, split: str, items: Sequence[str], root: Root) -> list[str]:
        """Return the items of the split: all."""
        one_of("split", split, tuple(self.spans))
        return list(items)

    def span(self, split: str, length: int) -> tuple[int, int]:
        """Return the frames `[start, stop)` of an item of this length that belong to the split."""
        start, stop = self.spans[split]
        return round(start * length), round(stop * length)


Rule: TypeAlias = All | ByFolder | ByList | ByFraction | ByTime
RULES: Mapping[str, type[Any]] = MappingProxyType(
    {"folder": ByFolder, "list": ByList, "fraction": ByFraction, "time": ByTime, "all": All}
)


def read_rule(value: Any) -> Rule:
    """Return the rule of a table such as `{by = "time", spans = {train = [0, 0.6], val = [0.7, 1]}}`.

    Raises:
        UsageError: no such rule, or not such options.
    """
    if isinstance(value, All | ByFolder | ByList | ByFraction | ByTime):
        return value
    if not isinstance(value, Mapping) or "by" not in value:
        raise UsageError(f"rule: expected a table with by = {' | '.join(RULES)}, got {value!r}.")
    name = one_of("rule.by", value["by"], tuple(RULES))
    rule: Rule = settings(RULES[name], {k: v for k, v in value.items() if k != "by"}, f"rule (by {name})")
    return rule

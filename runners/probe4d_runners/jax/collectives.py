"""What a compiled program sends between devices, read from its text: counts and bytes, loops unrolled."""

from __future__ import annotations

import re
from collections import defaultdict

from attrs import frozen

__all__ = ["Traffic", "collectives"]

KINDS = ("all-gather", "reduce-scatter", "all-reduce", "all-to-all", "collective-permute")
WIDTHS = {1: ("pred", "s8", "u8"), 2: ("bf16", "f16", "s16", "u16"), 4: ("f32", "s32", "u32"), 8: ("f64", "s64", "u64")}
BYTES = {name: width for width, names in WIDTHS.items() for name in names}
_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) (?:\([^{]*\)|\{).*\{\s*$")
_OPERATION = re.compile(rf"= (.+?) ({'|'.join(KINDS)})(-start)?\(")
_ARRAY = re.compile(r"\b([a-z]+\d*)\[([\d,]*)\]")
_GROUPS = re.compile(r"replica_groups=(?:\[\d+,(\d+)\]|\{\{([\d,]*)\})")
_CALLED = re.compile(r"(?:to_apply|calls)=\{?%?([\w.\-]+)")
_LOOP = re.compile(r"condition=%?([\w.\-]+), body=%?([\w.\-]+)")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_BOUND = re.compile(r"= s32\[\]\S* constant\((\d+)\)")
# How the compiler for TPUs writes a reduce-scatter: one fusion of an all-reduce and the cut that follows it.
_FUSED_SCATTER = "all-reduce-scatter"


@frozen
class Traffic:
    """Collectives of one kind in one run of the program.

    Attributes:
        count: how many; `wire`: bytes that each device receives, in rings.
    """

    count: int
    wire: float


@frozen
class _Found:
    kind: str
    wire: float


def collectives(text: str) -> dict[str, Traffic]:
    """Return the traffic by kind of a compiled program.

    Args:
        text: of `compiled.as_text()`.
    """
    program = _Program(text)
    times: dict[str, int] = defaultdict(int)
    program.count(program.entry, 1, times)
    counts: dict[str, int] = defaultdict(int)
    wire: dict[str, float] = defaultdict(float)
    for name, operations in program.found.items():
        for operation in operations:
            counts[operation.kind] += times[name]
            wire[operation.kind] += times[name] * operation.wire
    return {kind: Traffic(counts[kind], wire[kind]) for kind in KINDS if counts[kind]}


class _Program:
    """Of each computation its collectives, what it calls, and the largest whole number in it."""

    def __init__(self, text: str) -> None:
        self.found: dict[str, list[_Found]] = defaultdict(list)
        self.calls: dict[str, list[str]] = defaultdict(list)
        self.loops: dict[str, list[tuple[str, str, int | None]]] = defaultdict(list)
        self.bounds: dict[str, int] = defaultdict(int)
        self.entry = name = ""
        for line in text.splitlines():
            if head := _COMPUTATION.match(line):
                name = head[1]
                self.entry = name if line.startswith("ENTRY") else self.entry
            else:
                self._read(name, line)

    def _read(self, name: str, line: str) -> None:
        if operation := _OPERATION.search(line):
            kind = "reduce-scatter" if name.startswith(_FUSED_SCATTER) else operation[2]
            self.found[name].append(_operation(operation[1], operation[2], kind, line))
        if loop := _LOOP.search(line):
            trips = _TRIPS.search(line)
            self.loops[name].append((loop[1], loop[2], int(trips[1]) if trips else None))
        if bound := _BOUND.search(line):
            self.bounds[name] = max(self.bounds[name], int(bound[1]))
        self.calls[name] += [called[1] for called in _CALLED.finditer(line)]

    def count(self, name: str, times: int, total: dict[str, int]) -> None:
        """Add how often a computation runs, and all that it calls.

        A loop counts from 0 to the number in its condition, as `lax.scan` makes it.
        """
        total[name] += times
        for called in self.calls.get(name, []):
            self.count(called, times, total)
        for condition, body, trips in self.loops.get(name, []):
            self.count(body, times * (self.bounds[condition] if trips is None else trips), total)


def _operation(result: str, written: str, kind: str, line: str) -> _Found:
    """Return the bytes that a device receives.

    Args:
        result: the type of the result; that of an asynchronous start holds operands and results.
        written: the operation; `kind`: what it amounts to.
    """
    sizes = [_size(name, shape) for name, shape in _ARRAY.findall(result) if name in BYTES]
    groups = _GROUPS.search(line)
    members = 2
    if groups:
        members = int(groups[1]) if groups[1] else len(groups[2].split(","))
    if not sizes or members < 2:
        return _Found(kind, 0.0)
    total = max(sizes) if f"{written}-start(" in line else sum(sizes)
    share = (members - 1) / members
    if kind == "reduce-scatter":  # a fused one shows the whole, a plain one the part
        return _Found(kind, total * share if written == "all-reduce" else total * (members - 1))
    if kind == "all-reduce":
        return _Found(kind, 2 * total * share)
    return _Found(kind, float(total) * (1.0 if kind == "collective-permute" else share))


def _size(kind: str, shape: str) -> int:
    size = BYTES[kind]
    for edge in shape.split(","):
        size *= int(edge) if edge else 1
    return size


def _count(name: str, times: int, calls: dict[str, list[tuple[str, int]]], total: dict[str, int]) -> None:
    total[name] += times
    for called, trips in calls.get(name, []):
        _count(called, times * trips, calls, total)

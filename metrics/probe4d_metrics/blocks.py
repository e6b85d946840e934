"""Rows by sample id, in a few blocks that double in size, so that an append copies little."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

__all__ = ["Block", "appended", "common_id"]

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, eq=False, slots=True)
class Block:
    """Some samples.

    Attributes:
        ids: the samples that have a row.
        table: `(n, columns)` float64, a row a sample.
        reasons: why a sample is left out, of those that are: of everything (no row) or in part.
        known: every id, with a row or without.
    """

    ids: tuple[str, ...]
    table: Array
    reasons: Mapping[str, str]
    known: frozenset[str]

    @classmethod
    def of(cls, ids: tuple[str, ...], table: Array, reasons: Mapping[str, str]) -> Block:
        """Return a block; the table is made read-only."""
        table.flags.writeable = False
        return cls(ids, table, reasons, frozenset(ids).union(reasons))

    def joined(self, other: Block) -> Block:
        """Return one block of both."""
        table = np.concatenate([self.table, other.table])
        table.flags.writeable = False
        return Block(self.ids + other.ids, table, {**self.reasons, **other.reasons}, self.known | other.known)


def appended(blocks: tuple[Block, ...], block: Block) -> tuple[Block, ...]:
    """Return the blocks with one more, each at least twice as large as the next.

    Every sample is copied a logarithmic number of times over any sequence of appends.
    """
    kept = list(blocks)
    while kept and len(kept[-1].known) < 2 * len(block.known):
        block = kept.pop().joined(block)
    return (*kept, block)


def common_id(blocks: tuple[Block, ...], others: tuple[Block, ...]) -> str | None:
    """Return the first id, in sorted order, that stands in both; None where there is none."""
    common = {
        sample_id for block in blocks for other in others for sample_id in _intersection(block.known, other.known)
    }
    return min(common, default=None)


def _intersection(one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
    return frozenset() if one.isdisjoint(other) else one & other

"""A cache of its own for each test."""

from __future__ import annotations

from published_fixtures import own_cache

__all__ = ["own_cache"]

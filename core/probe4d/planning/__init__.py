"""A suite resolved into cells, and these into content-addressed units with their cost."""

from __future__ import annotations

from probe4d.planning.plan import ONLY, Plan, make_plan

__all__ = ["ONLY", "Plan", "make_plan"]

"""Perception Test: points followed through whole videos, with when they are hidden."""

from probe4d_datasets.perception_test.dataset import PerceptionTest

__all__ = ["PerceptionTest"]

"""The embedded benchmark: a procedural room with exact ground truth for all five tasks."""

from probe4d_datasets.playroom.dataset import Playroom
from probe4d_datasets.playroom.scene import CLASSES, PAIRS

__all__ = ["CLASSES", "PAIRS", "Playroom"]

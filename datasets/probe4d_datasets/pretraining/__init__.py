"""Clips for pretraining: from videos anywhere, or from `playroom`, as batches of pixels."""

from probe4d_datasets.pretraining.config import ClipData
from probe4d_datasets.pretraining.pipeline import ClipStream, open_stream

__all__ = ["ClipData", "ClipStream", "open_stream"]

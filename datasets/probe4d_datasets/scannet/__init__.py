"""ScanNet v2: rooms filmed with a depth camera, from `.sens` files or from what was exported of them."""

from probe4d_datasets.scannet.dataset import ScanNet

__all__ = ["ScanNet"]

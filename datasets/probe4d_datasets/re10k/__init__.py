"""RealEstate10K: walks through houses with the camera's path, up to a scale per clip."""

from probe4d_datasets.re10k.dataset import RealEstate10K

__all__ = ["RealEstate10K"]

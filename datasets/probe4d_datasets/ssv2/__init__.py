"""Something-Something v2: 174 classes of what hands do to things, told apart by motion."""

from probe4d_datasets.ssv2.dataset import SomethingSomething

__all__ = ["SomethingSomething"]

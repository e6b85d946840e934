"""The 4DS video backbones and the floors that stand under them."""

__version__ = "0.1.0"

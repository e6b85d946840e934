"""Copies of datasets with their targets inside: written once by `probe4d data convert`, read by byte ranges."""

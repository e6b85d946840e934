"""Datasets of your own files: a root (a folder or any fsspec URL), a split rule, and options."""

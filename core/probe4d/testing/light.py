"""Catches heavy packages that an entry module imports, and names the line.

This module and `probe4d.testing.plugin_process` import nothing heavy themselves: they have to
look before anything else has brought numpy in.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["HEAVY", "heavy_imports"]

HEAVY = frozenset(
    {"flax", "jax", "jaxlib", "matplotlib", "numpy", "optax"}
    | {"pandas", "scipy", "tensorflow", "torch", "transformers", "zarr"}
)


class _Watch:
    """A finder that finds nothing, but notes who looks for a heavy package."""

    def __init__(self, package: str) -> None:
        self.package = package
        self.seen: dict[str, str] = {}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Note the first import of each heavy package."""
        if name in HEAVY and name not in self.seen:
            self.seen[name] = _importer(sys._getframe(1), self.package)


@contextmanager
def heavy_imports(module: str) -> Iterator[dict[str, str]]:
    """Yield what heavy packages are imported meanwhile: name to `file:line` of the import.

    Args:
        module: the entry module; where another package does the importing on its behalf, the line
            named is still the one in the entry module's own package.
    """
    watch = _Watch(module.partition(".")[0])
    present = sorted(name for name in HEAVY if name in sys.modules)
    if present:
        raise RuntimeError(f"heavy_imports: expected a process without {', '.join(present)}, got one that has it")
    sys.meta_path.insert(0, watch)
    try:
        yield watch.seen
    finally:
        sys.meta_path.remove(watch)


def _importer(frame: FrameType | None, package: str) -> str:
    """Return the innermost line outside the import machinery, of the package's own code if there is one."""
    nearest = ""
    while frame is not None:
        code = frame.f_code
        if not code.co_filename.startswith("<frozen importlib") and "importlib/" not in code.co_filename:
            line = f"{code.co_filename}:{frame.f_lineno}"
            nearest = nearest or line
            if str(frame.f_globals.get("__name__", "")).partition(".")[0] == package:
                return line
        frame = frame.f_back
    return nearest

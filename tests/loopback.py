"""Addresses on the loopback that nobody listens at yet."""

from __future__ import annotations

import socket

__all__ = ["free_address"]


def free_address() -> str:
    """Return `127.0.0.1:PORT` of a port that is free now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"

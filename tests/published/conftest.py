"""A bucket on a real S3 server."""

from __future__ import annotations

from s3_server import bucket

__all__ = ["bucket"]

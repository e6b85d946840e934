"""A real S3 server on loopback, moto's, for tests that import its bucket."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator

import pytest

__all__ = ["bucket"]

BUCKET = "tests"


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """Yield the URL of a bucket; fsspec and its processes are told of the server by their environment."""
    s3fs = pytest.importorskip("s3fs", reason="needs s3fs for s3://")
    moto_server = pytest.importorskip("moto.server", reason="needs moto's server: a real S3 on loopback")
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    patch = pytest.MonkeyPatch()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        patch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    forget_all(host, port)
    s3fs.S3FileSystem().mkdir(BUCKET)
    yield f"s3://{BUCKET}"
    s3fs.S3FileSystem.clear_instance_cache()
    patch.undo()
    server.stop()


def forget_all(host: str, port: int) -> None:
    """Empty the server: moto keeps its buckets by process, so a module's server has those of the module before."""
    request = urllib.request.Request(f"http://{host}:{port}/moto-api/reset", method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        answer.read()

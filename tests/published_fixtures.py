"""What tests of published datasets share: thumbnails, frame codes, roots elsewhere, broken copies of files."""

from __future__ import annotations

import itertools
import random
import resource
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest

from probe4d.errors import DataError
from probe4d_datasets import video_index

HOSTILE = (b"\xff" * 8, b"\x00" * 8, (1 << 63).to_bytes(8, "little"), (1 << 62).to_bytes(8, "little"), b"\x7f" * 4)
TOKENS = (
    b"9" * 400,
    b"-1",
    b"NaN",
    b"1e999",
    b"[" * 3000,
    b'"' * 5,
    b"../../etc/passwd",
    b"/etc/passwd",
    b"\x00",
    b"{}",
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test of a folder whose conftest imports this a cache of its own, outside the data."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("PROBE4D_CACHE_DIR", str(cache))
    video_index._cached_index.cache_clear()
    return cache


def thumbs(video: np.ndarray) -> np.ndarray:
    """Return the mean colour of an 8 x 8 grid over each frame, (t, 8, 8, 3)."""
    rows = np.round(np.linspace(0, video.shape[1], 9)).astype(int)
    columns = np.round(np.linspace(0, video.shape[2], 9)).astype(int)
    video = video.astype(np.float64)
    return np.stack(
        [
            np.stack([video[:, a:b, c:d].mean((1, 2)) for c, d in itertools.pairwise(columns)], 1)
            for a, b in itertools.pairwise(rows)
        ],
        1,
    )


def frame_codes(video: np.ndarray) -> list[int]:
    """Return the number that each frame shows in its bottom quarter: eight blocks, the first the highest bit."""
    height, width = video.shape[1:3]
    band = video[:, height - height // 8 - 1 : height - height // 16, :, :].mean((1, 3))
    edges = np.linspace(0, width, 9)
    centres = [(int(a + (b - a) * 0.3), int(a + (b - a) * 0.7) + 1) for a, b in itertools.pairwise(edges)]
    return [sum((int(row[a:b].mean() > 127)) << (7 - bit) for bit, (a, b) in enumerate(centres)) for row in band]


def elsewhere(root: Path, place: Path) -> dict[str, str]:
    """Return URLs of the same files in memory, in a zip, in a tar and in a compressed tar."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    memory, target = fsspec.filesystem("memory"), f"/published-{place.name}-{root.parent.name}"
    with zipfile.ZipFile(place / "root.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            name = file.relative_to(root).as_posix()
            archive.write(file, f"data/{name}")
            memory.pipe_file(f"{target}/{name}", file.read_bytes())
    for name, mode in (("root.tar", "w"), ("root.tar.gz", "w:gz")):
        with tarfile.open(place / name, mode) as archive:
            archive.add(root, "data")
    return {
        "memory": f"memory:/{target}",
        "zip": f"zip://data::file://{place}/root.zip",
        "tar": f"tar://data::file://{place}/root.tar",
        "tar.gz": f"tar://data::file://{place}/root.tar.gz",
    }


def broken_copies(content: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """Yield copies of a file that are cut, flipped, filled with hostile numbers or words, shortened or doubled."""
    chance = random.Random(seed)
    for number in range(count):
        at = chance.randrange(max(1, len(content)))
        kind = number % 6
        if kind == 0:
            yield content[:at]
        elif kind == 1:
            flipped = bytearray(content)
            for _ in range(chance.choice((1, 1, 4))):
                flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
            yield bytes(flipped)
        elif kind == 2:
            hostile = chance.choice(HOSTILE)
            yield content[:at] + hostile + content[at + len(hostile) :]
        elif kind == 3:
            yield content[:at] + chance.choice(TOKENS) + content[at:]
        elif kind == 4:
            yield content[:at] + content[at + chance.randrange(1, 64) :]
        else:
            yield content[: at + 50] + content[max(0, at - 50) :]


def survives(read: Callable[[bytes], object], content: bytes, count: int, seconds: float = 10.0) -> int:
    """Read broken copies, each within bounded time and memory or refused; return how many were refused."""
    refused = 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number, copy in enumerate(broken_copies(content, count)):
        started = time.process_time()
        try:
            read(copy)
        except DataError:
            refused += 1
        assert time.process_time() - started < seconds, f"copy {number}"
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 400 << 10, f"{grown >> 10} MB"  # ru_maxrss is in KB
    return refused

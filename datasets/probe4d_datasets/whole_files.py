"""Whether a container is as long as it says: FFmpeg plays what is there of a cut Matroska or AVI file."""

from __future__ import annotations

__all__ = ["HEAD_BYTES", "stated_size"]

HEAD_BYTES = 4096
EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def stated_size(head: bytes) -> int | None:
    """Return how many bytes the file should have by its own header, None where it does not say.

    Args:
        head: the first `HEAD_BYTES` of the file.

    Source: RFC 8794 (EBML), section 4; RFC 9559 (Matroska), section 5.1; Microsoft's RIFF: the size
    of the first chunk. MP4 counts its frames instead; MPEG streams and files of an interrupted
    recording say nothing.
    """
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        size = int.from_bytes(head[4:8], "little")
        return 8 + size if 0 < size < 0xFFFFFFFF else None
    if head[:4] != EBML:
        return None
    length, start = _vint(head, 4)
    if length is None or head[start + length : start + length + 4] != SEGMENT:
        return None
    size_of_segment, first = _vint(head, start + length + 4)
    return None if size_of_segment is None else first + size_of_segment


def _vint(data: bytes, at: int) -> tuple[int | None, int]:
    """Return the EBML number at a position, None for "unknown", and the position after it."""
    if at >= len(data) or data[at] == 0:
        return None, at
    width = 9 - data[at].bit_length()
    value = int.from_bytes(data[at : at + width], "big") & ((1 << 7 * width) - 1)
    return (None if value == (1 << 7 * width) - 1 else value), at + width

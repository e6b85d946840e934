"""The members of a tar stream, by one pass from its start, in bounded memory whatever it holds.

`tarfile` reads extended headers of any size into memory and believes every number in them. Here a
header's checksum, names and sizes are checked first. Source: POSIX.1-2017, pax interchange format;
GNU tar manual, "Basic Tar Format".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from probe4d.errors import DataError

__all__ = ["MAX_MEMBERS", "tar_members"]

BLOCK = 512
MAX_MEMBERS = 10_000_000
MAX_HEADER = 1 << 20  # of an extended header; it holds one path
FILE, LONG_NAME, LONG_LINK, PAX, PAX_GLOBAL = (b"0", b"\0", b"7"), b"L", b"K", b"x", b"g"


def tar_members(stream: BinaryIO, where: str) -> Iterator[tuple[str, int, int]]:
    """Yield `(name, offset, size)` of each regular file, in the order of the stream.

    Args:
        stream: read and seeked forward only.

    Raises:
        DataError: it is no tar, is cut off, or names a file outside of itself.
    """
    position, name, size = 0, "", -1  # the latter two from an extended header, for the next member
    for _ in range(MAX_MEMBERS):
        block = _exactly(stream, BLOCK, where, position)
        position += BLOCK
        if not block.strip(b"\0"):
            return
        _check_sum(block, where, position - BLOCK)
        kind, stated = block[156:157], _number(block[124:136], where, position - BLOCK)
        length = stated if kind in (LONG_NAME, LONG_LINK, PAX, PAX_GLOBAL) or size < 0 else size
        following = position + -(-length // BLOCK) * BLOCK
        if kind in (LONG_NAME, PAX):
            if length > MAX_HEADER:
                raise DataError(f"{where}, byte {position}: expected a header below {MAX_HEADER} bytes, got {length}.")
            content = _exactly(stream, length, where, position)
            if kind == LONG_NAME:
                name = _text(content.split(b"\0")[0], where, position)
            else:
                name, size = _pax(content, where, position, name, size)
        elif kind in FILE:
            yield _inside(name or _ustar_name(block, where, position), where), position, length
            name, size = "", -1
        elif kind not in (LONG_LINK, PAX_GLOBAL):
            name, size = "", -1  # a folder, a link, a device: nothing to read
        stream.seek(following)
        position = following
    raise DataError(f"{where}: expected at most {MAX_MEMBERS:,} members, got more.")


def _exactly(stream: BinaryIO, length: int, where: str, position: int) -> bytes:
    content = stream.read(length)
    if len(content) < length:
        raise DataError(f"{where}: expected a whole tar archive, got its end at byte {position}. Fetch it again.")
    return content


def _check_sum(block: bytes, where: str, position: int) -> None:
    total = sum(block) - sum(block[148:156]) + 8 * 32
    if _number(block[148:156], where, position) != total:
        raise DataError(f"{where}, byte {position}: expected the header of a tar member, got something else.")


def _number(digits: bytes, where: str, position: int) -> int:
    """Return an octal number, or GNU's base 256 where the first bit is set."""
    if digits[0] & 0x80:
        value = int.from_bytes(digits[1:], "big")
    else:
        text = digits.split(b"\0")[0].strip(b" ")
        if text.strip(b"01234567"):
            raise DataError(f"{where}, byte {position}: expected an octal number, got {text[:12]!r}.")
        value = int(text or b"0", 8)
    if value >= 1 << 62:
        raise DataError(f"{where}, byte {position}: expected the size of a file, got {value}.")
    return value


def _ustar_name(block: bytes, where: str, position: int) -> str:
    name = _text(block[:100].split(b"\0")[0], where, position)
    prefix = _text(block[345:500].split(b"\0")[0], where, position) if block[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _pax(content: bytes, where: str, position: int, name: str, size: int) -> tuple[str, int]:
    """Return path and size of `<length> <key>=<value>\\n` records; what is not stated stays."""
    while content:
        digits, _, _ = content.partition(b" ")
        length = int(digits) if digits.isdigit() and len(digits) < 8 else 0
        key, equals, value = content[len(digits) + 1 : length - 1].partition(b"=")
        if not len(digits) < length <= len(content) or not equals:
            raise DataError(f"{where}, byte {position}: expected a pax header, got {content[:20]!r}.")
        if key == b"path":
            name = _text(value, where, position)
        elif key == b"size":
            if not value.isdigit() or len(value) > 18:
                raise DataError(f"{where}, byte {position}: expected a size, got {value[:20]!r}.")
            size = int(value)
        content = content[length:]
    return name, size


def _text(name: bytes, where: str, position: int) -> str:
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{where}, byte {position}: expected a name in UTF-8, got {name[:40]!r}.") from error


def _inside(name: str, where: str) -> str:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or not parts or "::" in name:
        raise DataError(f"{where}: expected members inside the archive, got {name[:80]!r}. It is not to be trusted.")
    return "/".join(parts)

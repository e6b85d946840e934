"""Pickles of plain arrays, read without `pickle`: no code of a file is ever run, large contents stay on the disk.

A pickle is a program for a small machine. This machine knows the instructions that build dicts,
lists, tuples, texts, numbers, bytes and numpy arrays; the few functions that numpy's own pickles
name are imitated, never imported or called. Whatever else a file asks for is refused.
Source: Python's `Lib/pickletools.py` (opcodes of protocols 0 to 5); numpy's `ndarray.__reduce_ex__`.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from typing import Any, BinaryIO

from probe4d.errors import DataError
from probe4d_datasets.formats.pickled_arrays import Bytes, Global, PickledArray, build, read_bytes, reduce

__all__ = ["Bytes", "PickledArray", "read_bytes", "read_pickle"]

INLINE = 1 << 12  # longer byte strings are left where they are
MAX_TEXT = 1 << 20
MAX_OBJECTS = 3_000_000
MARK = object()


def read_pickle(file: BinaryIO, where: str) -> Any:
    """Return the object of a pickle: arrays as `PickledArray` and byte strings as `Bytes`, their content unread.

    Raises:
        DataError: it is no whole pickle, or asks for more than plain arrays.
    """
    machine = _Machine(file, where)
    try:
        return machine.run()
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, AttributeError, struct.error) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{where}, byte {machine.start}: expected a pickle of arrays, got {type(error).__name__}: {error}. "
            "Replace the file."
        ) from error


class _Machine:
    """The stack, the memo and the file that they are filled from."""

    def __init__(self, file: BinaryIO, where: str) -> None:
        self.file = file
        self.where = where
        self.size = file.seek(0, os.SEEK_END)
        file.seek(0)
        self.start = 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        for count in range(MAX_OBJECTS):
            self.start = self.file.tell()
            code = self.file.read(1)
            if code == b".":
                if len(self.stack) != 1 or self.stack[0] is MARK:
                    raise DataError(f"{self.where}: expected one object, got {len(self.stack)}. Replace the file.")
                return self.stack[0]
            if not code:
                raise DataError(f"{self.where}: expected a whole pickle, got {count} instructions without an end.")
            if code not in _OPERATIONS:
                raise self.refusal(f"the instruction {code!r}")
            _OPERATIONS[code](self)
        raise self.refusal(f"more than {MAX_OBJECTS} instructions")

    def refusal(self, what: str) -> DataError:
        return DataError(
            f"{self.where}, byte {self.start}: expected a pickle of plain arrays, got {what}. "
            "It may run code of a stranger; nothing was run. Do not open it with pickle."
        )

    def take(self, length: int) -> bytes:
        if length > MAX_TEXT:
            raise self.refusal(f"a text or number of {length} bytes")
        content = self.file.read(length)
        if len(content) != length:
            raise DataError(f"{self.where}, byte {self.start}: expected {length} bytes, got {len(content)}: it is cut.")
        return content

    def line(self) -> bytes:
        content = self.file.readline(MAX_TEXT)
        if not content.endswith(b"\n"):
            raise DataError(f"{self.where}, byte {self.start}: expected a whole line, got {content[:40]!r}.")
        return content[:-1]

    def number(self, form: str) -> int:
        return int(struct.unpack(form, self.take(struct.calcsize(form)))[0])

    def content(self, length: int) -> Bytes:
        """Return a byte string; a long one as its place."""
        offset = self.file.tell()
        if length > self.size - offset:
            raise DataError(
                f"{self.where}, byte {self.start}: expected {length} bytes, got {self.size - offset}: it is cut off."
            )
        if length <= INLINE:
            return Bytes(offset, length, self.take(length))
        self.file.seek(length, os.SEEK_CUR)
        return Bytes(offset, length)

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is MARK:
            raise ValueError("a mark where an object should be")
        return value

    def since_mark(self) -> list[Any]:
        at = len(self.stack) - 1
        while self.stack[at] is not MARK:
            at -= 1
            if at < 0:
                raise ValueError("no mark")
        values = self.stack[at + 1 :]
        del self.stack[at:]
        return values

    def name(self, module: str, name: str) -> None:
        try:
            self.push(Global(f"{module}.{name}"))
        except ValueError:
            raise self.refusal(f"the name {module}.{name}") from None

    def set_items(self, pairs: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict or len(pairs) % 2:
            raise ValueError("items of what is no dict")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if not isinstance(key, str | int):
                raise TypeError(f"a key {type(key).__name__}")
            target[key] = value

    def append(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise TypeError("an item of what is no list")
        target.extend(values)


def _memoize(m: _Machine, key: int | None = None) -> None:
    m.memo[len(m.memo) if key is None else key] = m.stack[-1]


def _global_on_stack(m: _Machine) -> None:
    name, module = m.pop(), m.pop()
    m.name(str(module), str(name))


def _global_of_lines(m: _Machine) -> None:
    m.name(m.line().decode("ascii"), m.line().decode("ascii"))


def _tuple(m: _Machine, count: int) -> None:
    values = [m.pop() for _ in range(count)]
    m.push(tuple(reversed(values)))


def _protocol(m: _Machine) -> None:
    if (version := m.number("<B")) > 5:
        raise ValueError(f"protocol {version}")


def _integer(m: _Machine) -> None:
    text = m.line()
    m.push(text == b"01" if text in (b"00", b"01") else int(text))


def _float(m: _Machine) -> None:
    m.push(float(struct.unpack(">d", m.take(8))[0]))


def _long(m: _Machine) -> None:
    m.push(int.from_bytes(m.take(m.number("<B")), "little", signed=True))


def _nothing(_: object) -> None:
    """Drop what was read."""


def _call(m: _Machine) -> None:
    arguments, function = m.pop(), m.pop()
    if not isinstance(function, Global):
        raise m.refusal(f"a call of {type(function).__name__}")
    m.push(reduce(function, arguments, m))


def _dict(m: _Machine) -> None:
    pairs = m.since_mark()
    m.push({})
    m.set_items(pairs)


def _item(m: _Machine) -> None:
    value, key = m.pop(), m.pop()
    m.set_items([key, value])


def _build(m: _Machine) -> None:
    state, target = m.pop(), m.stack[-1]
    build(target, state, m)  # in place: the memo may hold the same object


_OPERATIONS: dict[bytes, Callable[[_Machine], None]] = {
    b"\x80": _protocol,
    b"\x95": lambda m: _nothing(m.number("<Q")),  # a frame: how much to read ahead
    b"(": lambda m: m.push(MARK),
    b"0": lambda m: _nothing(m.stack.pop()),
    b"1": lambda m: _nothing(m.since_mark()),
    b"2": lambda m: m.push(m.stack[-1]),
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"I": _integer,
    b"L": lambda m: m.push(int(m.line().removesuffix(b"L"))),
    b"F": lambda m: m.push(float(m.line())),
    b"G": _float,
    b"K": lambda m: m.push(m.number("<B")),
    b"M": lambda m: m.push(m.number("<H")),
    b"J": lambda m: m.push(m.number("<i")),
    b"\x8a": _long,
    b"V": lambda m: m.push(m.line().decode("raw-unicode-escape")),
    b"X": lambda m: m.push(m.take(m.number("<I")).decode("utf-8", "surrogatepass")),
    b"\x8c": lambda m: m.push(m.take(m.number("<B")).decode("utf-8", "surrogatepass")),
    b"\x8d": lambda m: m.push(m.take(m.number("<Q")).decode("utf-8", "surrogatepass")),
    b"U": lambda m: m.push(m.content(m.number("<B"))),  # strings of Python 2 hold its arrays
    b"T": lambda m: m.push(m.content(m.number("<i"))),
    b"C": lambda m: m.push(m.content(m.number("<B"))),
    b"B": lambda m: m.push(m.content(m.number("<I"))),
    b"\x8e": lambda m: m.push(m.content(m.number("<Q"))),
    b"\x96": lambda m: m.push(m.content(m.number("<Q"))),
    b")": lambda m: m.push(()),
    b"]": lambda m: m.push([]),
    b"}": lambda m: m.push({}),
    b"t": lambda m: m.push(tuple(m.since_mark())),
    b"l": lambda m: m.push(m.since_mark()),
    b"d": _dict,
    b"\x85": lambda m: _tuple(m, 1),
    b"\x86": lambda m: _tuple(m, 2),
    b"\x87": lambda m: _tuple(m, 3),
    b"a": lambda m: m.append([m.pop()]),
    b"e": lambda m: m.append(m.since_mark()),
    b"s": _item,
    b"u": lambda m: m.set_items(m.since_mark()),
    b"\x94": _memoize,
    b"p": lambda m: _memoize(m, int(m.line())),
    b"q": lambda m: _memoize(m, m.number("<B")),
    b"r": lambda m: _memoize(m, m.number("<I")),
    b"g": lambda m: m.push(m.memo[int(m.line())]),
    b"h": lambda m: m.push(m.memo[m.number("<B")]),
    b"j": lambda m: m.push(m.memo[m.number("<I")]),
    b"c": _global_of_lines,
    b"\x93": _global_on_stack,
    b"R": _call,
    b"b": _build,
}

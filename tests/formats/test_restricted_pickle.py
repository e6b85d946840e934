"""Pickles of arrays are read as any numpy writes them; whatever else a pickle asks for is refused, unrun."""

from __future__ import annotations

import io
import os
import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probe4d.errors import DataError
from probe4d_datasets.formats.pickled_arrays import PickledArray, read_array, read_bytes
from probe4d_datasets.formats.restricted_pickle import read_pickle

ARRAYS = {
    "bytes": np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
    "floats": np.random.default_rng(0).random((5, 7)).astype(np.float32),
    "doubles": np.random.default_rng(0).random(4000),
    "truth": np.array([[True, False], [False, True]]),
    "big-endian": np.arange(9, dtype=">i4").reshape(3, 3),
    "fortran": np.asfortranarray(np.arange(6000, dtype=np.int16).reshape(60, 100)),
    "empty": np.zeros((0, 3), np.float32),
    "jpegs": np.array([b"ab", b"abcd"]),
}


def loaded(content: bytes) -> Any:
    return read_pickle(io.BytesIO(content), "x.pkl")


def array(content: bytes, found: PickledArray) -> np.ndarray:
    return read_array(io.BytesIO(content), found, "x.pkl")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_of_every_protocol_come_back(name: str, protocol: int) -> None:
    want = ARRAYS[name]
    content = pickle.dumps({"one": want, "list": [want, 3, "text", None, 2.5, True, (1, 2), -(2**70)]}, protocol)
    found = loaded(content)
    for got in (found["one"], found["list"][0]):
        np.testing.assert_array_equal(array(content, got), want)
        assert got.dtype == want.dtype
    assert found["list"][1:] == [3, "text", None, 2.5, True, (1, 2), -(2**70)]


def test_numpy_1_wrote_other_module_names() -> None:
    content = pickle.dumps(ARRAYS["floats"], 3)
    assert b"numpy._core.multiarray" in content
    np.testing.assert_array_equal(
        array(content, loaded(content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))), ARRAYS["floats"]
    )


def test_lists_of_bytes_and_object_arrays_of_them_are_places_in_the_file() -> None:
    jpegs = [b"short", b"x" * 10_000, b"y" * 100_000]
    for stored in (jpegs, np.array(jpegs, object)):
        content = pickle.dumps({"video": stored}, 4)
        found = loaded(content)["video"]
        items = found.items if isinstance(found, PickledArray) else found
        assert [read_bytes(io.BytesIO(content), item, "x") for item in items] == jpegs
        assert items[1].inline is None  # what is long stays on the disk


def test_rows_are_read_alone() -> None:
    want = np.random.default_rng(0).integers(0, 256, (20, 30, 40, 3), dtype=np.uint8)
    content = pickle.dumps({"video": want}, 4)
    found = loaded(content)["video"]

    class Counting(io.BytesIO):
        taken = 0

        def read(self, size: int | None = -1) -> bytes:
            got = super().read(size)
            self.taken += len(got)
            return got

    file = Counting(content)
    np.testing.assert_array_equal(read_array(file, found, "x", [17, 2, 2]), want[[17, 2, 2]])
    assert file.taken == 3 * want[0].nbytes
    file = Counting(content)
    read_pickle(file, "x")
    assert file.taken < 2000


class Runs:
    """A pickle of this calls what it is given."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


class Plain:
    pass


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize(
    "hostile",
    [
        Runs(os.system, "touch hacked"),
        Runs(eval, "open('hacked', 'w')"),
        Runs(exec, "open('hacked', 'w')"),
        Runs(getattr, "text", "upper"),
        Runs(bytes, 10**12),
        Runs(np.load, "hacked"),
        Runs(np.fromfile, "hacked"),
        Runs(bytearray, 10**12),
        Runs(np.ndarray, (2, 2)),
        OrderedDict(a=1),
        Plain(),
        {1, 2},
        os.path.join,
        np.random.default_rng(0),
        np.array([Plain()], object),
        np.zeros(2, [("a", "f4")]),
        np.array(["text"]),
        np.array([1j]),
        np.ma.array([1, 2]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_is_no_plain_array_is_refused_and_nothing_runs(
    hostile: Any, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = pickle.dumps({"video": hostile}, protocol)
    with pytest.raises(DataError, match=r"x\.pkl"):
        loaded(content)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (b"", "expected a whole pickle, got 0 instructions"),
        (b"\x80\x04", "expected a whole pickle"),
        (b"\x80\x09N.", "protocol 9"),
        (b".", "expected one object, got 0"),
        (b"NN.", "expected one object, got 2"),
        (b"(.", "expected one object"),
        (b"0.", "IndexError"),
        (b"(lu.", "no mark"),
        (b"}(K\x01u.", "items of what is no dict"),
        (b"](K\x01s.", "a mark where an object should be"),
        (b"h\x07.", "KeyError"),
        (b"cos\nsystem\n.", "the name os.system"),
        (b"cnumpy\nload\n.", "the name numpy.load"),
        (b"c__builtin__\neval\n(S'1'\ntR.", "the name __builtin__.eval"),
        (b"\x8c\x02os\x8c\x06system\x93.", "the name os.system"),
        (b"(i__builtin__\neval\n.", "the instruction b'i'"),
        (b"(o.", "the instruction b'o'"),
        (b"\x82\x01.", "the instruction"),
        (b"Pid\n.", "the instruction b'P'"),
        (b"NQ.", "the instruction b'Q'"),
        (b"\x97.", "the instruction"),
        (b"N)R.", "a call of NoneType"),
        (b"}}b.", "the state of dict"),
        (b"\x8e" + struct.pack("<Q", 2**63) + b"a.", "expected 9223372036854775808 bytes, got 2"),
        (b"\x8d" + struct.pack("<Q", 2**63) + b"a.", "a text or number of 9223372036854775808 bytes"),
        (b"B\xff\xff\xff\xffab.", "expected 4294967295 bytes, got 3"),
        (b"T\xff\xff\xff\xffab.", "-1"),
        (b"I" + b"9" * 5000 + b"\n.", "ValueError"),
        (b"\x8a\xff.", "expected 255 bytes"),
    ],
)
def test_hostile_programs_are_refused(program: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        loaded(program)


def test_a_shape_that_its_bytes_do_not_fill_is_refused() -> None:
    content = pickle.dumps(np.zeros((3, 5), np.uint8), 4)
    for shape in (b"K\x03K\x06\x86", b"K\x00K\x05\x86", b"J\xff\xff\xff\x7fK\x05\x86", b"J\xff\xff\xff\xffK\x05\x86"):
        assert content.count(b"K\x03K\x05\x86") == 1
        with pytest.raises(DataError, match=r"x\.pkl, byte \d+: expected a pickle of arrays"):
            loaded(content.replace(b"K\x03K\x05\x86", shape))


def test_a_list_that_holds_itself_is_no_endless_walk() -> None:
    circle: list[Any] = []
    circle.append(circle)
    found = loaded(pickle.dumps(circle, 4))
    assert found[0] is found

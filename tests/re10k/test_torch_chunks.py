"""`.torch` chunks of strangers: plain tensors come out, nothing else, and no code is run."""

from __future__ import annotations

import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from probe4d.errors import DataError
from probe4d_datasets.re10k.torch_chunks import Tensor, open_chunk, read_tensors

DATA = Path(__file__).parent / "data"
CHUNK = DATA / "re10k_pt/test/000000.torch"


def chunk_of(tmp_path: Path, content: bytes, members: dict[str, bytes] | None = None, **options) -> str:
    """Write a chunk with this pickle."""
    path = tmp_path / "000000.torch"
    with zipfile.ZipFile(path, "w", **options) as archive:
        archive.writestr("x/data.pkl", content)
        for name, member in (members or {}).items():
            archive.writestr(f"x/{name}", member)
    return str(path)


def state(path: str) -> str:
    return str(os.stat(path).st_mtime_ns)


def test_a_chunk_is_what_torch_reads():
    torch = pytest.importorskip("torch", reason="pip install torch to compare with it")
    want = torch.load(CHUNK, weights_only=True)
    chunk = open_chunk(str(CHUNK), "")
    assert list(chunk.clips) == [clip["key"] for clip in want]
    for clip in want:
        found = chunk.clips[clip["key"]]
        names = ("timestamps", "cameras")
        arrays = read_tensors(chunk, [*(found[name] for name in names), *found["images"]])
        for array, tensor in zip(arrays, [*(clip[name] for name in names), *clip["images"]], strict=True):
            np.testing.assert_array_equal(array, tensor.numpy())
        assert found["url"] == clip["url"]


def test_chunks_of_other_clips_and_sizes_are_read(tmp_path):
    torch = pytest.importorskip("torch", reason="pip install torch to write one")
    clips = [
        {
            "key": f"{number:016x}",
            "url": "https://www.youtube.com/watch?v=abcdefghijk",
            "timestamps": torch.arange(number + 1, dtype=torch.int64) * 1000,
            "cameras": torch.rand(number + 1, 18, dtype=torch.float32),
            "images": [torch.randint(0, 255, (5 + i,), dtype=torch.uint8) for i in range(number + 1)],
        }
        for number in range(4)
    ]
    torch.save(clips, tmp_path / "000007.torch")
    chunk = open_chunk(str(tmp_path / "000007.torch"), "")
    for clip in clips:
        found = chunk.clips[clip["key"]]
        (cameras,) = read_tensors(chunk, [found["cameras"]])
        np.testing.assert_array_equal(cameras, clip["cameras"].numpy())
        for tensor, image in zip(found["images"], clip["images"], strict=True):
            np.testing.assert_array_equal(read_tensors(chunk, [tensor])[0], image.numpy())


def test_slices_of_one_storage_are_read_and_others_refused(tmp_path):
    torch = pytest.importorskip("torch", reason="pip install torch to write one")
    whole = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    clip = {"key": "a", "url": "u", "timestamps": torch.arange(3), "cameras": whole[1:], "images": []}
    torch.save([clip], tmp_path / "a.torch")
    chunk = open_chunk(str(tmp_path / "a.torch"), "")
    np.testing.assert_array_equal(read_tensors(chunk, [chunk.clips["a"]["cameras"]])[0], whole[1:].numpy())
    torch.save([{**clip, "cameras": whole.T}], tmp_path / "b.torch")
    with pytest.raises(DataError, match="not contiguous"):
        open_chunk(str(tmp_path / "b.torch"), "")


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return os.system, (f"touch {self.file}",)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_calls_is_refused_and_nothing_is_run(tmp_path, protocol):
    path = chunk_of(tmp_path, pickle.dumps([Evil(tmp_path / "ran")], protocol))
    with pytest.raises(DataError, match="It is not run"):
        open_chunk(path, state(path))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"cbuiltins\neval\n(X\x04\x00\x00\x001+1tR.",
        b"ctorch.storage\n_load_from_bytes\n)R.",
        b"ctorch\nload\n)R.",
        b"cnumpy\nfromfile\n)R.",
        b"\x80\x02ctorch\nFloatStorage\n)R.",
        b"\x80\x02ccollections\nOrderedDict\n)R}b.",
        b"\x80\x02ccollections\nOrderedDict\n(K\x01tR.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        b"(i__main__\nEvil\n.",
        b"\x80\x02c__builtin__\n__import__\nX\x02\x00\x00\x00os\x85R.",
        b"]q\x00h\x00a.",  # a list that holds itself
        b"\x80\x02X\x03\x00\x00\x00abcR.",
        b"\x80\x02]r\xff\xff\xff\xffNa.",  # a memo of four billion places
        b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x80\x02X\xff\xff\xff\xff.",
        b"\x80\x02" + b"(" * 100_000,
        b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
        b"",
        b".",
        b"\x80\xff.",
        b"Q.",
        b"\x80\x02(X\x07\x00\x00\x00storagectorch\nByteStorage\nX\x02\x00\x00\x00..X\x03\x00\x00\x00cpuK\x01tQ.",
    ],
)
def test_hostile_pickles_end_in_a_clear_error(tmp_path, content):
    path = chunk_of(tmp_path, content)
    with pytest.raises(DataError, match=r"000000.torch, data.pkl(, clip 0)?: expected"):
        open_chunk(path, state(path))


def stored(start: int, shape: tuple[int, ...]) -> bytes:
    """Return the instructions that torch writes for a uint8 tensor of the storage `0`."""

    def integer(value: int) -> bytes:
        data = value.to_bytes(9, "little")
        return b"\x8a\x09" + data

    def text(value: str) -> bytes:
        return b"X" + struct.pack("<I", len(value)) + value.encode()

    sizes = b"(" + b"".join(map(integer, shape)) + b"t"
    strides = [int(np.prod(shape[i + 1 :], dtype=object)) for i in range(len(shape))]
    steps = b"(" + b"".join(map(integer, strides)) + b"t"
    storage = b"(" + text("storage") + b"ctorch\nByteStorage\n" + text("0") + text("cpu") + integer(4) + b"tQ"
    made = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + integer(start) + sizes + steps + b"\x89"
    tensor = made + b"ccollections\nOrderedDict\n)RtR"
    clip = b"".join(
        [text("key"), text("a"), text("url"), text("u"), text("timestamps"), tensor, text("cameras"), tensor,
         text("images"), b"]"]
    )  # fmt: skip
    return b"\x80\x02](}(" + clip + b"ue."


def test_a_tensor_made_by_hand_is_read(tmp_path):
    path = chunk_of(tmp_path, stored(1, (1, 2)), {"data/0": b"\x01\x02\x03\x04"})
    chunk = open_chunk(path, state(path))
    assert chunk.clips["a"]["cameras"] == Tensor("data/0", "u1", 1, (1, 2))
    assert read_tensors(chunk, [chunk.clips["a"]["cameras"]])[0].tolist() == [[2, 3]]


@pytest.mark.parametrize(
    ("start", "shape"), [(0, (5,)), (4, (1,)), (0, (1 << 39,)), (1 << 39, (1,)), (0, (2, 1 << 38))]
)
def test_tensors_larger_than_their_bytes_are_refused_before_they_are_made(tmp_path, start, shape):
    path = chunk_of(tmp_path, stored(start, shape), {"data/0": b"\x01\x02\x03\x04"})
    chunk = open_chunk(path, state(path))
    with pytest.raises(DataError, match="got 4 bytes"):
        read_tensors(chunk, [chunk.clips["a"]["cameras"]])


def test_tensors_of_absurd_sizes_are_no_tensors(tmp_path):
    path = chunk_of(tmp_path, stored(0, (1 << 62,)), {"data/0": b"\x01\x02\x03\x04"})
    with pytest.raises(DataError, match="a tensor of shape"):
        open_chunk(path, state(path))


def test_a_lacking_or_compressed_or_changed_member_is_refused(tmp_path):
    path = chunk_of(tmp_path, stored(0, (4,)))
    chunk = open_chunk(path, state(path))
    with pytest.raises(DataError, match=r"data/0: expected the bytes of a tensor"):
        read_tensors(chunk, [chunk.clips["a"]["cameras"]])
    path = chunk_of(tmp_path, stored(0, (4,)), {"data/0": b"\0" * 10_000_000}, compression=zipfile.ZIP_DEFLATED)
    chunk = open_chunk(path, state(path) + "2")
    with pytest.raises(DataError, match="not compressed"):
        read_tensors(chunk, [chunk.clips["a"]["cameras"]])
    path = chunk_of(tmp_path, stored(0, (4,)), {"data/0": b"\x01\x02\x03\x04"})
    Path(path).write_bytes(Path(path).read_bytes().replace(b"\x01\x02\x03\x04", b"\x01\x02\x03\x05"))
    chunk = open_chunk(path, state(path) + "3")
    with pytest.raises(DataError, match="with their checksum"):
        read_tensors(chunk, [chunk.clips["a"]["cameras"]])


def test_a_pickle_that_unpacks_to_more_than_the_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("probe4d_datasets.re10k.torch_chunks.MAX_PICKLE", 1000)
    path = chunk_of(tmp_path, b"\0" * 20_000_000, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(DataError, match="at most 1,000 bytes"):
        open_chunk(path, state(path))


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip", pickle.dumps([1])])
def test_what_is_no_chunk_is_refused(tmp_path, content):
    path = tmp_path / "x.torch"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x.torch: expected a whole .torch chunk"):
        open_chunk(str(path), state(str(path)))


@pytest.mark.parametrize("value", [5, {}, [5], [{"key": 5}], [{"key": "a", "url": "u"}]])
def test_a_chunk_of_something_else_is_refused(tmp_path, value):
    path = chunk_of(tmp_path, pickle.dumps(value, 2))
    with pytest.raises(DataError, match=r"data\.pkl"):
        open_chunk(path, state(path))


def test_big_endian_tensors_are_refused(tmp_path):
    path = chunk_of(tmp_path, stored(0, (4,)), {"byteorder": b"big"})
    with pytest.raises(DataError, match="little-endian"):
        open_chunk(path, state(path))

"""Tar archives in parts: members by name, lists that are kept, hostile archives refused."""

from __future__ import annotations

import gzip
import io
import itertools
import tarfile
import zipfile
from pathlib import Path

import fsspec
import numpy as np
import pytest

from probe4d.errors import DataError
from probe4d_datasets import packed_tar
from probe4d_datasets.own.root import Root
from probe4d_datasets.packed_tar import PackedTar, UnpackedTar
from probe4d_datasets.places import archive
from published_fixtures import survives

packed_tar.register()
LONG = "a/" + "very-long-name/" * 20 + "x.webm"
FILES = {"a/one.webm": b"1" * 1000, "a/b/two.webm": b"22", LONG: b"333", "a/empty.webm": b"", "zwölf.webm": b"12"}


def tar_bytes(files: dict[str, bytes] = FILES, form: int = tarfile.PAX_FORMAT, mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, format=form) as made:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("a/link.webm")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        made.addfile(link)
    return buffer.getvalue()


def in_parts(tmp_path: Path, content: bytes, parts: int, stem: str = "videos") -> Path:
    edges = np.linspace(0, len(content), parts + 1).astype(int)
    for number, (a, b) in enumerate(itertools.pairwise(edges)):
        (tmp_path / f"{stem}-{number:02d}").write_bytes(content[a:b])
    return tmp_path / f"{stem}-00"


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("parts", [1, 2, 7])
@pytest.mark.parametrize("made", [PackedTar, UnpackedTar])
def test_every_member_is_read_in_any_order(tmp_path, form, mode, parts, made):
    files = {name: content for name, content in FILES.items() if form != tarfile.USTAR_FORMAT or len(name) < 100}
    first = in_parts(tmp_path, tar_bytes(files, form, mode), parts)
    opened = made(str(first))
    assert sorted(opened.find("")) == sorted(files)
    for name in [*files, *reversed(files)]:
        assert opened.cat_file(name) == files[name]
    with pytest.raises(FileNotFoundError):
        opened.cat_file("a/link.webm")


def test_parts_are_found_from_any_of_them_and_lacking_ones_named(tmp_path):
    in_parts(tmp_path, tar_bytes(), 3)
    assert PackedTar(str(tmp_path / "videos-02")).cat_file("a/b/two.webm") == b"22"
    (tmp_path / "videos-01").unlink()
    with pytest.raises(DataError, match=r"videos-01: expected every part of the archive, got \['00', '02'\]"):
        PackedTar(str(tmp_path / "videos-00"), use_listings_cache=False)


def test_a_cut_archive_is_refused(tmp_path):
    content = tar_bytes()
    (tmp_path / "cut.tgz").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"cut.tgz: expected a whole archive"):
        Root(f"packedtar://::file://{tmp_path}/cut.tgz").files()


def test_the_list_of_members_is_made_once(tmp_path, monkeypatch):
    path = in_parts(tmp_path, tar_bytes(), 2)
    assert len(PackedTar(str(path)).find("")) == 5
    PackedTar.clear_instance_cache()
    monkeypatch.setattr(PackedTar, "_list", lambda self: pytest.fail("made again"))
    assert len(PackedTar(str(path)).find("")) == 5


def test_archives_anywhere_are_roots(tmp_path):
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/packed/a.tgz", tar_bytes())
    root = archive(Root("memory://packed"), "a.tgz")
    assert root.files() == tuple(sorted(FILES))
    assert root.read(["a/one.webm"]) == [FILES["a/one.webm"]]
    assert root.read_up_to("a/one.webm", 1000) == FILES["a/one.webm"]
    with pytest.raises(DataError, match="expected at most 999 bytes"):
        root.read_up_to("a/one.webm", 999)
    assert root.names("a") == ("b/", "empty.webm", "one.webm", "very-long-name/")
    assert root.state("a/one.webm") != root.state("a/empty.webm")


def raw(name: bytes, size: bytes = b"00000000001", kind: bytes = b"0") -> bytes:
    """Return a tar of one member with this header."""
    header = bytearray(name.ljust(100, b"\0") + b"0000644\0" * 3 + size.ljust(12, b"\0") + b"0" * 11 + b"\0")
    header = header.ljust(148, b"\0") + b" " * 8 + kind
    header = header.ljust(512, b"\0")
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + b"x".ljust(512, b"\0") + b"\0" * 1024


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (raw(b"/etc/passwd"), "members inside the archive"),
        (raw(b"a/../../b"), "members inside the archive"),
        (raw(b"a::file:///etc/passwd"), "members inside the archive"),
        (raw(b""), "members inside the archive"),
        (raw(b"\xff\xfe"), "a name in UTF-8"),
        (raw(b"a", b"\x80" + b"\xff" * 11), "the size of a file"),
        (raw(b"a", b"77777777777"), "got its end"),
        (raw(b"a", b"9"), "an octal number"),
        (raw(b"a", b"77777777777", b"x"), "a header below"),
        (raw(b"a", b"77777777777", b"L"), "a header below"),
        (raw(b"a", b"1", b"x"), "a pax header"),
        (raw(b"a")[:700], "its end at byte"),
        (b"1" * 512, "the header of a tar member"),
        (raw(b"a")[:1024], "its end at byte"),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_hostile_archives_are_refused(tmp_path, content, message, compressed):
    path = tmp_path / "x.tar"
    path.write_bytes(gzip.compress(content) if compressed else content)
    with pytest.raises(DataError, match=message):
        PackedTar(str(path)).find("")


def test_what_is_no_archive_is_refused(tmp_path):
    (tmp_path / "x.tgz").write_bytes(b"hello")
    with pytest.raises(DataError, match="expected a zip or tar archive"):
        archive(Root(str(tmp_path)), "x.tgz")


def test_a_member_beyond_the_limit_is_not_read_into_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(packed_tar, "MAX_MEMBER", 500)
    path = in_parts(tmp_path, tar_bytes(), 1)
    with pytest.raises(DataError, match="at most 500 bytes, got 1,000"):
        PackedTar(str(path)).cat_file("a/one.webm")


def test_no_room_for_an_unpacked_copy_is_said_before_it_is_made(tmp_path, monkeypatch):
    import shutil
    from collections import namedtuple

    monkeypatch.setattr(shutil, "disk_usage", lambda _: namedtuple("Usage", "free")(10))
    path = in_parts(tmp_path, tar_bytes({"a": b"no room"}), 1)
    with pytest.raises(DataError, match="bytes of free disk, got 10"):
        UnpackedTar(str(path)).cat_file("a")


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("count", [100, pytest.param(5000, marks=pytest.mark.slow)])
def test_broken_archives_are_read_or_refused(tmp_path, compressed, count):
    number = iter(range(10**9))

    def read(content: bytes) -> None:
        path = tmp_path / f"{next(number)}.tar"
        path.write_bytes(content)
        opened = PackedTar(str(path), skip_instance_cache=True)
        for name in opened.find(""):
            try:
                assert len(opened.cat_file(name)) <= 1000
            except OSError as error:
                raise DataError(str(error)) from error
        path.unlink()

    assert survives(read, tar_bytes(mode="w:gz" if compressed else "w"), count) > count // 5


def test_a_zip_whose_member_has_no_name_is_refused(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr("a", "x")
    content = bytearray(buffer.getvalue())
    at = content.rindex(b"PK\x01\x02")
    content[at + 28 : at + 32] = b"\0\0\x01\0"  # its one byte is no longer the name's
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(DataError, match="expected a folder, got IndexError"):
        Root(f"zip://::file://{tmp_path}/x.zip").files()

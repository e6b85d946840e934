"""A root is a folder anywhere; nothing outside of it is reached."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from probe4d.errors import DataError
from probe4d_datasets.files import digest
from probe4d_datasets.own.root import Root, under


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "b").mkdir(parents=True)
    (root / "a.txt").write_text("one")
    (root / "b/c.txt").write_text("zwei\n", encoding="utf-8-sig")
    return root


def test_the_same_files_are_found_and_read_in_a_folder_an_archive_and_memory(
    tree: Path, elsewhere: Callable[[Path], dict[str, str]]
) -> None:
    for url in (str(tree), f"file://{tree}", *elsewhere(tree).values()):
        root = pickle.loads(pickle.dumps(Root(url)))
        assert root.files() == ("a.txt", "b/c.txt"), url
        assert root.read(["b/c.txt", "a.txt"])[1] == b"one"
        assert root.read_text("b/c.txt") == "zwei\n"
        assert digest(root.location("a.txt")) == digest(tree / "a.txt")
        with pytest.raises(DataError, match="expected a readable file"):
            root.read(["b/none.txt"])


def test_hidden_files_are_left_out(tree: Path, elsewhere: Callable[[Path], dict[str, str]]) -> None:
    (tree / "__MACOSX/b").mkdir(parents=True)
    for name in (".DS_Store", "b/._c.txt", "__MACOSX/b/c.txt"):
        (tree / name).write_text("x")
    for url in (str(tree), *elsewhere(tree).values()):
        assert Root(url).files() == ("a.txt", "b/c.txt")


def test_a_whole_archive_is_a_root(tree: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as archive:
        archive.write(tree / "a.txt", "a.txt")
    for url in (f"zip://::file://{tmp_path}/w.zip", f"zip::file://{tmp_path}/w.zip"):
        assert Root(url).files() == ("a.txt",)
        assert Root(url).read(["a.txt"]) == [b"one"]
        assert digest(Root(url).location("a.txt")) == digest(tree / "a.txt")


@pytest.mark.parametrize("path", ["../x", "b/../../x", "/etc/passwd", "", "x::file:///etc/passwd"])
def test_no_path_leaves_the_root(path: str, tree: Path) -> None:
    for root in (Root(str(tree)), Root("memory://some")):
        with pytest.raises(DataError, match="expected paths inside the root"):
            root.location(path)
        with pytest.raises(DataError, match="expected paths inside the root"):
            root.read([path])


def test_links_that_lead_out_are_refused_and_links_inside_are_not(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("x")
    (tree / "out.txt").symlink_to(tmp_path / "secret.txt")
    (tree / "in.txt").symlink_to(tree / "a.txt")
    (tree / "loop").symlink_to(tree / "b")
    root = Root(str(tree))
    assert root.files() == ("a.txt", "b/c.txt", "in.txt", "out.txt")
    assert root.read(["in.txt"]) == [b"one"]
    with pytest.raises(DataError, match=r"out\.txt: expected a file inside .* got a link that leads out"):
        root.read(["out.txt"])
    (tree / "far").symlink_to(tmp_path)
    with pytest.raises(DataError, match=r"far: expected folders inside .* got a link to"):
        root.files()


def test_an_archive_with_a_member_that_climbs_out_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("data/../../x.mp4", b"x")
        archive.writestr("data/a.mp4", b"x")
    with pytest.raises(DataError, match=r"expected paths inside the root, got .*\.\."):
        Root(f"zip://::file://{tmp_path}/evil.zip").files()


def test_a_root_that_is_not_there_is_named(tmp_path: Path) -> None:
    for url in (str(tmp_path / "none"), "memory://not-there", f"zip://::file://{tmp_path}/none.zip"):
        with pytest.raises(DataError, match=r"(none|not-there).*: expected"):
            Root(url).files()


def test_a_protocol_without_its_package_says_so() -> None:
    with pytest.raises(DataError, match="nosuch://x: expected a URL that fsspec opens"):
        Root("nosuch://x").files()


def test_under_finds_by_prefix_and_nothing_else() -> None:
    files = ("a", "a/b", "a/b.c", "a/bc/d", "ab", "b")
    assert list(under(files, "a/b")) == ["a/b", "a/b.c", "a/bc/d"]
    assert list(under(files, "a/")) == ["a/b", "a/b.c", "a/bc/d"]
    assert list(under(files, "z")) == []


class Away(MemoryFileSystem):
    """A place that answers nothing but an error, as a bucket without credentials does: no OSError."""

    protocol = "away"
    error: type[Exception] = RuntimeError

    def _refuse(self, *_: object, **__: object) -> Any:
        raise self.error("Unable to locate credentials\nmore")

    ls = info = find = cat_file = _open = ukey = _refuse


@pytest.mark.parametrize("error", [type("NoCredentialsError", (Exception,), {}), PermissionError, TimeoutError])
def test_a_place_that_refuses_or_cannot_be_reached_is_not_taken_for_an_empty_one(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Away, "error", error)
    fsspec.register_implementation("away", Away, clobber=True)
    root = Root("away://bucket/data")
    asked: list[Callable[[], object]] = [root.names, root.files, root.states]
    asked += [lambda: root.names("videos"), lambda: root.state("a"), lambda: root.read(["a"])]
    asked += [lambda: root.read_up_to("a", 9), lambda: digest(root.location("a"))]
    for ask in asked:
        with pytest.raises(DataError, match=rf"away://bucket/data.*: expected .*{error.__name__}: Unable to") as raised:
            ask()
        assert "\n" not in str(raised.value)


def test_a_folder_that_is_not_there_has_no_names_but_a_root_that_is_not_there_is_named(
    tree: Path, elsewhere: Callable[[Path], dict[str, str]]
) -> None:
    for url in (str(tree), *elsewhere(tree).values()):
        assert Root(url).names() == ("a.txt", "b/"), url
        assert Root(url).names("c") == Root(url).names("b/c") == (), url
        with pytest.raises(DataError, match=r"none.*: expected a folder, got nothing of that name\. Check the root"):
            Root(url.replace("://", "://none/", 1) if url.startswith("memory") else f"{tree}/none").names()

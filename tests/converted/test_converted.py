"""Copies of datasets: the same samples, from anywhere, whole or not at all, with what the original lacked."""

from __future__ import annotations

import gc
import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import fsspec
import numpy as np
import pytest
from click.testing import CliRunner

from probe4d.builtin.datasets.converted import DATASETS
from probe4d.commands import data
from probe4d.contracts import Sample
from probe4d.errors import DataError, UsageError
from probe4d.opening import open_dataset
from probe4d.registry import find, make
from probe4d.scoring.datasets import open_task
from probe4d.testing import Given, check_dataset
from probe4d_datasets.converted.convert import Begun, convert_dataset
from probe4d_datasets.converted.dataset import Converted
from probe4d_datasets.playroom import Playroom

TESTS = Path(__file__).parents[1]
SMALL = {"size": 16, "frames": 20, "length": 3, "cache": False}


def begun(**changes):
    values = {"dataset": "probe4d/playroom", "split": "val", "options": {}, "version": "0", "format": "webdataset"}
    return Begun(**{**values, **changes})


def same(one, other):
    assert one.id == other.id
    np.testing.assert_array_equal(one.video, other.video)
    assert set(one.targets) == set(other.targets)
    for kind, fields in one.targets.items():
        assert set(fields) == set(other.targets[kind])
        for name, value in fields.items():
            np.testing.assert_array_equal(value, other.targets[kind][name], err_msg=f"{kind}.{name}")
            assert np.asarray(value).dtype == other.targets[kind][name].dtype


def elsewhere(folder, kind, place):
    """Return the URL of a copy of a folder in memory or in a zip."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    if kind == "zip":
        with zipfile.ZipFile(place / "copy.zip", "w") as archive:
            for file in files:
                archive.write(file, file.relative_to(folder).as_posix())
        return f"zip://::file://{place}/copy.zip"
    memory, root = fsspec.filesystem("memory"), f"/copies/{place.name}"
    for file in files:
        memory.pipe_file(f"{root}/{file.relative_to(folder).as_posix()}", file.read_bytes())
    return f"memory:/{root}"


@pytest.fixture(scope="module")
def original():
    return Playroom(split="val", **SMALL)


@pytest.fixture(scope="module", params=["webdataset", "zarr"])
def copied(request, original, tmp_path_factory):
    """Return the folder of a copy of both formats."""
    folder = tmp_path_factory.mktemp(request.param)
    convert_dataset(original, begun(format=request.param, samples_per_shard=2), str(folder))
    return folder


@pytest.mark.parametrize("place", ["folder", "memory", "zip"])
def test_a_copy_has_the_same_samples_wherever_it_lies(original, copied, place, tmp_path):
    copy = Converted(str(copied) if place == "folder" else elsewhere(copied, place, tmp_path), "val")
    assert list(copy.sample_ids()) == original.sample_ids()
    for sample_id in original.sample_ids():
        same(copy.load(sample_id), original.load(sample_id))
        frames = [0, 7, 3, 3, 19]
        same(copy.load(sample_id, frames), original.load(sample_id, frames))


def test_pictures_may_be_compressed_without_loss_or_with(original, tmp_path):
    convert_dataset(original, begun(frames="png"), str(tmp_path / "png"))
    convert_dataset(original, begun(frames="jpeg"), str(tmp_path / "jpeg"))
    sample_id = original.sample_ids()[0]
    same(Converted(tmp_path / "png", "val").load(sample_id, [4, 2]), original.load(sample_id, [4, 2]))
    lossy = Converted(tmp_path / "jpeg", "val").load(sample_id)
    exact = original.load(sample_id)
    difference = np.abs(lossy.video.astype(int) - exact.video)
    assert 0 < difference.mean() < 16  # noise of 16 x 16 pixels
    np.testing.assert_array_equal(lossy.targets["depth"]["depth"], exact.targets["depth"]["depth"])


def test_zarr_itself_reads_a_copy(original, copied):
    if not (copied / "val/samples.zarr").exists():
        pytest.skip("the other format")
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(str(copied / "val/samples.zarr"), mode="r")["00000001"]
    sample = original.load(original.sample_ids()[1])
    assert group.attrs["id"] == sample.id
    np.testing.assert_array_equal(group["video"][:], sample.video)
    np.testing.assert_array_equal(group["points.visible"][:], sample.targets["points"]["visible"])
    assert int(group["labels.label"][()]) == int(sample.targets["labels"]["label"])


@pytest.mark.slow  # importing webdataset imports torch
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_itself_reads_a_copy(original, copied):
    if not (copied / "val/shard-000000.tar").exists():
        pytest.skip("the other format")
    wds = pytest.importorskip("webdataset")
    urls = [str(file) for file in sorted((copied / "val").glob("*.tar"))]
    found = list(wds.WebDataset(urls, shardshuffle=False).decode())
    gc.collect()  # it leaves its files open
    assert [item["json"]["id"] for item in found] == original.sample_ids()
    sample = original.load(original.sample_ids()[2])
    np.testing.assert_array_equal(found[2]["video.npy"], sample.video)
    np.testing.assert_array_equal(found[2]["boxes.boxes.npy"], sample.targets["boxes"]["boxes"])


def test_a_copy_passes_every_check_of_datasets(copied):
    results = check_dataset(DATASETS[0], given=Given(roots={"converted": str(copied)}, splits={"converted": ("val",)}))
    assert [(one.name, one.reason) for one in results if one.status != "passed"] == []


class Interrupted(Playroom):
    """Stops the conversion when its last sample is asked for."""

    def load(self, sample_id, frames=None):
        if sample_id == self.sample_ids()[-1]:
            raise KeyboardInterrupt
        return super().load(sample_id, frames)


def test_a_conversion_that_was_stopped_goes_on_and_is_not_read_before_it_is_whole(original, tmp_path):
    plan = begun(samples_per_shard=1)
    with pytest.raises(KeyboardInterrupt):
        convert_dataset(Interrupted(split="val", **SMALL), plan, str(tmp_path))
    with pytest.raises(DataError, match="one that is not finished"):
        Converted(tmp_path, "val")
    kept = (tmp_path / "val/shard-000000.tar").stat().st_mtime_ns
    done = convert_dataset(original, plan, str(tmp_path))
    assert (done.shards, done.written, done.samples) == (3, 1, 3)
    assert (tmp_path / "val/shard-000000.tar").stat().st_mtime_ns == kept
    same(Converted(tmp_path, "val").load("val-000002"), original.load("val-000002"))
    assert convert_dataset(original, plan, str(tmp_path)).written == 0


@pytest.mark.parametrize("change", [{"frames": "png"}, {"options": {"size": 8}}, {"version": "1"}])
def test_another_copy_is_not_mixed_into_one_that_was_begun(original, copied, change):
    name = next(iter(change))
    other = begun(
        format="zarr" if (copied / "val/samples.zarr").exists() else "webdataset", samples_per_shard=2, **change
    )
    with pytest.raises(UsageError, match=f"the copy that was begun here, of {name}"):
        convert_dataset(original, other, str(copied))


@pytest.mark.slow  # two processes start anew
def test_two_processes_write_the_same_bytes(original, tmp_path):
    for workers in (1, 2):
        convert_dataset(original, begun(samples_per_shard=1), str(tmp_path / str(workers)), workers=workers)
    one, two = (
        {file.name: file.read_bytes() for file in (tmp_path / str(n) / "val").iterdir() if file.is_file()}
        for n in (1, 2)
    )
    assert one == two


def test_a_changed_byte_is_noticed(copied, tmp_path):
    copy = shutil.copytree(copied, tmp_path / "copy")
    for file in [*copy.rglob("*.tar"), *copy.glob("**/video/c/0/0/0/0")]:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(bytes(content))
    damaged = Converted(copy, "val")
    with pytest.raises(DataError, match="expected the bytes that were written, got others"):
        [damaged.load(sample_id) for sample_id in damaged.sample_ids()]


def test_a_cut_file_and_a_foreign_declaration_are_refused(copied, tmp_path):
    copy = shutil.copytree(copied, tmp_path / "copy")
    for file in [*copy.rglob("*.tar"), *copy.glob("**/video/c/0/0/0/0")]:
        file.write_bytes(file.read_bytes()[:600])
    with pytest.raises(DataError, match="Convert it again"):
        Converted(copy, "val").load("val-000000")
    other = shutil.copytree(copied, tmp_path / "other")
    (other / "val/shard-000000.json").write_text("{}")
    with pytest.raises(DataError, match="expected the index that the copy was declared with"):
        Converted(other, "val").load("val-000001")
    (copy / "val/copy.json").write_text('{"schema": "other", "shards": []}')
    with pytest.raises(DataError, match="expected probe4d/copy/1, got 'other'"):
        Converted(copy, "val")


def test_long_videos_are_read_in_blocks(tmp_path):
    class Long:
        """One video of 150 frames, no more than 64 of which may be asked for at once."""

        def sample_ids(self):
            return ["long"]

        def num_frames(self, _):
            return 150

        def load(self, sample_id, frames=None):
            frames = np.asarray(frames)
            assert len(frames) <= 64
            video = np.broadcast_to(frames.astype(np.uint8)[:, None, None, None], (len(frames), 2, 2, 3))
            tracks = np.stack([frames, -frames], -1)[None].astype(np.float32)
            points = {"tracks": tracks, "visible": tracks[..., 0] % 2 == 0}
            return Sample(id=sample_id, video=video, targets={"points": points}, provenance={"frames": [1]})

    convert_dataset(Long(), begun(), str(tmp_path))
    sample = Converted(tmp_path, "val").load("long", [149, 64, 63])
    assert sample.video[:, 0, 0, 0].tolist() == [149, 64, 63]
    assert sample.targets["points"]["tracks"][0].tolist() == [[149, -149], [64, -64], [63, -63]]
    assert sample.targets["points"]["visible"].tolist() == [[False, True, False]]


def convert(*arguments):
    return CliRunner().invoke(data.command, ["convert", *map(str, arguments)])


def test_what_the_original_lacks_the_copy_lacks_with_the_reason(tmp_path):
    root = TESTS / "ssv2/data"
    refused = convert("ssv2", tmp_path / "strict", "--root", root, "--split", "train")
    assert "expected at most 10% of 4 to be broken" in str(refused.exception)
    done = convert("ssv2", tmp_path / "copy", "--root", root, "--split", "train", "--max-broken", 0.3, "--json")
    facts = json.loads(done.stdout)
    (lost,) = facts["left_out"]
    entry = find("datasets", "ssv2")
    original, copy = (open_dataset(entry, "train", {"root": str(place)}) for place in (root, tmp_path / "copy"))
    assert isinstance(copy, Converted)
    assert list(copy.sample_ids()) == list(original.sample_ids())
    assert copy.coverage()["summary"] == "3 of 4 samples"
    with pytest.raises(DataError, match=f"{lost['id']}.webm"):
        copy.load(lost["id"])
    assert copy.facts["options"] == original.facts["options"]
    checked = CliRunner().invoke(
        data.command, ["check", "ssv2", "--root", str(tmp_path / "copy"), "--split", "train", "--json", "--no-sheet"]
    )
    assert json.loads(checked.stdout)["absent"] == 1


def test_a_copy_of_movi_has_the_tracks_of_every_start(tmp_path):
    root, options = TESTS / "movi/data/tfds", ["--set", 'targets=["points"]']
    done = convert("movi_e", tmp_path, "--root", root, *options)
    assert done.exit_code == 0, done.output
    entry = find("datasets", "movi_e")
    original, copy = (
        open_dataset(entry, "train", {"root": str(place), "targets": ["points"]}) for place in (root, tmp_path)
    )
    for start in range(9):
        same(
            copy.load(original.sample_ids()[1], range(start, start + 16)),
            original.load(original.sample_ids()[1], range(start, start + 16)),
        )
    with pytest.raises(DataError, match="expected a clip that starts at a frame of"):
        copy.load(original.sample_ids()[1], range(9, 24))
    with pytest.raises(UsageError, match="expected a copy with targets"):
        open_dataset(entry, "train", {"root": str(tmp_path), "targets": ["depth"]})
    with pytest.raises(DataError, match="got a copy of probe4d/movi_e"):
        open_dataset(find("datasets", "panning_movi_e"), "train", {"root": str(tmp_path)})


def test_a_task_has_the_same_targets_on_a_copy_as_on_the_original(tmp_path):
    root = TESTS / "waymo/data/v1"
    # With all tracks of the segment, which rows count is decided when a clip is asked for.
    done = convert("waymo", tmp_path, "--root", root, "--split", "validation", "--set", "tracks=all")
    assert done.exit_code == 0, done.output
    kind = make(find("kinds", "boxes"))
    original, copy = (open_task(find("tasks", "waymo"), kind, str(place)) for place in (root, tmp_path))
    assert original.ids == copy.ids
    for clip_id in original.ids[:3]:
        one, other = original.load(clip_id), copy.load(clip_id)
        np.testing.assert_array_equal(one["boxes"][one["present"]], other["boxes"][other["present"]])
        np.testing.assert_array_equal(one["present"], other["present"])
        assert len(one["boxes"]) > 0


def test_a_tar_holds_nothing_but_the_members_of_its_samples(copied):
    for file in copied.rglob("*.tar"):
        with tarfile.open(file) as archive:
            names = archive.getnames()
        assert len(names) == len(set(names))
        assert {name.partition(".")[0] for name in names} <= {f"{number:08d}" for number in range(3)}
        assert not any("@" in name or "/" in name for name in names)

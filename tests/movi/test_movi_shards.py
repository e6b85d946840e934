"""Where MOVi's shards lie: any builder, version and place; what is missing or broken costs itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from movi.made_movi import made_features, write_build
from probe4d.builtin.datasets.movi import DATASETS
from probe4d.errors import DataError
from probe4d.testing import Given, check_dataset
from probe4d_datasets.coverage import Coverage
from probe4d_datasets.movi.dataset import Movi
from published_fixtures import elsewhere, frame_codes

SPECS = {spec.name: spec for spec in DATASETS}


def few(frames: int = 2, count: int = 1, first: int = 0) -> list[dict]:
    return [made_features(frames, seed=first + number) for number in range(count)]


def first_sample(root: Path) -> object:
    movi = Movi(root)
    return movi.load(movi.sample_ids()[0])


def test_the_dataset_passes_every_check(tfds: Path) -> None:
    results = check_dataset(SPECS["movi_e"], given=Given(roots={"movi_e": str(tfds)}))
    assert {result.status for result in results} == {"passed"}, [r for r in results if r.status != "passed"]


def test_ids_are_those_of_tfds_and_frames_carry_their_numbers(tfds: Path, expected: dict[str, np.ndarray]) -> None:
    movi = Movi(tfds, "train")
    assert movi.sample_ids() == (
        "movi_e-train.tfrecord-00000-of-00002__0",
        "movi_e-train.tfrecord-00001-of-00002__0",
    )
    assert [movi.num_frames(name) for name in movi.sample_ids()] == [24, 24]
    sample = movi.load(movi.sample_ids()[1], [3, 4])
    assert sample.provenance["video_name"] == "4851"
    codes = frame_codes(movi.load(movi.sample_ids()[1]).video)
    assert codes == frame_codes(expected["train1/video"])


@pytest.mark.parametrize("inside", ["", "movi_e/28x28/1.0.0"])
def test_any_place_and_any_depth_of_root_give_the_same(inside: str, tfds: Path, tmp_path: Path) -> None:
    truth = Movi(tfds, "validation").load("movi_e-validation.tfrecord-00000-of-00001__0", [2, 3])
    roots = {"local": str(tfds / inside), **elsewhere(tfds / inside, tmp_path)}
    for url in (roots["local"], roots["memory"], roots["zip"], roots["tar"]):
        sample = Movi(url, "validation").load(truth.id, [2, 3])
        np.testing.assert_array_equal(sample.video, truth.video)
        for kind, fields in truth.targets.items():
            for name, value in fields.items():
                np.testing.assert_array_equal(sample.targets[kind][name], value, err_msg=f"{url} {kind}.{name}")


def test_another_builder_has_its_own_shards(tmp_path: Path) -> None:
    write_build(tmp_path, [few(), few(first=1), few(count=2, first=2)], builder="panning_movi_e", config="128x128")
    write_build(tmp_path, [few()], builder="movi_e")
    movi = Movi(tmp_path, **SPECS["panning_movi_e"].options)
    assert len(movi.sample_ids()) == 4
    names = [movi.load(name).provenance["video_name"] for name in movi.sample_ids()]
    assert names == ["made0", "made1", "made2", "made3"]
    assert movi.facts["options"]["builder"] == "panning_movi_e"
    assert movi.facts["options"]["config"] == "128x128"


def test_the_configuration_is_256_the_only_one_or_stated(tmp_path: Path) -> None:
    for config in ("64x64", "128x128"):
        write_build(tmp_path, [few()], config=config)
    with pytest.raises(DataError, match=r"movi_e: expected 'one folder', got 128x128, 64x64\. State which"):
        Movi(tmp_path)
    assert Movi(tmp_path, config="64x64").facts["options"]["config"] == "64x64"
    write_build(tmp_path, [few()], config="256x256", version="1.0.0")
    assert Movi(tmp_path).facts["options"]["config"] == "256x256"
    write_build(tmp_path, [few()], config="256x256", version="2.0.0")
    with pytest.raises(DataError, match=r"got 1\.0\.0, 2\.0\.0"):
        Movi(tmp_path)
    assert Movi(tmp_path, version="2.0.0").facts["options"]["version"] == "2.0.0"
    with pytest.raises(DataError, match=r"expected 'movi_f', got movi_e\. State which"):
        Movi(tmp_path, builder="movi_f")


def test_without_dataset_info_file_names_tell_the_shards(tmp_path: Path) -> None:
    folder = write_build(tmp_path, [few(), few(count=2, first=1)], info=False)
    movi = Movi(folder)
    assert len(movi.sample_ids()) == 3
    assert movi.facts["options"]["builder"] == "movi_e"
    (folder / "movi_e-train.tfrecord-00000-of-00003").write_bytes(b"")
    with pytest.raises(DataError, match="expected shards of one set"):
        Movi(folder)


@pytest.mark.parametrize("info", [True, False])
def test_a_missing_shard_costs_its_own_samples(info: bool, tmp_path: Path) -> None:
    folder = write_build(tmp_path, [few(count=2), few(count=2, first=2), few(first=4)], info=info)
    (folder / "movi_e-train.tfrecord-00001-of-00003").unlink()
    movi = Movi(tmp_path)
    lost = 2 if info else 1  # nobody knows how many it had
    assert len(movi.sample_ids()) == 3 + lost
    coverage = movi.coverage()
    assert (coverage["available"], coverage["total"]) == (3, 3 + lost)
    assert coverage["missing"]["no shard"]["count"] == lost
    assert {part.expected for part in movi.missing()} == {"movi_e/16x16/1.0.0/movi_e-train.tfrecord-00001-of-00003"}
    used = Coverage(total=len(movi.sample_ids()), max_broken=0.5)
    for name in movi.sample_ids():
        used, _ = used.load(movi, name)
    assert (used.used, len(used.left_out)) == (3, lost)
    assert all("00001-of-00003" in reason for _, reason in used.left_out)
    assert len(Movi(tmp_path, missing="drop", max_missing=0.5).sample_ids()) == 3
    with pytest.raises(DataError, match="expected at most 10% of"):
        Movi(tmp_path, missing="drop")


@pytest.mark.parametrize("info", [True, False])
def test_a_truncated_shard_costs_the_records_it_lost(info: bool, tmp_path: Path) -> None:
    folder = write_build(tmp_path, [few(count=3)], info=info)
    shard = next(folder.glob("*.tfrecord-*"))
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-100])
    movi = Movi(tmp_path)
    assert len(movi.sample_ids()) == 3
    assert [movi.num_frames(name) for name in movi.sample_ids()[:2]] == [2, 2]
    with pytest.raises(DataError, match=r"record 2 at byte \d+: expected \d+ bytes of data, got \d+: it is cut"):
        movi.load(movi.sample_ids()[2])


def test_a_flipped_bit_costs_its_record_alone(tmp_path: Path) -> None:
    folder = write_build(tmp_path, [few(count=3)])
    shard = next(folder.glob("*.tfrecord-*"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 4
    shard.write_bytes(content)
    movi = Movi(tmp_path)
    movi.load(movi.sample_ids()[0])
    movi.load(movi.sample_ids()[2])
    with pytest.raises(DataError, match="record 1: expected the checksum of its data, got another: it is damaged"):
        movi.load(movi.sample_ids()[1])


def test_more_records_than_stated_are_another_version(tmp_path: Path) -> None:
    folder = write_build(tmp_path, [few(count=2)])
    info = json.loads((folder / "dataset_info.json").read_text())
    info["splits"][0]["shardLengths"] = ["1"]
    (folder / "dataset_info.json").write_text(json.dumps(info))
    movi = Movi(tmp_path)
    with pytest.raises(DataError, match=r"expected 1 records by dataset_info\.json, got 2"):
        movi.load(movi.sample_ids()[0])


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ("{", "expected JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "expected an object with `splits`"),
        ('{"splits": [{"name": "val"}]}', "expected the split 'train', got val"),
        ('{"splits": [{"name": "train", "shardLengths": ["x"]}]}', "expected shardLengths, whole numbers"),
        ('{"splits": [{"name": "train", "shardLengths": []}]}', "expected shardLengths of records"),
        ('{"splits": [{"name": "train", "shardLengths": ["9999999999999"]}]}', "expected shardLengths of records"),
        ('{"splits": [{"name": "train", "shardLengths": ["-1"]}]}', "expected shardLengths of records"),
        ('{"splits": [{"name": "train", "shardLengths": ["0"]}]}', "expected samples, got none"),
        (
            '{"name": "../../x", "splits": [{"name": "train", "shardLengths": ["1"]}]}',
            "expected its data, got no shard|expected paths inside the root",
        ),
    ],
)
def test_a_hostile_dataset_info_is_refused(info: str, message: str, tmp_path: Path) -> None:
    folder = write_build(tmp_path, [few()])
    (folder / "dataset_info.json").write_text(info)
    with pytest.raises(DataError, match=message):
        first_sample(tmp_path)


def test_nothing_at_the_root_says_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a folder, got nothing of that name"):
        Movi(tmp_path / "nowhere")
    (tmp_path / "movi_e/28x28/1.0.0").mkdir(parents=True)
    (tmp_path / "movi_e/28x28/1.0.0/features.json").write_text("{}")
    with pytest.raises(DataError, match=r"expected movi_e-train\.tfrecord-\*, got no records"):
        Movi(tmp_path)


def test_the_revision_changes_with_files_and_choices(tfds: Path, tmp_path: Path) -> None:
    shutil.copytree(tfds, tmp_path / "tfds")
    first = Movi(tmp_path / "tfds").revision
    assert first == Movi(tmp_path / "tfds").revision
    assert first != Movi(tmp_path / "tfds", depth="distance").revision
    shard = next((tmp_path / "tfds").rglob("*train.tfrecord-00000*"))
    shard.write_bytes(shard.read_bytes() + b"x")
    assert Movi(tmp_path / "tfds").revision != first

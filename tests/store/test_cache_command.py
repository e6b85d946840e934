"""`probe4d cache`: what it prints, removes and copies, and its exit codes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr
from click.testing import CliRunner, Result

from probe4d.commands.cache import command
from probe4d.contracts import LeftOut
from probe4d.errors import NothingSelectedError, UnknownNameError, UsageError
from probe4d.store import FeatureStore, NotExtractedError, StoreDamageError, default_root


def run(*arguments: object) -> Result:
    """Return what the command did; errors of ours are raised, as `probe4d` itself takes them."""
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def sets(toy, tmp_path) -> tuple[FeatureStore, FeatureStore]:
    """Return a whole set, used at time 1000, and one of which one shard is done, used at time 2000."""
    whole = toy.create(tmp_path)
    toy.fill(whole)
    part = toy.create(tmp_path, backbone="toy/other", views=(1,))
    part.write_shard(0, toy.arrays(part, 0), part.shard_ids(0))
    for store, time in ((whole, 1000), (part, 2000)):
        store.files.path("used.json").write_text(f'{{"time": {time}}}')
    return whole, part


def spoil(store: FeatureStore, key: str, position: int = 0) -> None:
    """Flip a bit of a file."""
    file = store.files.path(key)
    content = bytearray(file.read_bytes())
    content[position] ^= 1
    file.write_bytes(content)


def test_list_shows_what_made_each_set_and_how_much_of_it_is_there(sets, tmp_path):
    whole, part = sets
    lines = run("list", "--store", tmp_path).output.splitlines()
    assert lines[1].split()[:2] == [part.digest[:12], "toy/other"]
    facts_shown = ["toy/pixels", "0.5,12", "toy/data", "val", "(10)", "2", "float16", "3/3"]
    assert lines[2].split()[:9] == [whole.digest[:12], *facts_shown]
    assert lines[3].startswith("2 sets, ")
    facts = json.loads(run("list", "--store", tmp_path, "--json").output)
    assert [item["digest"] for item in facts] == [part.digest, whole.digest]
    assert [item["shards_done"] for item in facts] == [1, 3]
    assert facts[1]["address"] == whole.address.to_json()
    assert facts[1]["bytes"] == sum(whole.files.sizes().values())
    assert facts[1]["last_used"] == 1000


def test_list_of_nothing_and_of_strange_folders(tmp_path):
    assert run("list", "--store", tmp_path / "nothing").output == "No features are cached here.\n"
    (tmp_path / "other").mkdir()
    (tmp_path / ("ab" * 32)).mkdir()
    (item,) = json.loads(run("list", "--store", tmp_path, "--json").output)
    assert item["problem"] == "no set.json: being made, or half removed"
    assert (item["shards"], item["complete"]) == (None, False)
    assert "no set.json" in run("list", "--store", tmp_path).output


def test_the_users_cache_is_the_default(toy):
    store = toy.create(default_root())
    assert store.digest in run("list", "--json").output
    run("prune", "--older-than", "0s", "--incomplete", "--yes")
    assert store.digest not in run("list", "--json").output


def test_listing_verifying_and_pruning_need_neither_zarr_nor_fsspec(sets, tmp_path, monkeypatch):
    for name in ("zarr", "fsspec"):
        monkeypatch.setitem(sys.modules, name, None)
    assert run("list", "--store", tmp_path).exit_code == 0
    assert run("verify", "--store", tmp_path).exit_code == 0
    assert run("export", sets[0].digest, tmp_path / "copy", "--store", tmp_path).exit_code == 0
    assert run("prune", "--store", tmp_path, "--max-bytes", "0", "--yes").exit_code == 0


def test_verify_of_sound_sets_exits_with_0(sets, tmp_path):
    result = run("verify", "--store", tmp_path)
    assert result.exit_code == 0
    assert [line.split("  ")[-1] for line in result.output.splitlines()] == ["sound", "sound"]


def test_verify_names_every_damage_and_repair_forgets_the_shards(sets, toy, tmp_path):
    whole, _ = sets
    keys = [whole.shard_keys(shard) for shard in range(3)]
    spoil(whole, keys[0]["layers/12/features"], 2 * 4160 + 7)  # row 2: the second sample
    whole.files.path(keys[1]["targets/label"]).write_bytes(b"short")
    whole.files.path(keys[1]["valid"]).unlink()
    whole.files.path("receipts/00000002.json").unlink()
    whole.files.path("features.zarr/layers/zarr.json").unlink()
    spoil(whole, "features.zarr/targets/zarr.json")
    whole.files.path("features.zarr/layers/notes.txt").write_text("mine")
    whole.files.path("tmp/other.machine.1.abc").write_text("half")
    result = run("verify", whole.digest[:8], "--store", tmp_path, "--json")
    assert result.exit_code == 1
    (found,) = json.loads(result.output)
    damages = {damage["file"]: damage for damage in found["damages"]}
    expected = {
        keys[0]["layers/12/features"]: ("wrong bytes", 0),
        keys[1]["targets/label"]: ("wrong size", 1),
        keys[1]["valid"]: ("missing file", 1),
        "receipts/00000002.json": ("missing receipt", 2),
        "features.zarr/layers/zarr.json": ("missing file", None),
        "features.zarr/targets/zarr.json": ("damaged description", None),
        "features.zarr/layers/notes.txt": ("surplus file", None),
        "tmp/other.machine.1.abc": ("surplus file", None),
    }
    assert {file: (damage["what"], damage["shard"]) for file, damage in damages.items()} == expected
    assert damages[keys[0]["layers/12/features"]]["detail"].endswith("samples hit: clip 1é")
    assert "got 5" in damages[keys[1]["targets/label"]]["detail"]
    text = run("verify", whole.digest[:8], "--store", tmp_path, "--repair").output
    assert "8 damages" in text
    assert "to be made again: shards 0, 1, 2" in text
    again = FeatureStore.open(whole.url)
    assert again.missing() == (0, 1, 2)
    toy.fill(again)
    assert run("verify", whole.digest[:8], "--store", tmp_path).exit_code == 0


@pytest.mark.parametrize("file", ["set.json", "receipts/00000001.json", "features.zarr/ids/c/0/0"])
def test_verify_finds_a_flipped_bit_in_any_other_file(file, sets, tmp_path):
    whole, _ = sets
    spoil(whole, file, 40)
    result = run("verify", whole.digest, "--store", tmp_path)
    assert result.exit_code == 1
    assert "damaged" in result.output


def test_verify_finds_a_set_in_another_ones_folder(sets, tmp_path):
    whole, _ = sets
    Path(whole.url).rename(tmp_path / ("ab" * 32))
    result = run("verify", "abab", "--store", tmp_path)
    assert result.exit_code == 1
    assert f"the set of digest {whole.digest}" in result.output


def test_a_digest_that_names_no_set_or_several_is_an_error(sets, tmp_path):
    with pytest.raises(UnknownNameError, match=r"expected the beginning of a digest, got one of no set. There are:"):
        run("verify", "xyz", "--store", tmp_path)
    with pytest.raises(UsageError, match="expected the beginning of one digest, got that of"):
        run("export", "", tmp_path / "copy", "--store", tmp_path)
    with pytest.raises(NothingSelectedError, match="expected feature sets, found none"):
        run("verify", "--store", tmp_path / "nothing")


def test_prune_does_nothing_unless_told_twice(sets, tmp_path):
    with pytest.raises(UsageError, match="expected --older-than, --max-bytes or --incomplete, got none"):
        run("prune", "--store", tmp_path, "--yes")
    with pytest.raises(UsageError, match="expected --yes to remove or --dry-run to look"):
        run("prune", "--store", tmp_path, "--older-than", "1s")
    result = run("prune", "--store", tmp_path, "--older-than", "1s", "--dry-run")
    size = sum(sum(store.files.sizes().values()) for store in sets)
    assert f"would free {size} bytes" in result.output
    assert all(Path(store.url).exists() for store in sets)


def test_prune_by_age_by_bytes_and_by_incompleteness(sets, toy, tmp_path):
    whole, part = sets
    recent = toy.create(tmp_path, weights="none")

    def left() -> set[str]:
        return {item["digest"] for item in json.loads(run("list", "--store", tmp_path, "--json").output)}

    facts = json.loads(run("prune", "--store", tmp_path, "--incomplete", "--dry-run", "--json").output)
    assert [item["digest"] for item in facts["sets"]] == [part.digest], "the recent one may be in the making"
    size = sum(part.files.sizes().values())
    output = run("prune", "--store", tmp_path, "--incomplete", "--yes").output
    assert f"removed {part.digest[:12]}" in output
    assert f"freed {size} bytes" in output
    assert left() == {whole.digest, recent.digest}
    room = sum(whole.files.sizes().values()) + sum(recent.files.sizes().values())
    assert run("prune", "--store", tmp_path, "--max-bytes", room, "--yes").output == "freed 0 bytes (0 B)\n"
    run("prune", "--store", tmp_path, "--max-bytes", room - 1, "--yes")
    assert left() == {recent.digest}, "the longest unused goes first"
    run("prune", "--store", tmp_path, "--older-than", "1d", "--yes")
    assert left() == {recent.digest}
    run("prune", "--store", tmp_path, "--older-than", "0s", "--yes")
    assert left() == set()


def test_prune_leaves_what_is_not_a_set_alone(sets, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/set.json").write_text("{}")
    (tmp_path / ("cd" * 32)).symlink_to(tmp_path / "mine")
    run("prune", "--store", tmp_path, "--max-bytes", "0", "--yes")
    assert (tmp_path / "mine/set.json").exists()
    assert (tmp_path / ("cd" * 32)).is_symlink()


@pytest.mark.parametrize(
    ("option", "value"), [("--older-than", "30"), ("--older-than", "-1d"), ("--max-bytes", "5XB"), ("--max-bytes", "")]
)
def test_ages_and_bytes_are_read_strictly(option, value, tmp_path):
    with pytest.raises(UsageError, match="expected a number with"):
        run("prune", "--store", tmp_path, option, value, "--dry-run")


def test_export_as_zarr_copies_the_group_and_nothing_else(sets, tmp_path):
    whole, _ = sets
    result = run("export", whole.digest[:9], tmp_path / "copy", "--store", tmp_path, "--json")
    assert json.loads(result.output)["bytes"] == sum(whole.files.sizes("features.zarr").values())
    group = zarr.open_group(tmp_path / "copy", mode="r")
    assert np.array_equal(group["layers/12/features"][:], whole.read(np.arange(20), 12))
    copied = {item.name for item in (tmp_path / "copy").iterdir()}
    assert copied == {"ids", "layers", "targets", "valid", "zarr.json"}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_export_as_npz_writes_a_file_for_each_sample(dtype, toy, tmp_path):
    ids = ["a/b é", "../c", ".hidden", "x" * 300, "x" * 300 + "y", "broken"]
    address = toy.address(ids, dtype=dtype)
    store = FeatureStore.create(
        tmp_path / "store" / address.digest, address, ids=ids, layers=toy.LAYERS, targets=toy.TARGETS
    )
    expected = toy.fill(store, [LeftOut("broken", "cut short")])
    destination = tmp_path / "copy"
    result = run("export", store.digest, destination, "--format", "npz", "--store", tmp_path / "store")
    index = json.loads((destination / "features.json").read_text())
    assert set(index["files"]) == set(ids[:-1])
    assert index["left_out"] == [["broken", "cut short"]]
    assert index["address"] == store.address.to_json()
    files = list(destination.iterdir())
    assert len(files) == len(ids)
    assert str(sum(file.stat().st_size for file in files)) in result.output
    for number, name in enumerate(ids[:-1]):
        with np.load(destination / index["files"][name], allow_pickle=False) as arrays:
            assert set(arrays) == set(expected)
            features = arrays["layers/12/features"]
            assert features.dtype == (np.float32 if dtype == "bfloat16" else np.float16)
            tolerance = 2**-7 if dtype == "bfloat16" else 0
            rows = slice(2 * number, 2 * number + 2)
            assert np.allclose(features, expected["layers/12/features"][rows], rtol=tolerance, atol=0)
            assert np.array_equal(arrays["targets/tracks"], expected["targets/tracks"][rows])


def test_export_refuses_folders_in_use_and_sets_that_are_not_whole(sets, tmp_path):
    whole, part = sets
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/file").write_text("mine")
    with pytest.raises(UsageError, match="expected an empty or a new folder"):
        run("export", whole.digest, tmp_path / "copy", "--store", tmp_path)
    with pytest.raises(NotExtractedError, match="got 2 of 3 shards not done: 1, 2"):
        run("export", part.digest, tmp_path / "other", "--store", tmp_path)
    spoil(whole, whole.shard_keys(0)["valid"])
    with pytest.raises(StoreDamageError, match=r"expected an undamaged set, got wrong bytes: features.zarr/valid"):
        run("export", whole.digest, tmp_path / "other", "--store", tmp_path)
    assert not (tmp_path / "other").exists()

"""The dataset's contract: ids, partial loads, cache, preparation, errors."""

from __future__ import annotations

import os
import pickle
import re

import numpy as np
import pytest

from probe4d.contracts import Dataset
from probe4d.cores import usable_cores
from probe4d.errors import DataError, Probe4dError, UsageError
from probe4d_datasets.playroom import Playroom
from probe4d_datasets.playroom import dataset as module
from probe4d_datasets.playroom.prepare import Progress


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PROBE4D_CACHE_DIR", str(tmp_path))
    return tmp_path / "playroom"


@pytest.fixture
def unrenderable(monkeypatch):
    """Make rendering an error, so that a test shows that nothing was rendered."""

    def arm():
        def render(*_, **__):
            raise AssertionError("rendered")

        monkeypatch.setattr(module, "render", render)

    return arm


def assert_same(one, other):
    np.testing.assert_array_equal(one.video, other.video)
    for kind, fields in one.targets.items():
        for name, array in fields.items():
            np.testing.assert_array_equal(array, other.targets[kind][name], err_msg=f"{kind}.{name}")


def test_it_is_a_dataset_with_shapes_and_types_of_the_contract(cache):
    dataset = Playroom(split="test", size=(24, 40), frames=3, points=10, length=5)
    assert isinstance(dataset, Dataset)
    assert dataset.sample_ids() == [f"test-00000{i}" for i in range(5)]
    assert dataset.num_frames("test-000004") == 3
    sample = dataset.load("test-000004")
    n = len(dataset.scene("test-000004").things)
    assert sample.video.shape == (3, 24, 40, 3)
    assert sample.video.dtype == np.uint8
    shapes = {
        f"{kind}.{name}": array.shape for kind, fields in sample.targets.items() for name, array in fields.items()
    }
    assert shapes == {
        "points.tracks": (10, 3, 2),
        "points.visible": (10, 3),
        "points.query_points": (10, 3),
        "boxes.boxes": (n, 3, 4),
        "boxes.present": (n, 3),
        "depth.depth": (3, 24, 40),
        "depth.valid": (3, 24, 40),
        "pose.extrinsics": (3, 3, 4),
        "pose.intrinsics": (3, 3, 3),
        "labels.label": (),
    }


@pytest.mark.parametrize("cached", [True, False])
def test_named_frames_come_in_their_order_with_repeats(cache, cached):
    dataset = Playroom(split="val", size=20, frames=5, length=2, cache=cached)
    whole, part = dataset.load("val-000001"), dataset.load("val-000001", [4, 2, 2])
    np.testing.assert_array_equal(part.video, whole.video[[4, 2, 2]])
    for kind, name in (("points", "tracks"), ("points", "visible"), ("boxes", "boxes"), ("boxes", "present")):
        np.testing.assert_array_equal(part.targets[kind][name], whole.targets[kind][name][:, [4, 2, 2]])
    for kind, name in (("depth", "depth"), ("pose", "extrinsics"), ("pose", "intrinsics")):
        np.testing.assert_array_equal(part.targets[kind][name], whole.targets[kind][name][[4, 2, 2]])
    query = part.targets["points"]["query_points"]
    for n, (t, y, x) in enumerate(query):
        seen = np.flatnonzero(part.targets["points"]["visible"][n])
        assert t == (seen[0] if seen.size else 0)
        assert (x, y) == tuple(part.targets["points"]["tracks"][n, int(t)])


def test_the_cache_changes_nothing_and_a_second_load_renders_nothing(cache, unrenderable):
    options = {"split": "val", "size": 16, "frames": 3, "length": 2}
    fresh = Playroom(**options, cache=False).load("val-000000")
    assert not cache.exists()
    assert_same(Playroom(**options).load("val-000000"), fresh)
    unrenderable()
    assert_same(Playroom(**options).load("val-000000"), fresh)


def test_all_that_makes_a_clip_is_in_its_address(cache, monkeypatch):
    base = {"split": "val", "size": 16, "frames": 3, "seed": 0, "antialias": 1}
    folders = {Playroom(**base).clip_cache.folder}
    for name, value in (("split", "test"), ("size", 17), ("frames", 4), ("seed", 1), ("antialias", 2)):
        folders.add(Playroom(**{**base, name: value}).clip_cache.folder)
    monkeypatch.setattr(module, "VERSION", 99)
    folders.add(Playroom(**base).clip_cache.folder)
    assert len(folders) == 7
    monkeypatch.undo()
    assert Playroom(**base, length=7, points=3).clip_cache.made_by == Playroom(**base).clip_cache.made_by


def test_a_damaged_clip_is_reported_and_rendered_again(cache):
    dataset = Playroom(split="val", size=16, frames=2, length=1)
    whole = dataset.load("val-000000")
    file = dataset.clip_cache.folder / "val-000000.npz"
    for damaged in (file.read_bytes()[:-40], file.read_bytes()[:100], b"", b"no zip"):
        file.write_bytes(damaged)
        with pytest.warns(UserWarning, match=f"{re.escape(str(file))}: damaged .* rendered again"):
            assert_same(dataset.load("val-000000"), whole)
        assert_same(dataset.load("val-000000"), whole)
    flipped = bytearray(file.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    file.write_bytes(flipped)
    with pytest.warns(UserWarning, match="damaged"):
        assert_same(dataset.load("val-000000"), whole)


@pytest.mark.filterwarnings("ignore:.*damaged:UserWarning")
def test_no_flipped_bit_of_a_cached_clip_goes_unnoticed(cache):
    dataset = Playroom(split="val", size=8, frames=1, length=1)
    dataset.load("val-000000")
    file = dataset.clip_cache.folder / "val-000000.npz"
    whole, content = dataset.clip_cache.read("val-000000"), file.read_bytes()
    noticed = 0
    for place in range(0, len(content), 3):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        file.write_bytes(flipped)
        found = dataset.clip_cache.read("val-000000")
        noticed += found is None
        if found is not None:  # a time stamp, say
            for name in ("video", "depth", "ids"):
                np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
    assert noticed > 0.2 * len(content)


def test_an_interrupted_write_leaves_nothing(cache, monkeypatch):
    dataset = Playroom(split="val", size=16, frames=2, length=1)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        dataset.load("val-000000")
    assert not list(cache.rglob("*.npz"))
    assert not [file for file in cache.rglob("*") if file.is_file()]


def test_it_pickles_and_the_copy_loads_the_same(cache):
    dataset = Playroom(split="pretrain", size=16, frames=2, length=3, seed=5)
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy.sample_ids() == dataset.sample_ids() == [f"pretrain-s5-00000{i}" for i in range(3)]
    assert_same(copy.load("pretrain-s5-000002"), dataset.load("pretrain-s5-000002"))


def test_prepare_renders_what_is_missing_and_says_how_far_it_is(cache, unrenderable):
    dataset = Playroom(split="val", size=16, frames=2, length=4)
    dataset.load("val-000001")
    told = []
    assert dataset.prepare(workers=1, progress=lambda done, total: told.append((done, total))) == 3
    assert told == [(1, 3), (2, 3), (3, 3)]
    unrenderable()
    assert dataset.prepare(workers=1) == 0
    assert [dataset.load(clip).id for clip in dataset.sample_ids()] == dataset.sample_ids()


def test_prepare_on_two_processes_makes_the_same_clips(cache, unrenderable):
    dataset = Playroom(split="val", size=16, frames=2, length=10)
    fresh = [Playroom(split="val", size=16, frames=2, length=10, cache=False).load(i) for i in dataset.sample_ids()]
    told = []
    assert dataset.prepare(workers=2, progress=lambda done, total: told.append((done, total))) == 10
    assert told[-1] == (10, 10)
    unrenderable()
    for clip, wanted in zip(dataset.sample_ids(), fresh, strict=True):
        assert_same(dataset.load(clip), wanted)


def test_prepare_refuses_what_does_not_fit_the_disk_before_it_renders(cache, unrenderable):
    unrenderable()
    dataset = Playroom(split="pretrain", size=4096, frames=10_000, length=2000)
    assert dataset.clip_bytes == 8 * 4096 * 4096 * 10_000
    with pytest.raises(Probe4dError, match=r"expected 2684354\.\d GB free, got .* Name another disk"):
        dataset.prepare()


def test_a_cache_that_cannot_be_written_says_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PROBE4D_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(Probe4dError, match=r"expected a folder to keep rendered clips in, got .* cache=false"):
        Playroom(split="val", size=16, frames=1, length=1).load("val-000000")


def test_progress_is_on_stderr(capsys):
    tell = Progress()
    for done in range(1, 4):
        tell(done, 3)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert re.fullmatch(r"playroom: 3 of 3 clips, [\d.]+ a second\n", printed.err)
    assert usable_cores() >= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "tests"}, "expected pretrain, train, val, test, got 'tests'. Did you mean 'test'"),
        ({"split": "val", "length": 0}, "length: expected a whole number from 1"),
        ({"split": "val", "size": 4}, "size: expected a whole number from 8"),
        ({"split": "val", "size": (16, 16, 3)}, "size: expected (height, width)"),
        ({"split": "val", "frames": True}, "frames: expected a whole number"),
        ({"split": "val", "seed": -1}, "seed: expected a whole number from 0"),
        ({"split": "val", "textures": "wood"}, "textures: expected 'noise' or 'photo'"),
        ({"split": "val", "root": "/data"}, "root: expected none"),
    ],
)
def test_wrong_options_say_what_was_expected(options, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        Playroom(**options)


@pytest.mark.parametrize("sample", ["val-000003", "val-3", "test-000000", "val-s1-000000", "", "val-00000²"])
def test_a_sample_that_is_not_there_is_a_data_error(sample):
    dataset = Playroom(split="val", length=3, cache=False)
    with pytest.raises(DataError, match="expected a sample from val-000000 to val-000002"):
        dataset.load(sample)


@pytest.mark.parametrize("frames", [[], [3], [-1, 0]])
def test_a_frame_that_is_not_there_is_a_data_error(frames):
    dataset = Playroom(split="val", length=1, frames=3, cache=False)
    with pytest.raises(DataError, match=r"frames: expected numbers in 0\.\.2"):
        dataset.load("val-000000", frames)


def test_any_resolution_and_length_shows_the_same_scene(cache):
    small = Playroom(split="val", size=24, frames=3, length=1).load("val-000000")
    large = Playroom(split="val", size=72, frames=5, length=1).load("val-000000")
    # The centre pixel of three by three is where the small frame's pixel is.
    np.testing.assert_allclose(
        large.targets["depth"]["depth"][::2, 1::3, 1::3], small.targets["depth"]["depth"], rtol=1e-6
    )
    np.testing.assert_allclose(
        large.targets["pose"]["extrinsics"][::2], small.targets["pose"]["extrinsics"], rtol=1e-15
    )
    np.testing.assert_array_equal(large.video[::2, 1::3, 1::3], small.video)


def test_antialiasing_changes_colours_and_no_truth(cache):
    plain, smooth = (Playroom(split="val", size=24, frames=2, length=1, antialias=n).load("val-000000") for n in (1, 2))
    assert not np.array_equal(plain.video, smooth.video)
    for kind, fields in plain.targets.items():
        for name, array in fields.items():
            np.testing.assert_array_equal(array, smooth.targets[kind][name])
    roughness = [np.abs(np.diff(s.video.astype(float), axis=2)).mean() for s in (plain, smooth)]
    assert roughness[1] < roughness[0]

"""Photographs as textures: which split has which, and that the truth stays the same."""

from __future__ import annotations

import hashlib
import importlib.util
import pickle

import numpy as np
import pytest
from PIL import Image

from probe4d.errors import DataError, MissingExtraError, UsageError
from probe4d_datasets.playroom import Playroom
from probe4d_datasets.playroom.photos import SHARES, folder_photos, load_photos, packaged_photos, photos_of_split


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twenty pictures, each of its own smooth colours."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for i in range(20):
        small = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        small.resize((140 + i, 150), Image.Resampling.BICUBIC).save(root / f"{i:02d}.png")
    return root


def test_splits_share_no_photograph_and_leave_none_out(folder):
    found = {split: {digest for _, digest in photos_of_split(folder_photos(folder), split)} for split in SHARES}
    assert sum(len(digests) for digests in found.values()) == 20
    assert len(set().union(*found.values())) == 20


def test_adding_or_renaming_a_photograph_moves_no_other(folder, tmp_path):
    before = {split: {digest for _, digest in photos_of_split(folder_photos(folder), split)} for split in SHARES}
    for i, file in enumerate(sorted(folder.iterdir())):
        (tmp_path / f"other-{i}.png").write_bytes(file.read_bytes())
        (tmp_path / f"twice-{i}.png").write_bytes(file.read_bytes())
    Image.new("RGB", (200, 200), (3, 4, 5)).save(tmp_path / "new.png")
    after = {split: {digest for _, digest in photos_of_split(folder_photos(tmp_path), split)} for split in SHARES}
    assert all(before[split] <= after[split] for split in SHARES)
    assert sum(len(after[split]) for split in SHARES) == 21


def test_photographs_change_the_colours_and_no_truth(folder):
    options = {"split": "train", "size": 32, "frames": 2, "length": 1, "cache": False}
    noise = Playroom(**options).load("train-000000")
    photo = Playroom(folder, textures="photo", **options).load("train-000000")
    assert np.abs(noise.video.astype(int) - photo.video).mean() > 5
    for kind, fields in noise.targets.items():
        for name, array in fields.items():
            np.testing.assert_array_equal(array, photo.targets[kind][name])
    assert set(photo.provenance["photos"]) <= {file.name for file in folder.iterdir()}


def test_clips_of_photographs_have_the_bits_that_were_stored(tmp_path):
    for i in range(20):
        x, y = np.meshgrid(np.arange(256 + i), np.arange(256))
        pixels = np.stack([(x * (i + 1)) ^ y, x + y * i, (x * y) // (i + 40)], -1) & 255
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"{i}.bmp")
    dataset = Playroom(tmp_path, "test", textures="photo", size=48, frames=2, length=2, cache=False)
    bits = b"".join(dataset.load(clip).video.tobytes() for clip in dataset.sample_ids())
    assert hashlib.sha256(bits).hexdigest()[:24] == "7ec49aed9a9133be82e68963"


def test_photographs_are_part_of_the_address(folder, tmp_path):
    options = {"split": "train", "size": 32, "textures": "photo"}
    one = Playroom(folder, **options).clip_cache.folder
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert Playroom(tmp_path, **options).clip_cache.folder == one  # content counts, not the place
    photos_of_split(folder_photos(tmp_path), "train")[0][0].unlink()
    assert Playroom(tmp_path, **options).clip_cache.folder != one


def test_a_photograph_is_its_middle_square_averaged_in_linear_light(tmp_path):
    pixels = np.zeros((300, 520, 3), np.uint8)
    pixels[:, 150:170] = 255  # left of the middle square, which begins at 132
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (photo,) = load_photos((tmp_path / "a.png",))
    assert photo.shape == (256, 256, 3)
    np.testing.assert_array_equal(np.flatnonzero(photo[0, :, 0]), np.arange(18, 38))
    Image.fromarray(np.tile(np.uint8([[[100], [200]], [[0], [50]]]), (128, 128, 3))).save(tmp_path / "b.png")
    Image.fromarray(np.tile(np.uint8([[[100], [200]], [[0], [50]]]), (256, 256, 3))).save(tmp_path / "c.png")
    (c,) = load_photos((tmp_path / "c.png",))
    np.testing.assert_allclose(c, ((100 + 200 + 0 + 50) / 4 / 255) ** 2, rtol=1e-6)


def test_a_dataset_of_photographs_pickles(folder):
    dataset = Playroom(folder, "val", textures="photo", size=16, frames=1, length=1, cache=False)
    copy = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(copy.load("val-000000").video, dataset.load("val-000000").video)


def test_a_folder_without_a_photograph_for_the_split_says_so(tmp_path):
    Image.new("CMYK", (200, 200)).save(tmp_path / "print.jpg")
    for i in range(12):
        Image.new("RGB", (64, 64 + i)).save(tmp_path / f"icon{i}.png")
    with pytest.raises(DataError, match="photographs of at least 128 pixels for 'val', got none among 13 images"):
        Playroom(tmp_path, "val", textures="photo")
    with pytest.raises(DataError, match="expected a folder of photographs"):
        Playroom(tmp_path / "absent", "val", textures="photo")


def test_a_broken_photograph_is_named(tmp_path):
    for i in range(30):  # one of them falls to the split
        (tmp_path / f"{i}.png").write_bytes(b"not an image %d" % i)
    with pytest.raises(DataError, match=r"\d+\.png: expected an image, got"):
        Playroom(tmp_path, "val", textures="photo")


def test_without_a_root_and_scikit_image_the_pip_line_is_in_the_error(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="pip install scikit-image"):
        Playroom(split="val", textures="photo")


def test_the_photographs_of_scikit_image_serve_every_split():
    if importlib.util.find_spec("skimage") is None:
        pytest.skip("scikit-image is not installed; its wheel carries the photographs")
    found = {split: photos_of_split(packaged_photos(), split) for split in SHARES}
    assert all(found.values())
    assert sum(len(photos) for photos in found.values()) == len(packaged_photos())


def test_noise_takes_no_root(folder):
    with pytest.raises(UsageError, match="root: expected none"):
        Playroom(folder, "val")

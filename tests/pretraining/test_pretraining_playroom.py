"""`playroom` as a stream of pretraining clips."""

import json

import numpy as np
import pytest

from probe4d.errors import UsageError
from probe4d_datasets.playroom import Playroom
from probe4d_datasets.playroom.cache import ClipCache
from probe4d_datasets.pretraining import ClipData, open_stream

pytest.importorskip("grain")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PROBE4D_CACHE_DIR", str(tmp_path / "cache"))


def small(**changes):
    options = {"length": 5, **changes.pop("options", {})}
    return ClipData(**{"source": "playroom", "frames": 4, "size": 16, "batch_size": 2, "options": options, **changes})


def take(stream, count):
    with stream:
        return [next(stream) for _ in range(count)]


def test_a_clip_is_a_crop_of_its_rendered_video_and_nothing_is_resized():
    data = small(flip=False)
    room = Playroom(split="pretrain", length=5, size=18, frames=4)
    for batch in take(open_stream(data), 3):
        assert batch["video"].shape == (2, 4, 16, 16, 3)
        assert batch["video"].dtype == np.uint8
        assert batch["video"].flags.c_contiguous
        for clip, name in zip(batch["video"], batch["ids"], strict=True):
            video = room.load(name).video
            crops = [video[:, y : y + 16, x : x + 16] for y in range(3) for x in range(3)]
            assert any(np.array_equal(clip, crop) for crop in crops)


def test_of_the_cache_only_the_colours_are_read(monkeypatch):
    take(open_stream(small()), 1)
    asked = []
    arrays = ClipCache._arrays
    monkeypatch.setattr(
        ClipCache, "_arrays", lambda self, clip, names: asked.append(names) or arrays(self, clip, names)
    )
    take(open_stream(small()), 2)
    assert set(asked) == {("video",)}


def test_the_cache_is_filled_before_the_first_batch_and_never_again(tmp_path):
    open_stream(small())
    files = sorted((tmp_path / "cache").rglob("*.npz"))
    assert len(files) == 5
    written = [file.stat().st_mtime_ns for file in files]
    take(open_stream(small()), 3)
    assert [file.stat().st_mtime_ns for file in files] == written


def test_a_damaged_cached_video_is_rendered_again_with_one_warning(tmp_path):
    (whole,) = take(open_stream(small(batch_size=5)), 1)
    for file in (tmp_path / "cache").rglob("*.npz"):
        file.write_bytes(file.read_bytes()[:-100])
    with pytest.warns(UserWarning, match="damaged") as warned:
        (again,) = take(open_stream(small(batch_size=5, epochs=1)), 1)
    np.testing.assert_array_equal(again["video"], whole["video"])
    assert len(warned) == 5


def test_a_stride_of_two_takes_every_second_frame_of_a_longer_video():
    data = small(options={"length": 2, "stride": 2}, flip=False, margin=1.0)
    room = Playroom(split="pretrain", length=2, size=16, frames=7)
    (batch,) = take(open_stream(data), 1)
    for clip, name in zip(batch["video"], batch["ids"], strict=True):
        np.testing.assert_array_equal(clip, room.load(name).video[::2])


def test_an_unknown_option_names_the_nearest():
    with pytest.raises(UsageError, match=r"got 'lenght'.*Did you mean 'length'"):
        open_stream(small(options={"lenght": 3}))


def test_a_run_cannot_be_continued_on_other_rooms():
    state = open_stream(small()).get_state()
    assert json.loads(state)["position"] == 0
    with pytest.raises(UsageError, match="list: expected"):
        open_stream(small(options={"seed": 1}), start=state)

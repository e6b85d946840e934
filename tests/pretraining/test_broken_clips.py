"""Videos that no clip can be cut from: skipped, counted, named, and too many of them an error."""

import io
import itertools
import json
import shutil
import tarfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbered_videos import number_of
from probe4d.errors import DataError
from probe4d_datasets.pretraining import open_stream
from probe4d_datasets.pretraining.health import NAMED, Health
from probe4d_datasets.pretraining.sources import SkippedVideo, open_source

pytest.importorskip("grain")


@pytest.fixture
def folder(videos, tmp_path):
    """Return a folder of ten whole videos, and with them one that is cut off and one that is none."""
    for number in range(10):
        shutil.copy(videos / "a.mp4", tmp_path / f"whole-{number}.mp4")
    content = (videos / "a.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[: len(content) // 2])
    (tmp_path / "none.mp4").write_bytes(b"<html>404</html>")
    return tmp_path


def test_a_broken_video_is_replaced_counted_and_named(clips, folder, take):
    stream = open_stream(clips(source=str(folder), max_broken=0.2, epochs=1, batch_size=12))
    (batch,) = take(stream, 1)
    assert {"cut.mp4", "none.mp4"}.isdisjoint(batch["ids"])
    assert batch["video"].shape[0] == len(batch["ids"]) == 12
    health = stream.health()
    assert health["read"] == 12
    assert list(health["skipped"]) == ["unreadable"]
    assert health["skipped"]["unreadable"] >= 2
    assert sorted(item["video"] for item in health["named"]) == ["cut.mp4", "none.mp4"]
    assert all(str(folder / item["video"]) in item["message"] for item in health["named"])


@pytest.mark.parametrize("workers", [0, 1])
def test_too_many_broken_videos_stop_the_run_and_say_which(clips, folder, workers):
    data = clips(source=str(folder), max_broken=0.1, workers=workers)
    with open_stream(data) as stream, pytest.raises(DataError) as stopped:
        list(itertools.islice(stream, 20))
    message = str(stopped.value)
    assert "expected at most 10% of 12 to be broken, got 2" in message
    assert "cut.mp4" in message
    assert "none.mp4" in message
    assert "raise max_broken" in message


def test_where_every_video_is_broken_the_first_batch_says_so(clips, tmp_path):
    (tmp_path / "none.mp4").write_bytes(b"nothing")
    none = r"expected a clip from one of 100 videos, got none; .*none\.mp4"
    with open_stream(clips(source=str(tmp_path), max_broken=1.0)) as stream, pytest.raises(DataError, match=none):
        next(stream)


def test_what_stands_in_depends_on_nothing_but_the_place(clips, folder, take, same):
    data = clips(source=str(folder), max_broken=0.2, batch_size=6)
    expected = take(open_stream(data), 4)
    with open_stream(data) as stream:
        next(stream)
        state = stream.get_state()
    continued = open_stream(data, start=state)
    same(take(continued, 3), expected[1:])
    halves = [take(open_stream(data, process_index=i, process_count=2), 4) for i in (0, 1)]
    for batch, left, right in zip(expected, *halves, strict=True):
        assert left["ids"] + right["ids"] == batch["ids"]


def test_the_state_keeps_what_was_skipped(clips, folder, take):
    data = clips(source=str(folder), max_broken=0.2, batch_size=6)
    first = open_stream(data)
    take(first, 2)
    second = open_stream(data, start=first.get_state())
    assert second.health() == first.health()
    assert second.health()["skipped"]
    take(second, 1)
    assert second.health()["read"] == 18


def test_a_video_shorter_than_a_clip_is_skipped_and_the_remedy_said(clips, take):
    stream = open_stream(clips(frames=8, max_broken=0.5, batch_size=5, epochs=1))  # 8 frames at stride 2 span 15
    (batch,) = take(stream, 1)
    assert {"b.mp4", "sub/d.mp4"}.isdisjoint(batch["ids"])
    assert list(stream.health()["skipped"]) == ["too short"]
    messages = {item["video"]: item["message"] for item in stream.health()["named"]}
    assert "expected at least 15 frames, got 12. Leave it out, or set short = 'clamp'." in messages["b.mp4"]


def test_a_clamped_video_repeats_its_last_frame(clips, take):
    data = clips(frames=8, batch_size=5, epochs=1, options={"short": "clamp"}, max_broken=0.0)
    stream = open_stream(data)
    (batch,) = take(stream, 1)
    shown = {name: [number_of(f) for f in clip] for clip, name in zip(batch["video"], batch["ids"], strict=True)}
    assert shown["b.mp4"] == [0, 2, 4, 6, 8, 10, 11, 11]
    assert shown["sub/d.mp4"] == [0, 2, 4, 6, 8, 8, 8, 8]
    assert stream.health()["skipped"] == {}


def test_a_video_of_just_the_length_is_taken_whole(clips, videos, take):
    data = clips(source=str(videos / "sub/d.mp4"), frames=5, batch_size=1, max_broken=0.0)
    for batch in take(open_stream(data), 3):
        assert [number_of(frame) for frame in batch["video"][0]] == [0, 2, 4, 6, 8]


def test_frames_too_large_for_the_memory_are_skipped(clips):
    source = open_source(clips(options={"max_pixels": 64 * 48 - 1}))
    with pytest.raises(SkippedVideo, match="expected at most 3,071 pixels a frame, got 64 x 48") as skipped:
        source.cut_clip(0, None, None)
    assert skipped.value.reason == "too large"


def tar_of(path, *members):
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def test_links_and_devices_of_a_shard_are_no_videos(clips, videos, tmp_path, take):
    whole = tarfile.TarInfo("ok.mp4"), (videos / "a.mp4").read_bytes()
    link, device = tarfile.TarInfo("link.mp4"), tarfile.TarInfo("device.mp4")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    device.type = tarfile.CHRTYPE
    tar_of(tmp_path / "x.tar", (link, b""), (device, b""), whole)
    stream = open_stream(clips(source=str(tmp_path / "x.tar"), max_broken=0.0))
    assert take(stream, 1)[0]["ids"] == ["x.tar/ok.mp4"] * 2


def test_a_member_that_is_too_large_is_skipped_unread(clips, videos, tmp_path, take):
    members = [(tarfile.TarInfo(f"{n}.mp4"), (videos / "a.mp4").read_bytes()) for n in range(5)]
    tar_of(tmp_path / "x.tar", *members, (tarfile.TarInfo("huge.mp4"), bytes(1 << 20)))
    data = clips(source=str(tmp_path / "x.tar"), batch_size=6, epochs=1, max_broken=0.3, options={"max_bytes": 500_000})
    stream = open_stream(data)
    (batch,) = take(stream, 1)
    assert "x.tar/huge.mp4" not in batch["ids"]
    assert list(stream.health()["skipped"]) == ["too large"]


@pytest.mark.parametrize("name", ["../out.mp4", "/etc/out.mp4", "a/../../out.mp4"])
def test_a_shard_that_names_files_outside_of_itself_is_refused(clips, tmp_path, name):
    tar_of(tmp_path / "x.tar", (tarfile.TarInfo(name), b"1"))
    with pytest.raises(DataError, match="expected members inside the archive"):
        open_source(clips(source=str(tmp_path / "x.tar")))


@pytest.mark.parametrize("keep", [100, 700, 5000, -1024])
def test_a_cut_off_shard_is_refused_by_its_name(clips, videos, tmp_path, keep):
    tar_of(tmp_path / "x.tar", *[(tarfile.TarInfo(f"{n}.mp4"), (videos / "a.mp4").read_bytes()) for n in range(2)])
    content = (tmp_path / "x.tar").read_bytes().rstrip(b"\0")
    (tmp_path / "x.tar").write_bytes(content[:keep])
    with pytest.raises(DataError, match=r"x\.tar: expected a whole tar archive"):
        open_source(clips(source=str(tmp_path / "x.tar")))


def test_a_shard_that_claims_more_than_it_has_is_refused(clips, tmp_path):
    info = tarfile.TarInfo("a.mp4")
    info.size = 1 << 50
    (tmp_path / "x.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    with pytest.raises(DataError, match="expected a whole tar archive"):
        open_source(clips(source=str(tmp_path / "x.tar")))


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(["unreadable", "too short"])), max_size=30))
def test_health_counts_every_skip_and_names_each_video_once(skips):
    health = Health().after(4, [(video, reason, f"{video} is broken") for video, reason in skips])
    assert sum(health.skipped.values()) == len(skips)
    assert set(health.named) == {video for video, _ in skips}
    assert Health.from_record(json.loads(json.dumps(health.as_record()))) == health


def test_a_million_broken_videos_fit_into_a_state():
    skips = [(f"{number}.mp4", "unreadable", "broken") for number in range(NAMED + 50)]
    health = Health().after(0, skips)
    assert len(health.named) == NAMED
    assert health.skipped == {"unreadable": NAMED + 50}


@pytest.mark.parametrize(("fraction", "stops"), [(0.08, False), (0.10, False), (0.25, True)])
def test_chance_does_not_stop_a_run_and_a_bad_set_is_seen_long_before_its_end(fraction, stops):
    rng = np.random.default_rng(0)
    health = Health()
    with pytest.raises(DataError) if stops else open("/dev/null"):
        for number in range(3000):
            broken = [(f"{number}.mp4", "unreadable", "broken.")] if rng.random() < fraction else []
            health = health.after(1 - len(broken), broken)
            health.require(0.1, 1_000_000)
    assert (health.read < 300) == stops


def test_no_broken_video_is_allowed_where_none_is_allowed():
    with pytest.raises(DataError, match="at most 0%"):
        Health().after(1000, [("a.mp4", "too short", "short.")]).require(0.0, 10**9)

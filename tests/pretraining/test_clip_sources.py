"""Where clips come from: folders, globs, manifests, tar shards, any URL."""

import io
import json
import subprocess
import sys
import tarfile
import zipfile

import fsspec
import numpy as np
import pytest

from numbered_videos import number_of
from probe4d.errors import DataError, UsageError
from probe4d_datasets.pretraining import listing, open_stream
from probe4d_datasets.pretraining.listing import files
from probe4d_datasets.pretraining.sources import open_source
from probe4d_datasets.video import read_frames

pytest.importorskip("grain")

NAMES = ["a.mp4", "b.mp4", "sub/c.mkv", "sub/d.mp4", "sub/deep/e.mp4"]


def names(data):
    source = open_source(data)
    return [source.name(index) for index in range(len(source))]


@pytest.fixture
def shards(videos, tmp_path):
    """Return a folder with two tar shards of the videos, among their captions."""
    for number, members in enumerate((NAMES[:2], NAMES[2:])):
        with tarfile.open(tmp_path / f"shard-{number:06d}.tar", "w") as tar:
            for name in members:
                caption = tarfile.TarInfo(name.rpartition(".")[0] + ".txt")
                caption.size = 5
                tar.addfile(caption, io.BytesIO(b"words"))
                tar.add(videos / name, name)
    return tmp_path


def test_a_clip_is_every_second_frame_from_a_random_place_exactly(clips, videos, take):
    starts = set()
    for batch in take(open_stream(clips()), 20):
        for clip, name in zip(batch["video"], batch["ids"], strict=True):
            numbers = [number_of(frame) for frame in clip]
            assert np.diff(numbers).tolist() == [2, 2, 2]
            starts.add((name, numbers[0]))
            np.testing.assert_array_equal(clip, read_frames(videos / name, numbers))
    assert len({start for name, start in starts if name == "a.mp4"}) > 3


def test_the_paper_s_numbers_are_the_defaults():
    from probe4d_datasets.pretraining import ClipData

    data = ClipData(source="x", batch_size=1)
    assert (data.frames, data.stride, data.size, data.margin, data.flip) == (16, 2, (224, 224), 1.15, True)
    assert data.short_side == 258


def test_a_folder_is_searched_for_videos_and_nothing_else(clips):
    assert names(clips()) == NAMES


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.mp4", NAMES[:2]),
        ("**/*.mp4", [name for name in NAMES if name.endswith(".mp4")]),
        ("sub/*.m[kp][v4]", ["c.mkv", "d.mp4"]),
        ("[!a]*.mp4", ["b.mp4"]),
        ("sub/{c.mkv,deep/e.mp4}", ["c.mkv", "deep/e.mp4"]),
        ("a.mp4", ["a.mp4"]),
    ],
)
def test_a_pattern_finds_its_videos(clips, videos, pattern, found):
    data = clips(source=f"{videos}/{pattern}")
    assert names(data) == found
    assert open_source(data).videos.location(0).startswith(str(videos))


def test_numbered_files_are_stated_without_a_listing(monkeypatch):
    listed = files("https://host/data/part-{000..101}.tar", [".tar"])
    assert (len(listed), listed.name(0), listed.name(101)) == (102, "part-000.tar", "part-101.tar")
    assert listed.location(7) == "https://host/data/part-007.tar"
    monkeypatch.setattr(listing, "MAX_BRACES", 1000)
    with pytest.raises(DataError, match="at most 1,000 files"):
        files("https://host/{0..999999}/{0..999999}.tar", [".tar"])


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_manifest_lists_urls_and_paths_beside_itself(clips, videos, tmp_path, take, same, suffix):
    urls = ["a.mp4", f"file://{videos}/b.mp4", str(videos / "sub/c.mkv")]
    (tmp_path / "a.mp4").write_bytes((videos / "a.mp4").read_bytes())
    manifest = tmp_path / f"list.{suffix}"
    if suffix == "jsonl":
        manifest.write_text("".join(json.dumps({"url": url, "caption": "x"}) + "\n\n" for url in urls))
    else:
        pa = pytest.importorskip("pyarrow")
        pytest.importorskip("pyarrow.parquet").write_table(pa.table({"url": urls, "n": [1, 2, 3]}), manifest)
    data = clips(source=str(manifest), batch_size=3, epochs=1)
    assert names(data) == urls
    (batch,) = take(open_stream(data), 1)
    assert sorted(batch["ids"]) == sorted(urls)
    assert all(np.diff([number_of(frame) for frame in clip]).tolist() == [2, 2, 2] for clip in batch["video"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"url": "a.mp4"}\n{"path": "b.mp4"}\n', "line 2: expected an object with 'url'"),
        ('{"url": 3}\n', "line 1: expected a URL or path, got 3"),
        ("no json\n", "line 1: expected JSON"),
        ('{"url": "' + "a" * (1 << 20) + '"}\n', "line 1: expected at most 1,048,576 bytes"),
        ("\n", "expected a row for each video, got none"),
    ],
)
def test_a_bad_manifest_names_its_line(clips, tmp_path, content, message):
    (tmp_path / "list.jsonl").write_text(content)
    with pytest.raises(DataError, match=message):
        open_source(clips(source=str(tmp_path / "list.jsonl")))


def test_a_parquet_without_the_column_says_which_it_has(clips, tmp_path):
    pa = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(pa.table({"videoLoc": ["a.mp4"]}), tmp_path / "list.parquet")
    data = clips(source=str(tmp_path / "list.parquet"))
    with pytest.raises(DataError, match=r"expected a column 'url', got \['videoLoc'\]"):
        open_source(data)
    assert names(clips(source=data.source, options={"column": "videoLoc"})) == ["a.mp4"]
    (tmp_path / "list.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match="expected a parquet file"):
        open_source(data)


@pytest.mark.parametrize("pattern", ["shard-{000000..000001}.tar", "shard-*.tar", ""])
def test_tar_shards_give_the_clips_that_their_videos_give(clips, shards, take, pattern):
    data = clips(source=f"{shards}/{pattern or 'shard-000001.tar'}", batch_size=3)
    assert names(data)[-1] == "shard-000001.tar/sub/deep/e.mp4"
    assert len(names(data)) == (5 if pattern else 3)
    for batch in take(open_stream(data), 4):
        assert all(np.diff([number_of(frame) for frame in clip]).tolist() == [2, 2, 2] for clip in batch["video"])


def test_a_shard_is_passed_through_once(clips, shards, monkeypatch):
    from probe4d_datasets.pretraining import webdataset

    open_source(clips(source=f"{shards}/shard-*.tar"))
    monkeypatch.setattr(webdataset, "tar_members", None)
    assert len(names(clips(source=f"{shards}/shard-*.tar"))) == 5


def test_videos_are_read_from_any_url(clips, videos, shards, take, same):
    expected = take(open_stream(clips()), 4)
    memory = fsspec.filesystem("memory")
    for name in NAMES:
        memory.pipe(f"/pretraining/{name}", (videos / name).read_bytes())
    with zipfile.ZipFile(shards / "all.zip", "w") as archive:
        for name in NAMES:
            archive.write(videos / name, name)
    for source in ("memory://pretraining", "memory://pretraining/**/*.m[pk][4v]", f"zip://::file://{shards}/all.zip"):
        same(take(open_stream(clips(source=source)), 4), expected)
    memory.pipe("/pretraining/shard-0.tar", (shards / "shard-000000.tar").read_bytes())
    here = take(open_stream(clips(source=f"{shards}/shard-000000.tar")), 3)
    there = take(open_stream(clips(source="memory://pretraining/shard-0.tar")), 3)
    for one, other in zip(here, there, strict=True):
        np.testing.assert_array_equal(one["video"], other["video"])


def test_a_mix_shows_each_part_as_often_as_it_is_told(clips, videos, take):
    rooms = {"source": "playroom", "options": {"length": 3, "size": 48}}
    real = {"source": f"{videos}/*.mp4", "repeat": 4}
    data = clips(source="mix", size=48, batch_size=11, epochs=1, options={"parts": [rooms, real]})
    (batch,) = take(open_stream(data), 1)
    assert sorted(batch["ids"]) == ["a.mp4"] * 4 + ["b.mp4"] * 4 + [f"pretrain-{i:06d}" for i in range(3)]
    of_a = [clip for clip, name in zip(batch["video"], batch["ids"], strict=True) if name == "a.mp4"]
    assert len({clip.tobytes() for clip in of_a}) > 1  # each at a place of its own


def test_a_mix_needs_parts_that_are_no_mix(clips):
    for parts in ([], [{"source": "mix"}]):
        with pytest.raises(UsageError, match="expected sources that are no mix themselves"):
            open_source(clips(source="mix", options={"parts": parts}))


@pytest.mark.parametrize(("source", "message"), [("nowhere", "expected a folder"), ("*.mp4", "expected files such as")])
def test_a_source_without_videos_says_so(clips, tmp_path, source, message):
    with pytest.raises(DataError, match=message):
        open_source(clips(source=str(tmp_path / source)))


def test_an_unknown_option_is_an_error(clips):
    with pytest.raises(UsageError, match=r"got 'shrt'.*Did you mean 'short'"):
        open_source(clips(options={"shrt": "clamp"}))


def test_nothing_heavy_is_imported_before_a_stream_is_read():
    code = "import probe4d_datasets.pretraining, sys; print({'grain', 'jax', 'av', 'fsspec'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"

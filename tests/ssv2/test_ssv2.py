"""Something-Something v2: every expected value of the samples, both releases, loose or in parts, anywhere."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from numbered_videos import numbered_frames
from probe4d.errors import DataError, UsageError
from probe4d.specs import ClipSampling
from probe4d_datasets.clips import clip_indices, prepare
from probe4d_datasets.coverage import Coverage
from probe4d_datasets.packed_tar import PackedTar
from probe4d_datasets.ssv2 import SomethingSomething
from probe4d_datasets.ssv2.labels import class_of
from probe4d_datasets.video_write import write_video
from published_fixtures import elsewhere, frame_codes, thumbs

DATA = Path(__file__).parent / "data"
EXPECTED = json.loads((DATA / "expected.json").read_text(encoding="utf-8"))["samples"]
THERE = {name: sample for name, sample in EXPECTED.items() if not sample.get("missing_file")}
SPLITS = ("train", "validation", "test")
EVALUATION = ClipSampling(frames=16, stride=2, start="center")


def copy(tmp_path: Path, *names: str) -> Path:
    """Return a root with only these files and folders of the samples."""
    for name in names:
        source, target = DATA / name, tmp_path / "root" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    return tmp_path / "root"


@pytest.mark.parametrize("name", sorted(THERE))
def test_a_video_has_the_class_the_frames_and_the_colours_expected(name, expected):
    want = EXPECTED[name]
    data = SomethingSomething(DATA, want["split"])
    sample = data.load(name)
    assert int(sample.targets["labels"]["label"]) == want["class_index"]
    assert sample.provenance["class"] == want["class_name"]
    assert sample.video.shape == (want["num_frames"], want["height"], want["width"], 3)
    assert data.num_frames(name) == want["num_frames"]
    np.testing.assert_allclose(thumbs(sample.video), expected[f"thumb_{name}"].astype(float), atol=1)
    assert frame_codes(sample.video) == [(want["code0"] + i) % 256 for i in range(want["num_frames"])]
    if want["split"] != "test":
        assert sample.provenance["text"] == want["label_text"]
        assert sample.provenance["template"] == want["template"]
        assert sample.provenance["placeholders"] == want["placeholders"]


@pytest.mark.parametrize("name", sorted(THERE))
def test_times_are_those_of_the_container(name):
    from probe4d_datasets.video_index import video_index

    index = video_index(SomethingSomething(DATA, EXPECTED[name]["split"])._video(name))
    assert [round(second * 1e6) for second in index.seconds()] == EXPECTED[name]["pts_us"]


@pytest.mark.parametrize("name", sorted(THERE))
def test_the_evaluation_clip_is_the_center_one_and_clamps_the_last_frame(name):
    want = EXPECTED[name]
    assert list(clip_indices(want["num_frames"], EVALUATION, seed=0)) == want["eval_indices_center_clamp"]
    data = SomethingSomething(DATA, want["split"])
    clip = data.load(name, clip_indices(data.num_frames(name), EVALUATION, seed=0))
    assert frame_codes(clip.video) == [(want["code0"] + i) % 256 for i in want["eval_indices_center_clamp"]]


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("release", ["qualcomm", "20bn", "auto"])
def test_both_releases_say_the_same(tmp_path, split, release):
    folder = {"qualcomm": "labels", "20bn": "annotations_20bn", "auto": "annotations_20bn"}[release]
    root = copy(tmp_path, folder, "20bn-something-something-v2")
    if folder == "annotations_20bn":  # that release has no file of answers
        shutil.copy(DATA / "labels/test-answers.csv", root / folder / "something-something-v2-test-answers.csv")
    data, reference = SomethingSomething(root, split, release=release), SomethingSomething(DATA, split)
    assert data.facts["options"]["release"] == {"auto": "20bn"}.get(release, release)
    assert data.sample_ids() == reference.sample_ids() == tuple(k for k, v in EXPECTED.items() if v["split"] == split)
    assert data.class_names == reference.class_names
    assert len(data.class_names) == 174
    assert list(data.class_names) == sorted(data.class_names)
    for name in data.sample_ids():
        if name in THERE:
            assert int(data.load(name, [0]).targets["labels"]["label"]) == EXPECTED[name]["class_index"]


def test_only_the_bracket_characters_go_from_a_template():
    assert (
        class_of("Sliding [number of] [something] under [something]") == "Sliding number of something under something"
    )
    assert class_of("Nudging [something] so that it wobbles but doesn't tip") in SomethingSomething(DATA).class_names


def test_labels_come_out_of_the_zip_that_they_are_shipped_in(tmp_path):
    root = copy(
        tmp_path, "archives/20bn-something-something-download-package-labels.zip", "20bn-something-something-v2"
    )
    data = SomethingSomething(root, "validation")
    assert data.sample_ids() == SomethingSomething(DATA, "validation").sample_ids()
    assert "labels.zip" in data.labels.root.url


@pytest.mark.parametrize("archives", ["index", "unpack"])
@pytest.mark.parametrize("suffix", ["", ".zip"])
def test_videos_come_out_of_the_parts_of_the_archive(tmp_path, archives, suffix):
    root = copy(tmp_path, "labels", "archives")
    for part in ("00", "01"):  # some save the parts as .zip, which they are not
        (root / f"archives/20bn-something-something-v2-{part}").rename(
            root / f"20bn-something-something-v2-{part}{suffix}"
        )
    data = SomethingSomething(root, "train", archives=archives)
    members = json.loads((DATA / "expected.json").read_text())["archive_members"]
    inside = {Path(str(name)).stem for name in members}
    assert set(data.sample_ids()) - set(data._absent) == inside == {"42041", "189723", "31100"}
    loose = SomethingSomething(DATA, "train")
    for name in ("31100", "42041", "189723", "42041"):  # back and forth in the archive
        np.testing.assert_array_equal(data.load(name).video, loose.load(name).video)


def test_a_lacking_part_is_named(tmp_path):
    root = copy(tmp_path, "labels", "archives")
    (root / "archives/20bn-something-something-v2-00").rename(root / "archives/20bn-something-something-v2-02")
    with pytest.raises(DataError, match=r"v2-00: expected every part of the archive, got \['01', '02'\]"):
        PackedTar(str(root / "archives/20bn-something-something-v2-01"))


def test_a_missing_video_costs_itself_and_is_counted(tmp_path):
    data = SomethingSomething(DATA, "train")
    assert "194804" in data.sample_ids()
    coverage = Coverage(total=4, max_broken=0.3)
    for name in data.sample_ids():
        coverage, _ = coverage.load(data, name, [0])
    assert coverage.used == 3
    assert coverage.left_out == (("194804", "194804: expected its data, got no video: 194804.webm."),)
    assert data.coverage() == {
        "summary": "3 of 4 videos",
        "total": 4,
        "available": 3,
        "missing": {"no video": {"count": 1, "ids": ["194804"]}},
    }
    assert [tuple(part) for part in data.missing()] == [("194804", "194804.webm", "no video")]


def test_missing_videos_can_be_dropped_up_to_a_stated_fraction():
    with pytest.raises(
        DataError, match=r"at most 10% of 4 videos to be missing, got 3 of 4 videos; the first: no video"
    ):
        SomethingSomething(DATA, "train", missing="drop")
    data = SomethingSomething(DATA, "train", missing="drop", max_missing=0.25)
    assert data.sample_ids() == ("42041", "189723", "31100")
    assert data.facts["coverage"]["summary"] == "3 of 4 videos"
    assert data.facts["options"]["missing"] == "drop"


@pytest.mark.parametrize("place", ["memory", "zip", "tar", "tar.gz"])
def test_a_root_may_be_any_url(tmp_path, place):
    root = copy(tmp_path, "labels", "20bn-something-something-v2")
    data, loose = (
        SomethingSomething(elsewhere(root, tmp_path)[place], "validation"),
        SomethingSomething(root, "validation"),
    )
    assert data.sample_ids() == loose.sample_ids()
    for name in data.sample_ids():
        np.testing.assert_array_equal(data.load(name, [0, 5]).video, loose.load(name, [0, 5]).video)


def test_archives_work_inside_other_places(tmp_path):
    root = copy(tmp_path, "labels", "archives")
    data = SomethingSomething(elsewhere(root, tmp_path)["memory"], "train")
    assert frame_codes(data.load("31100", [0]).video) == [EXPECTED["31100"]["code0"]]


def make(root: Path, templates: list[str], videos: dict[str, int], size: tuple[int, int] = (48, 64)) -> Path:
    """Write a data set of other classes, lengths, sizes and rates."""
    (root / "labels").mkdir(parents=True)
    names = sorted({class_of(template) for template in templates})
    (root / "labels/labels.json").write_text(json.dumps({name: str(i) for i, name in enumerate(names)}))
    entries = [
        {"id": name, "label": "x", "template": templates[i % len(templates)], "placeholders": ["cup"]}
        for i, name in enumerate(videos)
    ]
    (root / "labels/train.json").write_text(json.dumps(entries))
    (root / "videos").mkdir()
    for name, length in videos.items():
        write_video(root / f"videos/{name}.webm", numbered_frames(length, *size), rate=30, codec="libvpx-vp9")
    return root


def test_another_data_set_of_the_layout_is_read_as_well(tmp_path):
    root = make(tmp_path / "root", ["Moving [something]", "Showing [part] of [something], (twice)"], {"1": 3, "22": 70})
    data = SomethingSomething(root, "train")
    assert data.class_names == ("Moving something", "Showing part of something, (twice)")
    assert [data.num_frames(name) for name in data.sample_ids()] == [3, 70]
    assert int(data.load("22").targets["labels"]["label"]) == 1
    assert data.load("1", [2, 0, 0]).video.shape == (3, 48, 64, 3)


def test_clips_are_never_mirrored_as_labels_know_left_and_right(expected):
    """The paper's augmentations of this data set have no flip; a clip's left stays left under every seed."""
    sampling = ClipSampling(
        frames=2, stride=2, size=(56, 56), short_side=60, augment=("random-crop", "colour-jitter", "grayscale")
    )
    video = np.zeros((2, 240, 320, 3), np.uint8)
    video[:, :, 160:] = 200
    sample = SomethingSomething(DATA, "train").load("189723", [0, 2])
    for seed in range(20):
        made = prepare(type(sample)(id="x", video=video, targets=sample.targets), sampling, seed)
        assert made.video[:, :, :8].mean() < made.video[:, :, -8:].mean()


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("labels.json", "[]", "expected an object {class name: number}"),
        ("labels.json", '{"Moving something": "1"}', "expected the numbers 0 to 0"),
        ("labels.json", "[" * 100_000, "nested too deeply"),
        ("labels.json", '{"a": "0", "a": "1"}', "twice"),
        ("train.json", "{}", "expected a list of videos"),
        ("train.json", '[{"id": 7}]', "expected an object with an id of digits"),
        ("train.json", '[{"id": "../../etc/passwd", "template": "Moving [something]"}]', "an id of digits"),
        ("train.json", '[{"id": "1", "template": "Moving [thing]"}]', "a template of one of 1 classes"),
        ("train.json", '[{"id": "1", "template": "Moving [something]"}, {"id": "1", "template": "Moving [something]"}]',
         "each id once, got '1' twice"),
        ("train.json", "[]", "expected samples"),
        ("train.json", '[{"id": "1", "template": 5}]', "expected template, label and placeholders"),
        ("train.json", "\udcff", "UTF-8"),
    ],
)  # fmt: skip
def test_annotations_that_are_not_as_they_should_be_are_refused_by_name(tmp_path, file, text, message):
    root = make(tmp_path / "root", ["Moving [something]"], {"1": 2})
    (root / "labels" / file).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=message.replace("[", r"\[").replace("{", r"\{")) as error:
        SomethingSomething(root, "train")
    assert file in str(error.value) or "split 'train'" in str(error.value)


def test_the_test_split_needs_its_answers(tmp_path):
    root = make(tmp_path / "root", ["Moving [something]"], {"1": 2, "2": 2})
    (root / "labels/test.json").write_text('[{"id": "1"}, {"id": "2"}]')
    with pytest.raises(DataError, match=r"test-answers.csv"):
        SomethingSomething(root, "test")
    (root / "labels/test-answers.csv").write_text("1;Moving something\n")
    data = SomethingSomething(root, "test")
    assert int(data.load("1").targets["labels"]["label"]) == 0
    with pytest.raises(DataError, match=r"2: expected its class in labels/test-answers.csv, got none"):
        data.load("2")
    (root / "labels/test-answers.csv").write_text("1;Moving nothing\n")
    with pytest.raises(DataError, match="one of 1 classes as its answer"):
        SomethingSomething(root, "test")
    (root / "labels/test-answers.csv").write_text("1,Moving something\n")
    with pytest.raises(DataError, match=r"line 1: expected `id;class name`"):
        SomethingSomething(root, "test")


def test_a_cut_video_costs_itself(tmp_path):
    root = copy(tmp_path, "labels", "20bn-something-something-v2")
    file = root / "20bn-something-something-v2/31100.webm"
    file.write_bytes(file.read_bytes()[:3000])
    data = SomethingSomething(root, "train")
    with pytest.raises(DataError, match=r"31100.webm: expected"):
        data.load("31100")
    assert len(data.load("42041").video) == 24


def test_options_and_splits_that_do_not_exist_are_refused_with_the_nearest():
    with pytest.raises(UsageError, match="Did you mean 'validation'"):
        SomethingSomething(DATA, "validaton")
    with pytest.raises(UsageError, match="ssv2 release: expected auto, qualcomm, 20bn, got 'qualcom'"):
        SomethingSomething(DATA, release="qualcom")
    with pytest.raises(UsageError, match="ssv2 missing: expected keep, drop"):
        SomethingSomething(DATA, missing="ignore")
    with pytest.raises(UsageError, match="max_missing: expected a fraction"):
        SomethingSomething(DATA, max_missing=2)
    with pytest.raises(DataError, match="expected a sample of the split 'train'"):
        SomethingSomething(DATA).load("14216")
    with pytest.raises(DataError, match=r"expected labels\.json or something-something-v2-labels\.json"):
        SomethingSomething(DATA.parent)


def test_a_zip_of_videos_is_read_too(tmp_path):
    root = copy(tmp_path, "labels")
    with zipfile.ZipFile(root / "20bn-something-something-v2.zip", "w") as archive:
        for file in (DATA / "20bn-something-something-v2").glob("*.webm"):
            archive.write(file, f"20bn-something-something-v2/{file.name}")
    assert len(SomethingSomething(root, "validation").load("92963").video) == 31

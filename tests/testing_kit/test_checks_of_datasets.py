"""The kit passes a sound dataset, and finds each fault by the check that names it."""

from pathlib import Path

import numpy as np
import pytest

from probe4d import DatasetSpec
from probe4d.contracts import Sample
from probe4d.errors import DataError
from probe4d.testing import check_dataset
from probe4d.testing.subject import Given

FRAMES = 6


class Sound:
    """Three samples of noise, with a label and one box."""

    def __init__(self, root=None, split="all"):
        self.split = split

    def sample_ids(self):
        return ["a", "b", "c"]

    def num_frames(self, sample_id):
        if sample_id not in self.sample_ids():
            raise DataError("id")
        return FRAMES

    def load(self, sample_id, frames=None):
        if sample_id not in self.sample_ids():
            raise DataError("id")
        chosen = list(range(FRAMES)) if frames is None else list(frames)
        if any(not 0 <= frame < FRAMES for frame in chosen):
            raise DataError("frame")
        random = np.random.default_rng(self.sample_ids().index(sample_id))
        video = random.integers(0, 255, (FRAMES, 4, 4, 3), dtype=np.uint8)
        boxes = random.random((1, FRAMES, 4))
        return Sample(
            id=sample_id,
            video=video[chosen],
            targets={"labels": {"label": np.array(1)}, "boxes": {"boxes": boxes[:, chosen]}},
        )


def changed(sample, **targets):
    return Sample(id=sample.id, video=sample.video, targets={**sample.targets, **targets})


class OpensToNothing(Sound):
    def sample_ids(self):
        return []


class IdsTwice(Sound):
    def sample_ids(self):
        return ["a", "b", "a"]


class Shuffled(Sound):
    def __init__(self, root=None, split="all"):
        self.order = [str(id_) for id_ in np.random.default_rng().permutation(["a", "b", "c", "d", "e", "f", "g"])]

    def sample_ids(self):
        return self.order

    def load(self, sample_id, frames=None):
        loaded = Sound().load({"a": "a", "b": "b"}.get(sample_id, "c") if sample_id in self.order else "?", frames)
        return Sample(id=sample_id, video=loaded.video, targets=loaded.targets)


class Noisy(Sound):
    def load(self, sample_id, frames=None):
        sample = super().load(sample_id, frames)
        noise = np.random.default_rng().integers(0, 255, sample.video.shape, dtype=np.uint8)
        return Sample(id=sample.id, video=noise, targets=sample.targets)


class Floats(Sound):
    def load(self, sample_id, frames=None):
        sample = super().load(sample_id, frames)
        return Sample(id=sample.id, video=sample.video.astype(np.float32), targets=sample.targets)


class OtherLength(Sound):
    def num_frames(self, sample_id):
        super().num_frames(sample_id)
        return FRAMES + 1


class OtherId(Sound):
    def load(self, sample_id, frames=None):
        sample = super().load(sample_id, frames)
        return Sample(id=sample_id.upper(), video=sample.video, targets=sample.targets)


class Undeclared(Sound):
    def load(self, sample_id, frames=None):
        sample = super().load(sample_id, frames)
        return changed(sample, depth={"depth": np.ones((len(sample.video), 4, 4))})


class FlatBoxes(Sound):
    def load(self, sample_id, frames=None):
        sample = super().load(sample_id, frames)
        return changed(sample, boxes={"boxes": sample.targets["boxes"]["boxes"][0]})


class NanBoxes(Sound):
    def load(self, sample_id, frames=None):
        sample = super().load(sample_id, frames)
        return changed(sample, boxes={"boxes": sample.targets["boxes"]["boxes"] * np.nan})


class BoxesOfAllFrames(Sound):
    def load(self, sample_id, frames=None):
        sample = super().load(sample_id, frames)
        boxes = super().load(sample_id).targets["boxes"]["boxes"]
        return changed(sample, boxes={"boxes": boxes[:, : len(sample.video)]})


class AnyId(Sound):
    def load(self, sample_id, frames=None):
        return super().load(sample_id if sample_id in self.sample_ids() else "a", frames)


class NegativeFrames(Sound):
    def load(self, sample_id, frames=None):
        return super().load(sample_id, None if frames is None else [frame % FRAMES for frame in frames])


class OpenHandle(Sound):
    def __init__(self, root=None, split="all"):
        self.handle = lambda: None


class Litter(Sound):
    def __init__(self, root=None, split="all"):
        Path("litter.txt").write_text("here I was")


FAULTS = {
    OpensToNothing: "every_split_has_samples",
    IdsTwice: "ids_are_unique_and_stable",
    Shuffled: "ids_are_unique_and_stable",
    Noisy: "load_is_deterministic",
    Floats: "video_is_uint8_of_the_stated_length",
    OtherLength: "video_is_uint8_of_the_stated_length",
    OtherId: "a_sample_has_the_id_asked_for",
    Undeclared: "targets_are_of_the_declared_kinds",
    FlatBoxes: "targets_are_of_the_declared_kinds",
    NanBoxes: "targets_are_finite_where_they_count",
    BoxesOfAllFrames: "frames_select",
    AnyId: "an_unknown_id_is_refused",
    NegativeFrames: "a_frame_out_of_range_is_refused",
    OpenHandle: "an_opened_split_pickles",
    Litter: "nothing_is_written_outside_the_cache",
}


def spec(target, **facts):
    made = {"name": "toy", "kinds": ("labels", "boxes"), "splits": ("all",), "needs_root": False, **facts}
    return DatasetSpec(target=target, **made)


def test_a_sound_dataset_passes_everything(target_of):
    results = check_dataset(spec(target_of(Sound)))
    assert {result.status for result in results} == {"passed"}
    assert {result.name for result in results} == set(FAULTS.values()) | {"every_split_opens"}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_each_fault_fails_the_check_that_names_it_and_no_other(fault, target_of, failed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert failed(check_dataset(spec(target_of(fault)))) == [FAULTS[fault]]


def test_a_dataset_that_needs_files_is_skipped_and_says_what_to_give(target_of):
    results = check_dataset(spec(target_of(Sound), needs_root=True))
    assert {result.reason for result in results} == {"needs the data: give roots={'toy': URL}"}
    assert {result.status for result in results} == {"skipped"}


def test_a_dataset_that_needs_files_is_checked_where_they_are_given(target_of):
    results = check_dataset(spec(target_of(Sound), needs_root=True), given=Given(roots={"toy": "memory://"}))
    assert {result.status for result in results} == {"passed"}

"""Clips of a dataset by their id and view: what is encoded, and what targets are stacked from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen

from probe4d.contracts import Dataset, Sample
from probe4d.opening import open_dataset
from probe4d.registry import find
from probe4d.sampling import clip_indices, clip_places, clip_seed
from probe4d.specs import ClipSampling
from probe4d_datasets.clips import prepare

__all__ = ["ClipSource"]


@frozen(kw_only=True)
class ClipSource:
    """Where the clips of a set come from.

    Attributes:
        views: seed of each view of a clip.
        places: by clip id the sample and the number of the clip in it.
    """

    dataset: Dataset
    sampling: ClipSampling
    views: tuple[int, ...]
    places: Mapping[str, tuple[str, int]] = field(repr=False)

    @classmethod
    def open(cls, data: Mapping[str, Any], clip: Mapping[str, Any], views: Sequence[int], samples: int) -> ClipSource:
        """Return the source that `planning.clips.Clips.arguments` describes.

        Args:
            data: `dataset`, `split` and `options` it is opened with.
            clip, views: how clips are cut, and the seed of each view.
            samples: the first so many of the dataset's ids.
        """
        dataset = open_dataset(find("datasets", data["dataset"]), data["split"], data["options"])
        sampling = ClipSampling(**clip)
        places = clip_places(dataset.sample_ids()[:samples], sampling)
        return cls(dataset=dataset, sampling=sampling, views=tuple(views), places=places)

    def of(self, clip_id: str) -> list[Sample]:
        """Return the clip in each view.

        Raises:
            DataError: the sample is missing or broken.
        """
        return [self.clip(clip_id, view) for view in self.views]

    def clip(self, clip_id: str, view: int) -> Sample:
        """Return the clip as a view's seed cuts it.

        Raises:
            DataError: the sample is missing or broken.
        """
        sample_id, number = self.places[clip_id]
        seed = clip_seed(view, sample_id, number)
        frames = clip_indices(self.dataset.num_frames(sample_id), self.sampling, seed, number)
        return prepare(self.dataset.load(sample_id, frames), self.sampling, seed)

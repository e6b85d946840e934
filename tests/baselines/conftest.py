"""The goldens: tiny models of every family in their published layouts, and what their own code makes of clips."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
import pytest

from probe4d_baselines.backbone import load

GOLDENS = Path(__file__).parent / "goldens"
FAMILIES = {
    "hf_dinov2": "dinov2", "hf_siglip": "siglip", "hf_videomaev2": "videomaev2", "hf_videomae": "videomae",
    "hf_videoprism": "videoprism", "hf_vjepa2": "vjepa2", "orig_bigvision_siglip": "siglip", "orig_dinov2": "dinov2",
    "orig_videomaev2": "videomaev2", "orig_videomae": "videomae", "orig_videoprism": "videoprism",
    "orig_vjepa1": "vjepa", "orig_vjepa2": "vjepa2",
}  # fmt: skip


class Golden:
    """One folder of goldens."""

    def __init__(self, name: str) -> None:
        self.name, self.folder = name, GOLDENS / name
        self.family = next(family for start, family in FAMILIES.items() if name.startswith(start))
        self.tolerance = 3e-4 if self.family == "videoprism" else 5e-5
        self.meta = {} if name == "hf_siglip_sharded" else json.loads((self.folder / "meta.json").read_text())

    @property
    def options(self):
        """What a file of the authors does not tell of itself, and the hub's own positions for a hub folder."""
        if self.name.startswith("hf_"):
            return {"rules": "hub"}
        heads = self.meta["config"].get("num_heads")
        return {"heads": heads} if self.family in ("dinov2", "videomae", "videomaev2", "vjepa", "vjepa2") else {}

    @property
    def cases(self):
        """The inputs, by the names of their files; the native size is among them."""
        folder = GOLDENS / "hf_siglip" if self.name == "hf_siglip_sharded" else self.folder
        return sorted(file for file in folder.glob("io*.npz") if file.stem != "io_masked")

    def load(self, weights=None, **options):
        return load(str(weights or self.folder), family=self.family, **{**self.options, **options})


@functools.cache
def golden(name):
    return Golden(name)


@functools.cache
def loaded(name):
    """Return a backbone of a golden; what it has read and compiled is shared by the tests of a worker."""
    return golden(name).load()


def video_of(io):
    return io["video_uint8"].astype(np.float32) / np.float32(255)


def worst(got, want):
    return float(np.abs(np.asarray(got).reshape(want.shape) - want).max())


def cases():
    """Yield every golden at every size; of each the native size and one other in the plain tests."""
    for name in NAMES:
        files = golden(name).cases
        blocks = [file for file in files if any(key.startswith(("block", "hidden")) for key in np.load(file).files)]
        native = blocks or [file for file in files if file.stem in ("io_T4_54x54", "io_56x56")]
        plain = {native[0], next((file for file in files if file not in native), native[0])}
        for file in files:
            marks = () if file in plain else (pytest.mark.slow,)
            yield pytest.param(name, file, id=f"{name}-{file.stem}", marks=marks)


NAMES = sorted(folder.name for folder in GOLDENS.iterdir() if folder.is_dir())
CASES = list(cases())

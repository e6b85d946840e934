"""Rendered clips on disk: one file a clip, under an address that says all that made it."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen

from probe4d_datasets.playroom.render import Frames


@frozen
class ClipCache:
    """A folder of clips.

    Attributes:
        base: where all addresses are; `made_by`: all that the clips' bits follow from, as JSON values.
    """

    base: Path
    made_by: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        """Where the clips of this address are."""
        return self.base / hashlib.sha256(self._description().encode()).hexdigest()[:32]

    def _description(self) -> str:
        return json.dumps(dict(self.made_by), sort_keys=True)

    def __contains__(self, clip: str) -> bool:
        return (self.folder / f"{clip}.npz").is_file()

    def read(self, clip: str) -> Frames | None:
        """Return a clip, or None where there is none; a damaged file is reported and counts as none."""
        file = self.folder / f"{clip}.npz"
        try:
            with np.load(file, allow_pickle=False) as arrays:
                return Frames(video=arrays["video"], depth=arrays["depth"], ids=arrays["ids"])
        except FileNotFoundError:
            return None
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
            warnings.warn(f"{file}: damaged ({error}); the clip is rendered again.", stacklevel=2)
            return None

    def write(self, clip: str, frames: Frames) -> None:
        """Store a clip, whole or not at all. Several writers write the same bits, so any may win."""
        folder = self.folder
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / f"{clip}.npz", frames)
        described = folder / "made_by.json"
        if not described.exists():
            temporary = folder / f".made_by.{os.getpid()}"
            temporary.write_text(self._description() + "\n", encoding="utf-8")
            temporary.replace(described)


def _replace(file: Path, frames: Frames) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{file.stem}.", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as out:
            np.savez(out, video=frames.video, depth=frames.depth, ids=frames.ids)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise

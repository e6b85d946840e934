"""The file to read in a folder of weights, and the configs that lie beside it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from attrs import frozen

from probe4d.errors import DataError, did_you_mean
from probe4d_baselines.layouts import LAYOUTS
from probe4d_vit.checkpoints import open_checkpoint

# Of the hub, in order of preference; other files are taken where there is only one of the family.
HUB_FILES = ("model.safetensors.index.json", "model.safetensors", "pytorch_model.bin")
ENDINGS = (".safetensors", ".pth", ".pth.tar", ".pt", ".bin", ".npz")


@frozen
class Files:
    """Where weights are, and what lies beside them.

    Attributes:
        weights: the file of arrays, or the index of a sharded one.
        config: the hub's `config.json`, where there is one.
    """

    weights: Path
    config: Path | None


def find_files(location: str | Path, family: str) -> Files:
    """Return the files of weights at a path, which is a file or a folder.

    Raises:
        DataError: there is none, or several and no name says which.
    """
    path = Path(location)
    weights = _in_folder(path, family) if path.is_dir() else path
    if not weights.is_file():
        beside = sorted(file.name for file in path.parent.iterdir()) if path.parent.is_dir() else []
        raise DataError(
            f"{path}: expected weights there, got nothing.{did_you_mean(path.name, beside)} Check the path."
        )
    config = weights.parent / "config.json"
    return Files(weights, config if config.is_file() else None)


def _in_folder(folder: Path, family: str) -> Path:
    for name in HUB_FILES:
        if (folder / name).is_file():
            return folder / name
    found = [file for file in sorted(folder.iterdir()) if file.name.endswith(ENDINGS)]
    fitting = found if len(found) == 1 else list(_of_family(found, family))
    if len(fitting) != 1:
        names = ", ".join(file.name for file in fitting or found) or "none"
        raise DataError(f"{folder}: expected one file of {family} weights, got {names}. Name the file.")
    return fitting[0]


def _of_family(files: Iterable[Path], family: str) -> Iterable[Path]:
    """Yield the files that have a key which the family's files have; broken ones are none of it."""
    marks = tuple(layout.mark for layout in LAYOUTS[family])
    for file in files:
        try:
            keys = open_checkpoint(file).keys()
        except DataError:
            continue
        if any(key.endswith(marks) for key in keys):
            yield file

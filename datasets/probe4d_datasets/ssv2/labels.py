"""The annotations of Something-Something v2 in both releases: classes, templates, answers of the test split.

Source: the data set's own `labels.json`, `train.json`, …; mmaction2 tools/data/sthv2 and TSM for
how a template becomes a class.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from probe4d.errors import DataError
from probe4d.scoring.strict_json import parse_json
from probe4d_datasets.own.root import Root
from probe4d_datasets.places import archive

__all__ = ["RELEASES", "Clip", "Labels", "find_labels", "read_clips"]

# Release: the names of its files. The first that is there is taken.
RELEASES: Mapping[str, Mapping[str, str]] = {
    "qualcomm": {
        "labels": "labels.json",
        "train": "train.json",
        "validation": "validation.json",
        "test": "test.json",
        "answers": "test-answers.csv",
    },
    "20bn": {
        "labels": "something-something-v2-labels.json",
        "train": "something-something-v2-train.json",
        "validation": "something-something-v2-validation.json",
        "test": "something-something-v2-test.json",
        "answers": "something-something-v2-test-answers.csv",
    },
}
MAX_BYTES = 512 << 20  # of one annotation file; the largest real one has 26 MB
FOLDERS = ("", "labels/", "annotations/", "annotations_20bn/")
ARCHIVES = ("", "archives/")


@frozen(kw_only=True)
class Clip:
    """One video: its class (None where only the answers file would know it, and does not) and its words."""

    id: str
    label: int | None
    text: str = ""
    template: str = ""
    placeholders: tuple[str, ...] = ()


@frozen
class Labels:
    """Where the annotation files of one release lie, the class names in the order of their numbers."""

    release: str
    root: Root
    folder: str
    names: tuple[str, ...]

    def path(self, which: str) -> str:
        """Return the path of `train`, `validation`, `test` or `answers` under the root."""
        return self.folder + RELEASES[self.release][which]

    def files(self, split: str) -> tuple[str, ...]:
        """Return the paths of what a split is read from."""
        return tuple(self.path(which) for which in ("labels", split, *(["answers"] if split == "test" else [])))


def find_labels(root: Root, release: str) -> Labels:
    """Return the labels of a release; with `auto`, of the first that is there, loose ones before a zip's.

    Raises:
        DataError: there are none, or the classes are not numbered from 0.
    """
    wanted = tuple(RELEASES) if release == "auto" else (release,)
    for place in _label_roots(root):
        for name in wanted:
            for folder in FOLDERS:
                if RELEASES[name]["labels"] in place.names(folder.rstrip("/")):
                    where = folder + RELEASES[name]["labels"]
                    return Labels(name, place, folder, _class_names(place, where))
    expected = " or ".join(RELEASES[name]["labels"] for name in wanted)
    raise DataError(
        f"{root.url}: expected {expected}, at the root or in {', '.join(f for f in FOLDERS if f)} or in a zip of "
        "labels, got none. Put the annotations there."
    )


def _label_roots(root: Root) -> Sequence[Root]:
    found = [root]
    for folder in ARCHIVES:
        names = root.names(folder.rstrip("/"))
        found += [archive(root, folder + name) for name in names if "label" in name and name.endswith(".zip")]
    return found


def _class_names(root: Root, path: str) -> tuple[str, ...]:
    """Return the names; the file maps each to its number, which is a string."""
    where = root.location(path)
    table = parse_json(where, root.read_up_to(path, MAX_BYTES))
    if not isinstance(table, dict) or not table:
        raise DataError(f"{where}: expected an object {{class name: number}}, got {type(table).__name__}.")
    numbers = {str(index): name for name, index in table.items()}
    expected = [str(i) for i in range(len(table))]
    if sorted(numbers) != sorted(expected):
        raise DataError(
            f"{where}: expected the numbers 0 to {len(table) - 1}, each once, got others, as {sorted(numbers)[:3]}."
        )
    return tuple(numbers[index] for index in expected)


def class_of(template: str) -> str:
    """Return the class that a template names: the characters `[` and `]` go, what is between them stays."""
    return template.replace("[", "").replace("]", "")


def read_clips(labels: Labels, split: str) -> list[Clip]:
    """Return the clips of a split in the order of the file.

    Raises:
        DataError: an entry is not as it should be, or its template is no class.
    """
    path = labels.path(split)
    where = labels.root.location(path)
    entries = parse_json(where, labels.root.read_up_to(path, MAX_BYTES))
    if not isinstance(entries, list):
        raise DataError(f"{where}: expected a list of videos, got {type(entries).__name__}.")
    number_of = {name: number for number, name in enumerate(labels.names)}
    answers = _answers(labels) if split == "test" else {}
    return [_clip(entry, f"{where}, entry {i}", number_of, answers) for i, entry in enumerate(entries)]


def _clip(entry: Any, where: str, number_of: Mapping[str, int], answers: Mapping[str, str]) -> Clip:
    if not isinstance(entry, dict) or not _is_id(entry.get("id")):
        raise DataError(f"{where}: expected an object with an id of digits, got {str(entry)[:60]!r}.")
    if "template" not in entry:  # the test split
        name = answers.get(entry["id"])
        if name is not None and name not in number_of:
            raise DataError(f"{where}: expected one of {len(number_of)} classes as its answer, got {name[:60]!r}.")
        return Clip(id=entry["id"], label=None if name is None else number_of[name])
    template, text, words = entry["template"], entry.get("label", ""), entry.get("placeholders", [])
    if not isinstance(template, str) or not isinstance(text, str) or not isinstance(words, list):
        raise DataError(f"{where}: expected template, label and placeholders, got {str(entry)[:60]!r}.")
    name = class_of(template)
    if name not in number_of:
        raise DataError(
            f"{where}: expected a template of one of {len(number_of)} classes, got {template[:80]!r}. "
            "Take annotations and labels of one release."
        )
    return Clip(
        id=entry["id"], label=number_of[name], text=text, template=template, placeholders=tuple(map(str, words))
    )


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 12


def _answers(labels: Labels) -> dict[str, str]:
    """Return the class name by id of the test split; the file has no header."""
    path = labels.path("answers")
    where = labels.root.location(path)
    try:
        text = labels.root.read_up_to(path, MAX_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: expected UTF-8 text, got {error}.") from error
    try:
        rows = [row for row in csv.reader(text.splitlines(), delimiter=";") if row]
    except csv.Error as error:
        raise DataError(f"{where}: expected lines `id;class name`, got {error}.") from error
    for number, row in enumerate(rows, start=1):
        if len(row) != 2 or not _is_id(row[0]):
            raise DataError(f"{where}, line {number}: expected `id;class name`, got {';'.join(row)[:60]!r}.")
    return {row[0]: row[1].strip() for row in rows}

"""Cells, their folders, and files that are whole or absent."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe4d import atomic
from probe4d.cells import Cell
from probe4d.records import RunFolder

names = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="~"), min_size=1)


cells = st.builds(
    Cell,
    backbone=names,
    task=names,
    protocol=names,
    layer=st.one_of(st.integers(1, 99), st.floats(0.01, 1.0)),
)


@given(cells, cells)
def test_the_folder_of_a_cell_is_its_own_and_fits_every_file_system(one, other):
    assert (one.folder == other.folder) == (one.id == other.id)
    assert not set('/\\:*?"<>|') & set(one.folder)
    assert len(one.folder.encode()) <= 255


def test_a_long_name_is_cut_and_still_its_own(tmp_path):
    long = [Cell(backbone="b" * 300 + end, task="t" * 300, protocol="p", layer=0.5) for end in "xy"]
    assert long[0].folder != long[1].folder
    run = RunFolder(tmp_path)
    for cell in long:
        run.write_record(cell, {"primary": {"name": "v", "value": 1.0}}, [])
    assert {record.cell for record in run.records()} == set(long)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    file = tmp_path / "run" / "record.json"
    atomic.write_json(file, {"value": 1})
    with pytest.raises(ValueError, match="JSON"):
        atomic.write_json(file, {"value": float("nan")})
    assert json.loads(file.read_text()) == {"value": 1}
    assert os.listdir(file.parent) == ["record.json"]

"""Cells, their folders, and files that are whole or absent."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe4d import atomic
from probe4d.cells import Cell
from probe4d.errors import UsageError

names = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="~"), min_size=1)


@given(names, names, names, st.one_of(st.integers(1, 99), st.floats(0.01, 1.0)))
def test_the_folder_of_a_cell_names_it(backbone, task, protocol, layer):
    cell = Cell(backbone=backbone, task=task, protocol=protocol, layer=layer)
    assert Cell.of_folder(cell.folder) == cell
    assert not set('/\\:*?"<>|') & set(cell.folder)


@pytest.mark.parametrize("name", ["", "a~b~c", "a~b~c~d", "a~b~c~0.5~e"])
def test_another_folder_is_refused(name):
    with pytest.raises(UsageError, match="expected the folder of a cell"):
        Cell.of_folder(name)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    file = tmp_path / "run" / "record.json"
    atomic.write_json(file, {"value": 1})
    with pytest.raises(ValueError, match="JSON"):
        atomic.write_json(file, {"value": float("nan")})
    assert json.loads(file.read_text()) == {"value": 1}
    assert os.listdir(file.parent) == ["record.json"]

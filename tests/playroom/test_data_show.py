"""`probe4d data show` and the contact sheet that it draws."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from probe4d import registry
from probe4d.builtin.playroom_specs import DATASETS
from probe4d.commands import data, data_show
from probe4d.commands.data_options import dataset_options
from probe4d.contracts import Sample
from probe4d.errors import DataError, NothingSelectedError, UsageError
from probe4d_datasets.contact_sheet import contact_sheet
from probe4d_datasets.playroom import Playroom

SMALL = ["--set", "size=24", "--set", "frames=4", "--set", "length=12", "--set", "cache=false"]


@pytest.fixture(autouse=True)
def _datasets(monkeypatch):
    """Serve the playroom from its own specs, whatever else is installed."""
    known = {spec.name: spec for spec in DATASETS}

    def find(category, name):
        assert category == "datasets"
        fields = {"plugin": "probe4d", "distribution": "probe4d", "version": "0", "spec": known[name]}
        return registry.Entry(category=category, **fields)

    monkeypatch.setattr(data_show, "find", find)


def show(*arguments):
    return CliRunner().invoke(data.command, ["show", *arguments])


def test_show_writes_a_sheet_and_prints_its_name(tmp_path):
    file = tmp_path / "sheet.png"
    result = show("playroom:val[3]", "-o", str(file), *SMALL)
    assert result.exit_code == 0, result.output
    assert result.output == f"{file}\n"
    with Image.open(file) as sheet:
        assert sheet.width > 4 * 176
        assert np.asarray(sheet).std() > 20
    assert list(tmp_path.iterdir()) == [file]


def test_show_names_the_file_after_the_sample(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert show("playroom:val[-1]", *SMALL).output == "playroom-val-val-000011.png\n"
    assert show("playroom:val[val-000002]", *SMALL).output == "playroom-val-val-000002.png\n"
    assert show("playroom:val[id=val-000002]", *SMALL).output == "playroom-val-val-000002.png\n"


def test_show_prepares_the_split_when_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("PROBE4D_CACHE_DIR", str(tmp_path / "cache"))
    options = ["--set", "size=16", "--set", "frames=2", "--set", "length=1", "--prepare"]
    result = show("playroom:val[0]", "-o", str(tmp_path / "a.png"), *options)
    assert result.exit_code == 0, result.output
    assert "1 of 1 clips" in result.stderr
    assert len(list((tmp_path / "cache").rglob("*.npz"))) == 1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["playroom"], UsageError, "expected DATASET:SPLIT"),
        (["playroom:val[12]", *SMALL], UsageError, "expected a position from 0 to 11, got 12"),
        (["playroom:val[val-00001]", *SMALL], DataError, "Did you mean 'val-00001"),
        (["playroom:vall[0]"], UsageError, "Did you mean 'val'"),
        (["playroom:val[0]", "--set", "size"], UsageError, "expected KEY=VALUE"),
        (["playroom:val[0]", "--set", "frame=3"], UsageError, "got 'frame'. Did you mean 'frames'?"),
        (["playroom:val[0]", "--set", "size=3", "--set", "size.h=3"], UsageError, "sets a part of 'size'"),
        (["playroom:val[0]", "--root", "/data"], UsageError, "root: expected none"),
    ],
)
def test_show_says_what_is_wrong(arguments, error, message):
    result = show(*arguments)
    assert isinstance(result.exception, error)
    assert message in str(result.exception)


def test_settings_are_toml_values_words_and_parts_of_tables():
    given = ("size=[24, 32]", "cache=false", "textures=photo", 'rule={by = "file"}', "rule.share=0.5")
    assert dataset_options(None, given) == {
        "size": [24, 32],
        "cache": False,
        "textures": "photo",
        "rule": {"by": "file", "share": 0.5},
    }


def test_an_empty_dataset_selects_nothing():
    with pytest.raises(NothingSelectedError, match="expected samples, got none"):
        data_show._sample_id([], "0", "mine:train")


def test_a_sheet_is_drawn_of_whatever_targets_there_are():
    whole = Playroom(split="val", size=(24, 32), frames=10, length=1, cache=False).load("val-000000")
    heights = set()
    for kinds in ((), ("boxes",), ("points",), ("depth",), ("pose",), ("labels",), tuple(whole.targets)):
        sample = attrs.evolve(whole, targets={kind: whole.targets[kind] for kind in kinds})
        sheet = contact_sheet(sample)
        heights.add(sheet.height)
        assert sheet.width >= 8 * 176
    assert len(heights) == 4  # nothing extra, tracks or depth, poses, all


def test_a_sheet_is_drawn_of_a_bare_single_frame():
    sheet = contact_sheet(Sample(id="x", video=np.zeros((1, 20, 10, 3), np.uint8)))
    assert sheet.height > 352


def test_boxes_and_points_are_drawn_where_they_are():
    video = np.zeros((1, 88, 176, 3), np.uint8)
    boxes = {"boxes": np.float32([[[0.25, 0.5, 0.75, 1.0]]]), "present": np.ones((1, 1), bool)}
    points = {
        "tracks": np.float32([[[40.0, 30.0]]]),
        "visible": np.ones((1, 1), bool),
        "query_points": np.float32([[0, 30, 40]]),
    }
    sheet = np.asarray(contact_sheet(Sample(id="x", video=video, targets={"boxes": boxes, "points": points})))
    bright = np.argwhere((sheet[:, :, 0] > 200) & (sheet[:, :, 1] < 60))
    top = 4 + 16 + 4 + 14  # the headline's row, then the row's title
    box, dot = bright[bright[:, 0] < top + 88], bright[bright[:, 0] >= top + 88]
    assert (box.min(0) - (top, 4)).tolist() == [22, 88]
    assert (box.max(0) - (top, 4)).tolist() == [65, 175]
    assert (dot.mean(0) - (top + 88 + 4 + 14, 4)).tolist() == [30.0, 40.0]

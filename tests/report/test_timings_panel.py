"""Where the time of a run went, by phase."""

from __future__ import annotations

import json
import re

from probe4d_report.panels.timings import panel
from probe4d_report.view import RunView


def test_seconds_by_phase_add_up_and_training_stands_without_compiling(made, tmp_path):
    made.write_cell(tmp_path, made.THREE[1], "labels")
    (file,) = tmp_path.glob("cells/*/record.json")
    record = json.loads(file.read_text())
    timings = {"extract": 40.0, "train": 21.0, "compile": 6.0, "predict": 2.0, "whole": 24.0, "score": 1.5}
    file.write_text(json.dumps({**record, "timings": timings}))
    text = str(panel(RunView(tmp_path)))
    heads = re.findall(r'<th scope="col"[^>]*>([^<]*)</th>', text)
    phases = ["extract s", "compile s", "train s", "predict s", "score s", "other s"]
    assert heads == ["backbone", "task", "total s", "by phase", *phases]
    cells = [float(value) for value in re.findall(r'<td data-value="[\d.]+">([\d.]+)</td>', text)]
    assert cells == [65.5, 40.0, 6.0, 15.0, 2.0, 1.5, 1.0]
    widths = [float(width) for width in re.findall(r"width:([\d.]+)%", text)]
    assert abs(sum(widths) - 100) < 0.1, "the longest bar fills its cell"


def test_a_run_whose_records_have_no_timings_shows_none(made, tmp_path):
    made.write_cell(tmp_path, made.THREE[1], "labels")
    (file,) = tmp_path.glob("cells/*/record.json")
    file.write_text(json.dumps({**json.loads(file.read_text()), "timings": {}}))
    assert panel(RunView(tmp_path)) is None

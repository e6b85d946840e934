"""`probe4d paper` against the paper's tables."""

from __future__ import annotations

import re
import xml.etree.ElementTree as tree

import numpy as np
import pytest
from click.testing import CliRunner

from probe4d_report.paper import RADAR_MODELS, command, figure_6, figure_8, figure_14, task_correlations, write_paper
from probe4d_report.published import PAPER_TASKS, paper_task, published, published_for, table_1


def frozen():
    return [row for row in published() if row.protocol == "frozen"]


def test_the_tables_are_whole():
    assert len(published()) == 72
    assert len(frozen()) == 18
    assert {row.protocol for row in published()} == {"frozen", "finetune-20k", "finetune-40k", "finetune-80k"}
    assert list(table_1()) == [f"4ds-{size}" for size in "sblhgej"]


def test_numbers_are_those_of_table_2():
    row = published_for("fourds/4DS_j", "probe4d/frozen")
    assert list(row.values.values()) == [0.682, 0.24, 0.834, 0.085, 0.783]
    assert published_for("4ds-j", "frozen-quick") is None
    assert published_for("mine", "frozen") is None


@pytest.mark.parametrize(
    ("task", "column"),
    [
        ("tasks/ssv2", "ssv2_top1"),
        ("re10k", "re10k_epe"),
        ("x/Perception_Test", "perception_test_aj"),
        ("scannet", "scannet_absrel"),
        ("waymo-open", "waymo_miou"),
    ],
)
def test_the_papers_tasks_are_found_by_name(task, column):
    assert paper_task(task).column == column


def test_playroom_is_none_of_the_papers():
    assert paper_task("probe4d/playroom-points") is None


def test_the_correlations_are_numpys_with_re10k_and_scannet_negated():
    table = np.array([[row.values[task.column] for row in frozen()] for task in PAPER_TASKS])
    table[[1, 3]] *= -1
    assert np.allclose(task_correlations(), np.corrcoef(table))


def test_figure_14_writes_each_coefficient():
    words = re.findall(r'text-anchor="middle" style="[^"]*">(-?\d\.\d\d)</text>', figure_14().drawing)
    assert words == [f"{value:.2f}" for value in np.asarray(task_correlations()).ravel()]


def test_figure_6_shows_the_four_models_where_the_sigmoid_puts_them():
    figure = figure_6()
    assert [row[0] for row in figure.rows] == ["DINOv2-g", "VideoPrism-g", "4DS-S", "4DS-j"]
    rows = {row.model: row.values for row in frozen() if row.model in RADAR_MODELS}
    errors = {model: 200 / (1 + np.exp(values["re10k_epe"])) for model, values in rows.items()}
    low, high = min(errors.values()), max(errors.values())
    wanted = {model: 0.3 + 0.7 * (value - low) / (high - low) for model, value in errors.items()}
    marks = re.findall(r"<title>([^,<]+), RE10k\nEPE: ([0-9.]+)</title>", figure.drawing)
    assert [float(value) for _, value in marks] == [1.89, 0.90, 0.73, 0.24]
    paths = re.findall(r'<path d="M([^Z"]+)Z" style', figure.drawing)
    for model, way in zip(RADAR_MODELS, paths, strict=True):
        x, y = (float(v) for v in way.split(" L")[1].split())  # the second spoke
        assert np.hypot(x - 250, y - 185) / 120 == pytest.approx(wanted[model], abs=2e-3)


def test_figure_8_has_every_4ds_model_on_every_task_under_both_protocols():
    marks = re.findall(r"<title>(frozen|finetune-20k): ([0-9.]+)</title>", figure_8().drawing)
    wanted = [
        (protocol, row.values[task.column])
        for task in PAPER_TASKS
        for protocol in ("frozen", "finetune-20k")
        for row in published()
        if row.protocol == protocol and row.model.startswith("4ds-")
    ]
    assert [(protocol, float(value)) for protocol, value in marks] == wanted
    assert len(marks) == 5 * 2 * 7


def test_the_command_writes_three_figures_and_a_page(tmp_path):
    done = CliRunner().invoke(command, ["-o", str(tmp_path / "out")])
    assert done.exit_code == 0
    names = ["figure-6.svg", "figure-8.svg", "figure-14.svg", "index.html"]
    assert done.output.split() == [str(tmp_path / "out" / name) for name in names]
    for name in names[:3]:
        assert tree.parse(tmp_path / "out" / name).getroot().get("viewBox")
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("<svg") >= 3
    assert "0.682" in page


def test_the_same_tables_give_the_same_bytes(tmp_path):
    first = [file.read_bytes() for file in write_paper(tmp_path / "a")]
    assert first == [file.read_bytes() for file in write_paper(tmp_path / "b")]

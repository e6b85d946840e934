"""What the page says, and that nothing in a run's folder can break it."""

from __future__ import annotations

import json
import re

import pytest
from click.testing import CliRunner

from probe4d.errors import DataError, NothingSelectedError
from probe4d.registry import registry
from probe4d_report.html import html_problem
from probe4d_report.report import MOST_BYTES, command, page, write_report
from probe4d_report.view import RunView


@pytest.fixture(scope="session")
def whole_page(whole_run):
    """The report of the whole run."""
    return page(RunView(whole_run))


def test_the_page_is_one_file_that_asks_for_no_other(whole_page):
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", whole_page)
    assert "@import" not in whole_page
    assert not re.search(r"url\((?!data:)", whole_page)
    addresses = set(re.findall(r"https?://[^\s\"'<]+", whole_page))
    assert addresses <= {"http://www.w3.org/2000/svg"}  # a name, never fetched


def test_the_page_is_bounded_and_whole(whole_page):
    assert len(whole_page.encode()) < MOST_BYTES
    assert html_problem(whole_page.partition("<script>")[0].replace("<!doctype html>", "") + "</body></html>") == ""


def test_every_section_that_has_something_to_show_is_there(whole_page):
    titles = re.findall(r"<h2 [^>]*>([^<]+)<", whole_page)
    assert titles == [
        "Results",
        "Aggregates",
        "Scaling",
        "Radar",
        "Layer study",
        "Task correlation",
        "Frozen and finetuned",
        "Point tracks",
        "Boxes",
        "Depth",
        "Camera poses",
        "Classes",
        "Training",
        "Timings",
        "Failures and samples left out",
        "Provenance",
    ]
    assert "could not be shown" not in whole_page


def test_the_same_run_gives_the_same_bytes(whole_run, whole_page):
    assert page(RunView(whole_run)) == whole_page


def test_values_stand_with_their_intervals_and_the_best_is_marked(whole_run, whole_page):
    view = RunView(whole_run)
    column = next(column for column in view.columns if column.task == "probe4d/playroom-boxes")
    best = view.results.records["4ds-b", column].content["primary"]
    cell = re.search(rf'<td data-value="{best["value"]}" class="best">(.*?)</td>', whole_page, re.S)
    assert cell is not None
    assert f"<b>{best['value']:.3f}</b>" in cell[1]
    assert f"{best['ci95'][0]:.3f} – {best['ci95'][1]:.3f}" in cell[1]
    worst = view.results.value("patch-colours", column)
    assert f'<td data-value="{worst}"><b>' in whole_page


def test_the_paper_has_nothing_to_say_of_playroom_and_the_page_says_so(whole_page):
    assert re.search(r"The paper has no numbers for playroom-boxes, [^.]*playroom-pose\.", whole_page)
    assert 'class="paper"' not in whole_page


def test_the_papers_numbers_stand_beside_the_same_task_and_protocol(made, tmp_path):
    backbone = made.Backbone(label="mine", name="fourds/4ds-b", params=87_439_104, noise=0.2)
    for protocol in ("probe4d/frozen", "probe4d/frozen-quick"):
        made.write_cell(tmp_path, backbone, "boxes", task="tasks/waymo", protocol=protocol)
    made.write_cell(tmp_path, backbone, "boxes", protocol="probe4d/frozen")
    text = page(RunView(made.finish(tmp_path)))
    assert re.findall(r'<small class="paper">([^<]+)<', text) == ["paper 0.727"]  # 4DS-B, frozen, Waymo: Table 2
    assert "The paper’s models, frozen" in text
    assert "The paper has no protocol frozen-quick" in text
    assert "The paper has no numbers for playroom-boxes" in text


NAME = '"><script>x(1)</script>'  # short, as a cell's names make a folder's
HOSTILE = '</svg></script><script>alert(1)</script><img src=x onerror="alert(2)">"\'{{ 7*7 }}'


def test_hostile_names_are_text_and_nothing_else(made, tmp_path):
    backbones = [
        made.Backbone(label=f"{NAME}{i}", name=f"x/{HOSTILE}", params=1000 * 4**i, noise=0.2 * i + 0.1)
        for i in range(3)
    ]
    for backbone in backbones:
        for kind in made.PRIMARY:
            left_out = [{"id": HOSTILE, "reason": HOSTILE}]
            made.write_cell(
                tmp_path,
                backbone,
                kind,
                task=f"{kind}/{NAME}{kind}",
                protocol=NAME,
                samples={"evaluated": 1, "left_out": left_out, "train_left_out": {HOSTILE: HOSTILE}},
                plugins=[{"name": HOSTILE, "distribution": HOSTILE, "version": HOSTILE, "used": True}],
                environment={"probe": {"python": HOSTILE, HOSTILE: HOSTILE}},
                data={"evaluate": {**made.DATA, "dataset": HOSTILE, "split": HOSTILE}},
                select_on=HOSTILE,
            )
    made.finish(
        tmp_path, suite=HOSTILE, status=HOSTILE, failures=[{"unit": HOSTILE, "status": HOSTILE, "error": HOSTILE}]
    )
    (tmp_path / "suite.toml").write_text(HOSTILE)
    text = page(RunView(tmp_path))
    assert text.count("<script>") == 1
    assert "<img src=x" not in text
    assert 'onerror="' not in text.replace("&#34;", "")
    assert "49" not in re.findall(r"<h1>(.*?)</h1>", text)[0]
    assert "alert(1)" in text  # shown, as text
    assert "&lt;script&gt;x(1)&lt;/script&gt;" in text
    assert html_problem(text.partition("<script>")[0].replace("<!doctype html>", "") + "</body></html>") == ""
    assert "could not be shown" not in text


def test_a_damaged_record_costs_itself_and_is_named(made, tmp_path):
    made.write_run(tmp_path, kinds=("labels",))
    first = sorted((tmp_path / "cells").iterdir())[0]
    (first / "record.json").write_text('{"schema": ')
    text = page(RunView(tmp_path))
    assert "Records that cannot be read" in text
    assert len(RunView(tmp_path).records) == 2


@pytest.mark.parametrize("value", [float("nan"), None, "0.5", True])
def test_a_primary_value_that_is_no_number_is_a_damaged_record(made, tmp_path, value):
    made.write_run(tmp_path, made.THREE[:2], kinds=("labels",))
    file = sorted((tmp_path / "cells").glob("*/record.json"))[0]
    content = json.loads(file.read_text())
    content["primary"]["value"] = value
    file.write_text(json.dumps(content))
    (folder, reason) = RunView(tmp_path).damaged[0]
    assert folder == file.parent.name
    assert "primary.value: expected a finite number" in reason


def test_a_run_of_nothing_but_damage_is_an_error(made, tmp_path):
    made.write_run(tmp_path, made.THREE[:1], kinds=("labels",))
    for file in tmp_path.glob("cells/*/record.json"):
        file.write_text("[]")
    with pytest.raises(DataError, match="expected at least one sound record, got 1 damaged"):
        write_report(tmp_path)


def test_a_folder_without_records_is_an_error(tmp_path):
    with pytest.raises(NothingSelectedError, match="expected a run with records, got none"):
        write_report(tmp_path)


def test_failures_and_left_out_samples_are_named(made, tmp_path):
    left_out = [{"id": "clip-7", "reason": "nothing is visible on its first frame"}]
    samples = {"evaluated": 23, "left_out": left_out, "train_left_out": {"clip-9": "truncated video"}}
    made.write_cell(tmp_path, made.THREE[1], "labels", samples=samples)
    failures = [{"unit": "probe-12ab", "status": "failed", "error": "out of memory"}]
    cells = [{"backbone": "4ds-b", "task": "probe4d/playroom-pose", "protocol": "probe4d/frozen", "layer": 0.95}]
    text = page(RunView(made.finish(tmp_path, status="failed", failures=failures, cells=cells)))
    for word in ("probe-12ab", "out of memory", "clip-7", "nothing is visible", "clip-9", "truncated video"):
        assert word in text
    assert "Planned cells without a record" in text


def test_a_single_cell_makes_a_report_without_comparisons(made, tmp_path):
    made.write_cell(tmp_path, made.THREE[1], "depth")
    text = page(RunView(tmp_path))  # and without run.json or suite.toml
    titles = re.findall(r"<h2 [^>]*>([^<]+)<", text)
    assert "Results" in titles
    assert 'class="best"' not in text  # the best of one says nothing
    assert not {"Aggregates", "Scaling", "Radar", "Task correlation", "Layer study"} & set(titles)


def test_a_missing_aggregate_says_why(made, tmp_path):
    made.write_run(tmp_path, kinds=("labels",))
    (tmp_path / "suite.toml").write_text('aggregates = ["no-such", "mean_rank", "relative_to_baseline"]')
    problems = {one.name: one.problem for one in RunView(tmp_path).aggregates}
    assert "there is none of that name" in problems["no-such"]
    assert "baseline" in problems["relative_to_baseline"]
    assert problems["mean_rank"] == ""


def test_the_command_writes_the_file_and_prints_its_path(made, tmp_path):
    made.write_cell(tmp_path / "run", made.THREE[1], "labels")
    done = CliRunner().invoke(command, [str(tmp_path / "run")])
    assert done.output.strip() == str(tmp_path / "run" / "report.html")
    done = CliRunner().invoke(command, [str(tmp_path / "run"), "-o", str(tmp_path / "mine.html")])
    assert done.exit_code == 0
    assert (tmp_path / "mine.html").read_bytes() == (tmp_path / "run" / "report.html").read_bytes()
    assert CliRunner().invoke(command, [str(tmp_path / "none")]).exit_code == 2


def test_the_module_of_the_report_command_has_what_run_calls():
    (entry,) = registry().matches("commands", "report")
    module = __import__(entry.spec.target.partition(":")[0], fromlist=["write_report"])
    assert module.write_report is write_report


GARBAGE = ("x", [1], None, -1, [], {}, {"a": None}, 1e308)


@pytest.mark.parametrize(
    "garbage", [pytest.param(g, marks=[pytest.mark.slow] if i > 1 else []) for i, g in enumerate(GARBAGE)], ids=repr
)
def test_garbage_costs_a_section_or_the_record_but_never_the_page(made, tmp_path, garbage):
    made.write_run(tmp_path, made.THREE[1:], kinds=("labels",))
    file = sorted((tmp_path / "cells").glob("*/record.json"))[0]
    whole = json.loads(file.read_text())
    places = [(key,) for key in whole if key not in ("schema", "cell")]
    places += [(key, inner) for key in ("primary", "backbone", "samples", "task") for inner in whole[key]]
    for place in places:
        changed = json.loads(json.dumps(whole))
        (changed if len(place) == 1 else changed[place[0]])[place[-1]] = garbage
        file.write_text(json.dumps(changed))
        text = page(RunView(tmp_path))
        assert "Provenance</h2>" in text, place
        assert "4ds-s" in text, place
    file.write_text(json.dumps(whole))
    run = json.loads((tmp_path / "run.json").read_text())
    for key in run.keys() - {"schema"}:
        (tmp_path / "run.json").write_text(json.dumps({**run, key: garbage}))
        assert "Results</h2>" in page(RunView(tmp_path)), key

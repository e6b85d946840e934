"""Panels of other plugins: what they are given, and that a bad one harms no other."""

from __future__ import annotations

import re
import sys
import types

import pytest

from probe4d.registry import Entry, entries
from probe4d.specs import ReportPanelSpec
from probe4d_report import report
from probe4d_report.html import html_problem
from probe4d_report.view import RunView


@pytest.fixture
def small_run(made, tmp_path):
    """A run with one cell."""
    made.write_cell(tmp_path, made.THREE[1], "labels")
    return tmp_path


@pytest.fixture
def with_panel(monkeypatch):
    """Return a function that adds a panel of another plugin."""

    def add(function, **fields):
        module = types.ModuleType("strangers_panel")
        module.panel = function
        monkeypatch.setitem(sys.modules, "strangers_panel", module)
        spec = ReportPanelSpec(
            **{"name": "theirs", "title": "Theirs", "target": "strangers_panel:panel", "order": 15, **fields}
        )
        added = Entry(category="report_panels", plugin="stranger", distribution="stranger", version="1", spec=spec)
        monkeypatch.setattr(report, "entries", lambda category: (*entries(category), added))

    return add


def test_a_panel_stands_in_its_order_under_its_plugins_name(small_run, with_panel):
    with_panel(lambda run, word: f"<p>{word}: {len(run.records)} cell</p>", options={"word": "Here"})
    text = report.page(RunView(small_run))
    assert "<p>Here: 1 cell</p>" in text
    titles = re.findall(r"<h2 [^>]*>(.*?)</h2>", text)
    assert titles[:2] == ["Results", "Theirs <small>by stranger</small>"]


def test_a_panel_with_nothing_to_show_leaves_no_trace(small_run, with_panel):
    with_panel(lambda run: None)
    assert "Theirs" not in report.page(RunView(small_run))


def _raises(run):
    raise ZeroDivisionError("<b>oh</b>")


def _exits(run):
    sys.exit("good bye")


@pytest.mark.parametrize(
    ("panel", "said"),
    [
        (_raises, "ZeroDivisionError: &lt;b&gt;oh&lt;/b&gt;"),
        (_exits, "SystemExit: good bye"),
        (lambda run: 7, "expected HTML as text, or None, got int"),
        (lambda run: "<div><p>open</div>", "expected &lt;/p&gt;, got &lt;/div&gt;"),
        (lambda run: "</section>", "expected nothing to close, got &lt;/section&gt;"),
        (lambda run: "<div>", "&lt;div&gt; is never closed"),
        (lambda run: "<script>1</script>", "it holds a script, which the page does not run"),
        (lambda run: "x" * 5_000_001, "5,000,001 bytes are more than"),
    ],
)
def test_a_bad_panel_shows_its_error_in_its_place_and_stops_nothing(small_run, with_panel, panel, said):
    with_panel(panel)
    text = report.page(RunView(small_run))
    (problem,) = re.findall(r'<p class="problem" role="note">(.*?)</p>', text)
    assert said in problem
    assert "Provenance</h2>" in text
    assert len(text.encode()) < report.MOST_BYTES


def test_a_panel_that_lacks_a_package_says_what_to_install(small_run, with_panel):
    with_panel(lambda run: "<p>x</p>", requires=("no-such-package>=1",), extra="stranger[more]")
    assert "Run: pip install &#39;stranger[more]&#39;" in report.page(RunView(small_run))


def test_html_that_is_whole_has_no_problem():
    assert html_problem('<div><img src="data:,"><br><svg><path d="M0 0"/></svg><input disabled></div>') == ""


def test_the_view_offers_what_its_document_says(whole_run):
    view = RunView(whole_run)
    assert view.run["suite"] == "playroom-quick"
    assert view.backbones == ("patch-colours", "4ds-s", "4ds-b")  # by size
    assert len({view.colour(backbone) for backbone in view.backbones}) == 3
    assert view.params("patch-colours") == 0
    assert [one.name for one in view.aggregates] == ["mean_rank", "worst_task"]
    assert view.aggregates[0].values == {"patch-colours": 3.0, "4ds-s": 2.0, "4ds-b": 1.0}
    assert [column.layer for column in view.main_columns("probe4d/frozen-quick")] == [0.95] * 5
    assert view.mode("probe4d/finetune-20k") == "finetune"
    (record,) = [record for record in view.records if record.cell.id.startswith("4ds-b~probe4d/playroom-labels")]
    pairs = view.pairs(record)
    assert len(pairs.ids) == 24
    assert pairs.load(pairs.ids[0]).predictions["logits"].shape == (12,)
    assert view.clip(record, pairs.ids[0]).shape == (16, 64, 64, 3)
    selected = [one for one in view.training(record) if one.selected]
    assert [one.name for one in selected] == ["layer-0.95-lr-0.001"]

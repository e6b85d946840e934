"""A composed suite as its author makes it: own TOML, own plugin with a metric and a section of the report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("jax", reason="needs jax: probes are trained with it")
pytest.importorskip("hatchling", reason="needs hatchling: it builds the plugin")

from toy_plans import THREE_STEPS, playroom_suite

SUITE = playroom_suite(
    """
name = "fair"
summary = "classes count alike"
backbones = ["pixels", {name = "pixels", label = "pixels-again", seed = 1}]
tasks = ["playroom-labels"]
protocols = ["frozen-quick"]
aggregates = ["mean_rank", {name = "relative_to_baseline", baseline = "pixels"}]
""",
    train=12,
    val=12,
    more=f"""{THREE_STEPS}
[overrides.playroom-labels]
metrics = ["probe4d/accuracy", "fair/fair"]
primary = "fair/fair.balanced_accuracy"
""",
)

PANEL_HOOK = '''

@hookimpl
def probe4d_report_panels() -> Iterable[ReportPanelSpec]:
    """Return a section that says how unfair each backbone is."""
    return [ReportPanelSpec(name="unfair", title="Classes forgotten", target="probe4d_fair.panel:panel", order=500)]
'''

PANEL = '''
"""The section of the report."""


def panel(run):
    """Return accuracy less balanced accuracy of each record."""
    rows = [(r.cell.backbone, r.content["values"]["top1"] - r.primary[1]) for r in run.records]
    return "<ul>" + "".join(f"<li>{name} forgets {gap:+.3f}</li>" for name, gap in rows) + "</ul>"
'''


@pytest.fixture(scope="module")
def author(tmp_path_factory):
    """Return a function that runs probe4d where the author works, in a fresh process that sees the plugin."""
    home = tmp_path_factory.mktemp("author")
    paths = [str(home / "site"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}

    def run(*line: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", *line], cwd=home, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    run("probe4d", "plugins", "new", "fair", "--kind", "metric")
    package = home / "probe4d-fair/probe4d_fair"
    entry = package / "plugin.py"
    imports = "from probe4d import MetricSpec, MetricValue, hookimpl"
    assert imports in entry.read_text()
    more = imports.replace("MetricValue, ", "MetricValue, ReportPanelSpec, ")
    entry.write_text(entry.read_text().replace(imports, more) + PANEL_HOOK)
    (package / "panel.py").write_text(PANEL)
    run("pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target", "site", "./probe4d-fair")
    (home / "fair.toml").write_text(SUITE)
    return home, run


@pytest.fixture(scope="module")
def ran(author):
    """Return the author's folder, the command, and what the run printed."""
    home, run = author
    done = run("probe4d", "run", "fair.toml", "-o", "run", "--store", "store", "--workers", "1")
    return home, run, done.stdout


def test_the_plugin_and_the_suite_pass_their_checks_before_anything_runs(author):
    _, run = author
    assert "fair/fair" in run("probe4d", "list", "metrics").stdout
    assert "2 backbones, 1 tasks, 1 protocols" in run("probe4d", "suite", "validate", "fair.toml").stdout
    plan = json.loads(run("probe4d", "plan", "fair.toml", "--store", "store", "--json").stdout)
    assert (len(plan["cells"]), plan["problems"]) == (2, [])


def test_the_table_is_of_the_plugins_metric(ran):
    _, _, printed = ran
    assert "playroom-labels balanced_accuracy↑" in printed
    assert "relative_to_baseline(baseline=pixels)" in printed


def test_the_records_hold_the_metric_and_where_it_comes_from(ran):
    home, _, _ = ran
    files = sorted(home.glob("run/cells/*/record.json"))
    assert len(files) == 2
    for file in files:
        record = json.loads(file.read_text())
        assert record["primary"]["name"] == "balanced_accuracy"
        assert record["primary"]["ci95"]
        assert {"top1", "balanced_accuracy"} <= set(record["values"])
        used = {plugin["distribution"] for plugin in record["plugins"] if plugin["used"]}
        assert "probe4d-fair" in used
        samples = [json.loads(line) for line in (file.parent / "samples.jsonl").read_text().splitlines()]
        assert len(samples) == 12
        assert all("balanced_accuracy" in sample["values"] for sample in samples)


def test_the_report_has_the_plugins_section(ran):
    home, _, printed = ran
    page = home / "run/report.html"
    assert str(Path("run/report.html")) in printed
    text = page.read_text()
    assert "Classes forgotten" in text
    assert "pixels-again forgets" in text
    assert "balanced_accuracy" in text
    assert "relative_to_baseline(baseline=pixels)" in text


def test_the_predictions_score_again_by_the_plugins_metric(ran):
    home, run, _ = ran
    for file in home.glob("run/cells/*/record.json"):
        record = json.loads(file.read_text())
        answer = run(
            "probe4d", "score", "labels", "--predictions", str(file.parent / record["predictions"]),
            "--targets", f"run/{record['targets']}", "--metric", "fair/fair", "--json",
        )  # fmt: skip
        assert json.loads(answer.stdout)["values"]["balanced_accuracy"] == record["primary"]["value"]

"""The report in a real browser, from disk and without a network: it works, and looks as it should."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from probe4d_report.paper import write_paper
from probe4d_report.report import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on PATH (apt-get install chromium)"),
]

# Runs in the page after its own script; what it returns is written where --dump-dom shows it.
HOOK = """
window.addEventListener("load", function () {
  var found;
  try { found = (function () { %s })(); } catch (error) { found = { error: String(error) }; }
  if (window.parent !== window) { window.parent.postMessage(JSON.stringify(found), "*"); return; }
  var note = document.createElement("pre");
  note.id = "probe";
  note.textContent = JSON.stringify(found);
  document.body.appendChild(note);
});
"""
# A window of the browser is 500 pixels wide at least: a phone is a frame of its width.
PHONE_FRAME = """<!doctype html><body><iframe src="copy.html" width="%d" height="800" style="border:0"></iframe>
<pre id="probe"></pre><script>
addEventListener("message", function (event) { document.getElementById("probe").textContent = event.data; });
</script></body>"""


def ask(page: Path, script: str, tmp_path: Path, *, width: int = 1200, dark: bool = False) -> tuple[dict, list[str]]:
    """Open a copy of the page, run a script in it, and return its answer and the console's lines."""
    hook = HOOK % script
    digest = base64.b64encode(hashlib.sha256(hook.encode()).digest()).decode()
    text = page.read_text(encoding="utf-8")
    assert text.count("script-src 'sha256-") == 1  # the page allows its own script, the copy this one too
    text = text.replace("script-src 'sha256-", f"script-src 'sha256-{digest}' 'sha256-")
    copy = tmp_path / "copy.html"
    copy.write_text(text.replace("</body>", f"<script>{hook}</script></body>"), encoding="utf-8")
    opened = copy
    if width < 500:
        opened = tmp_path / "phone.html"
        opened.write_text(PHONE_FRAME % width, encoding="utf-8")
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-extensions",
        "--hide-scrollbars",
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--window-size={max(width, 500)},900",
        "--virtual-time-budget=3000",
        "--enable-logging=stderr",
        "--v=0",
        *(["--blink-settings=preferredColorScheme=0"] if dark else ["--blink-settings=preferredColorScheme=1"]),
        "--dump-dom",
        opened.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    answer = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, re.S)
    assert answer is not None, done.stderr[-2000:]
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(html.unescape(answer[1])), console


@pytest.fixture(scope="module")
def report_file(whole_run, tmp_path_factory):
    """The whole run's report, in a folder of its own."""
    return write_report(whole_run, tmp_path_factory.mktemp("browser") / "report.html")


LOOK = """
  var images = Array.from(document.querySelectorAll("img"));
  document.querySelectorAll("details").forEach(function (d) { d.open = true; });
  var style = getComputedStyle(document.body);
  function rgb(text) { return text.match(/[0-9.]+/g).slice(0, 3).map(Number); }
  function light(c) {
    var l = c.map(function (v) { v /= 255; return v <= 0.04045 ? v / 12.92 : Math.pow((v + 0.055) / 1.055, 2.4); });
    return 0.2126 * l[0] + 0.7152 * l[1] + 0.0722 * l[2];
  }
  function contrast(selector) {
    var a = light(rgb(getComputedStyle(document.querySelector(selector)).color)), b = light(rgb(style.backgroundColor));
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  }
  return {
    images: images.length,
    loaded: images.filter(function (i) { return i.complete && i.naturalWidth > 0; }).length,
    described: images.filter(function (i) { return i.alt; }).length,
    figures: document.querySelectorAll("svg.fig").length,
    drawn: Array.from(document.querySelectorAll("svg.fig")).filter(function (f) {
      return f.getBoundingClientRect().width > 0 && f.getAttribute("aria-label");
    }).length,
    width: document.documentElement.clientWidth,
    scroll: document.documentElement.scrollWidth,
    ground: light(rgb(style.backgroundColor)),
    contrast: ["h1", ".facts", ".note", "nav a", "td small", "figcaption"].map(contrast),
    toggle: document.getElementById("theme").textContent,
    problems: document.querySelectorAll(".problem").length,
    links: Array.from(document.querySelectorAll("nav a")).filter(function (a) {
      return document.getElementById(a.getAttribute("href").slice(1));
    }).length,
    sections: document.querySelectorAll("section").length
  };
"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_pictures_load_and_text_can_be_read(report_file, tmp_path, dark):
    found, console = ask(report_file, LOOK, tmp_path, dark=dark)
    assert console == []
    assert found["images"] == found["loaded"] == found["described"] > 20
    assert found["figures"] == found["drawn"] > 30
    assert found["problems"] == 0
    assert found["links"] == found["sections"] == 16
    assert min(found["contrast"]) >= 4.5  # WCAG AA
    assert (found["ground"] < 0.05) == dark
    assert found["toggle"] == ("Light" if dark else "Dark")


SORT = """
  var table = document.querySelector("table.results");
  function each(ask) { return Array.from(table.tBodies[0].rows).map(ask); }
  function names() { return each(function (r) { return r.cells[0].innerText.split("\\n")[0].trim(); }); }
  function values(k) { return each(function (r) { return r.cells[k].getAttribute("data-value"); }); }
  var handles = table.tHead.querySelectorAll("button");
  var before = names();
  handles[2].focus();
  var focused = document.activeElement === handles[2];
  handles[2].click();
  var up = values(2), first = table.tHead.rows[0].cells[2].getAttribute("aria-sort");
  handles[2].click();
  var down = values(2), second = table.tHead.rows[0].cells[2].getAttribute("aria-sort");
  handles[0].click();
  return { before: before, up: up, down: down, first: first, second: second, focused: focused, after: names(),
           other: table.tHead.rows[0].cells[2].getAttribute("aria-sort"), handles: handles.length,
           columns: table.tHead.rows[0].cells.length };
"""


def test_tables_sort_when_their_heads_are_pressed(report_file, tmp_path):
    found, console = ask(report_file, SORT, tmp_path)
    assert console == []
    up = [float(value) for value in found["up"]]
    assert up == sorted(up)
    assert [float(value) for value in found["down"]] == up[::-1]
    assert (found["first"], found["second"], found["other"]) == ("ascending", "descending", "none")
    assert found["focused"]
    assert found["handles"] == found["columns"]
    assert found["after"] == found["before"] == ["patch-colours", "4ds-s", "4ds-b"]


TOGGLE = """
  var grounds = [];
  var button = document.getElementById("theme");
  for (var i = 0; i < 3; i++) { grounds.push(getComputedStyle(document.body).backgroundColor); button.click(); }
  return { grounds: grounds, name: button.textContent };
"""


def test_the_button_turns_the_page_dark_and_back(report_file, tmp_path):
    found, console = ask(report_file, TOGGLE, tmp_path)
    assert console == []
    assert found["grounds"] == ["rgb(252, 252, 251)", "rgb(22, 22, 21)", "rgb(252, 252, 251)"]


PHONE = """
  document.querySelectorAll("details").forEach(function (d) { d.open = true; });
  var scrolled = Array.from(document.querySelectorAll(".scroll"));
  return {
    width: innerWidth,
    scroll: document.documentElement.scrollWidth,
    body: document.body.scrollWidth,
    over: scrolled.filter(function (e) { return e.scrollWidth > e.clientWidth; }).length,
    stuck: scrolled.filter(function (e) {
      return getComputedStyle(e).overflowX !== "auto" || e.tabIndex !== 0; }).length,
    tables: document.querySelectorAll(".scroll table").length,
    all: document.querySelectorAll("table").length
  };
"""


def test_nothing_hangs_over_the_edge_of_a_phone(report_file, tmp_path):
    found, console = ask(report_file, PHONE, tmp_path, width=390)
    assert console == []
    assert found["width"] == found["scroll"] == found["body"] == 390
    assert found["over"] > 0  # wide tables scroll in their own place, by keyboard too
    assert found["stuck"] == 0
    assert found["tables"] == found["all"] > 5


def test_hostile_names_run_nothing(made, tmp_path):
    name = '"><img src=x onerror=document.title=1><script>document.title=1</script>'
    backbone = made.Backbone(label=name[:60], name=name, params=10, noise=0.1)
    made.write_cell(tmp_path / "run", backbone, "labels", select_on=name)
    made.finish(tmp_path / "run", suite=name)
    file = write_report(tmp_path / "run")
    script = "return {title: document.title, images: document.querySelectorAll('img').length};"
    found, console = ask(file, script, tmp_path)
    assert console == []
    assert found["title"] == f"{name} – probe4d"
    assert found["images"] == 0


def test_the_papers_page_works_too(tmp_path):
    page = write_paper(tmp_path / "paper")[-1]
    script = """
      document.querySelector("table.sortable thead button").click();
      return {figures: Array.from(document.querySelectorAll(".wide > svg")).filter(function (f) {
                return f.getBoundingClientRect().width > 300; }).length,
              first: document.querySelector("table.sortable tbody tr").cells[0].textContent};
    """
    found, console = ask(page, script, tmp_path)
    assert console == []
    assert found == {"figures": 3, "first": "4DS-j"}

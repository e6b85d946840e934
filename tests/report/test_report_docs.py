"""What docs/report.md says is so: its plugin works as it stands, its commands print what they show."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys

import attrs
import pytest

from probe4d_report.view import RunView


@pytest.fixture(scope="module")
def document(repository):
    """The text of docs/report.md."""
    return (repository / "docs" / "report.md").read_text(encoding="utf-8")


@pytest.fixture
def site(document, tmp_path):
    """A folder with the document's plugin installed."""
    for name, code in re.findall(r"```python\n# (probe4d_hardest/\w+\.py)\n(.*?)```", document, re.S):
        file = tmp_path / "site" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(code)
    info = tmp_path / "site" / "probe4d_hardest-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: probe4d-hardest\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[probe4d]\nhardest = probe4d_hardest.plugin\n")
    return tmp_path / "site"


def probe4d(site, folder, *arguments):
    """Run a command in a process that sees the site."""
    return subprocess.run(
        [sys.executable, "-m", "probe4d", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(site)},
    )


def test_the_documents_plugin_adds_its_section(site, made, tmp_path):
    for backbone in made.THREE[1:]:
        made.write_cell(tmp_path / "run", backbone, "boxes")
    done = probe4d(site, tmp_path, "report", "run")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "run" / "report.html").read_text()
    section = re.search(r"Hardest samples <small>by hardest</small></h2>(.*?)</section>", text, re.S)
    assert section is not None
    assert "<h3>playroom-boxes: mean_iou</h3>" in section[1]
    values = [float(value) for value in re.findall(r'data-value="([^"]+)"', section[1])]
    assert len(values) == 3  # as its options say
    assert values == sorted(values)


def test_the_documents_plugin_passes_the_conformance_kit(site, tmp_path):
    done = probe4d(site, tmp_path, "plugins", "check", "probe4d-hardest")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_commands_print_what_the_document_shows(document, site, made, tmp_path):
    made.write_cell(tmp_path / "runs" / "playroom-quick", made.THREE[1], "labels")
    shown = re.findall(r"^\$ probe4d (.+)\n((?:(?!\$|```).+\n)+)", document, re.M)
    assert [command.split()[0] for command, _ in shown] == ["report", "paper"]
    for command, output in shown:
        assert probe4d(site, tmp_path, *command.split()).stdout == output


def test_every_public_name_of_the_view_is_in_the_document(document):
    public = {name for name, _ in inspect.getmembers(RunView) if not name.startswith("_")}
    public |= {field.name for field in attrs.fields(RunView) if not field.name.startswith("_")}
    table = document.partition("### What `run` offers")[2].partition("For figures there are")[0]
    named = set(re.findall(r"`(\w+)", table))
    assert public - {"pictures", "shown"} <= named  # those two are the limits
    assert {"At most 6 samples", "4 backbones"} <= set(re.findall(r"At most 6 samples|4 backbones", document))
    view = attrs.fields_dict(RunView)
    assert (view["pictures"].default, view["shown"].default) == (6, 4)

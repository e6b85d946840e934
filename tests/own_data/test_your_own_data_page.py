"""The page on one's own data shows what really comes out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from probe4d.suites import parse
from probe4d_datasets.own.splits import RULES, read_rule


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs/your-own-data.md").read_text(encoding="utf-8")


def test_the_programs_print_what_the_page_says(
    page: str, repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (repository / "samples/opencv-doc/box.mp4").exists():
        pytest.skip("no samples/opencv-doc; `make samples` brings it")
    monkeypatch.chdir(repository)
    pairs = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", page, re.DOTALL)
    assert len(pairs) == 2
    for program, output in pairs:
        exec(compile(program, "your-own-data.md", "exec"), {})
        assert capsys.readouterr().out == output


def test_the_suite_and_every_rule_of_the_page_are_accepted(page: str) -> None:
    (suite,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert set(parse(suite, "page").data["video-folder"]) == {"label", "rule", "windows", "train"}
    tables = re.findall(r"^\| `(\{by = .*?\})`", page, re.MULTILINE)
    assert len(tables) == len(RULES)
    for table in tables:
        read_rule(dict(parse(f'name = "x"\n[data.d]\nrule = {table}', "page").data["d"]["rule"]))

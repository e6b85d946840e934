"""The pages of the four datasets show what really comes out, and name every option."""

from __future__ import annotations

import inspect
import re
import shlex
from pathlib import Path

import pytest

from probe4d.cli import main
from probe4d.registry import find, load_target

NAMES = ("ssv2", "re10k", "perception_test", "scannet")


@pytest.fixture(params=NAMES)
def page(request: pytest.FixtureRequest, repository: Path) -> tuple[str, str]:
    return request.param, (repository / f"docs/datasets/{request.param}.md").read_text(encoding="utf-8")


def test_the_program_prints_what_the_page_says(page, repository, capsys, monkeypatch):
    monkeypatch.chdir(repository)
    ((program, output),) = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", page[1], re.DOTALL)
    exec(compile(program, f"{page[0]}.md", "exec"), {})
    assert capsys.readouterr().out == output


def test_the_commands_print_what_the_page_says(page, repository, tmp_path, capsys, monkeypatch):
    (tmp_path / "tests").symlink_to(repository / "tests")
    monkeypatch.chdir(tmp_path)
    shown = page[1].partition("## Look at it\n\n")[2].partition("```python")[0].rstrip()
    lines = [line.removeprefix("    ") for line in shown.splitlines()]
    commands = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    assert commands
    for number, end in zip(commands, [*commands[1:], len(lines)], strict=True):
        with pytest.raises(SystemExit):
            main(shlex.split(lines[number])[2:])
        out, err = capsys.readouterr()
        assert (out + err).splitlines() == lines[number + 1 : end]
    assert (tmp_path / f"{page[0]}.png").stat().st_size > 10_000


def test_the_page_names_every_option_its_default_and_the_licence(page):
    spec = find("datasets", page[0]).spec
    taken = inspect.signature(load_target(spec.target).__init__).parameters
    for name, parameter in taken.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            assert f"`{name}`" in page[1], name
            if isinstance(parameter.default, str):
                assert f'"{parameter.default}"' in page[1], name
    for split in spec.splits:
        assert split in page[1]
    assert "Licence and access" in page[1]

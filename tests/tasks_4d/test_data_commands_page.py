"""The page on the data commands shows what really comes out."""

from __future__ import annotations

import re
import shlex
import warnings

import pytest
from click.testing import CliRunner

from probe4d.commands import data
from probe4d.commands import score as score_command

COMMANDS = {"data": data.command, "score": score_command.command}
BLOCK = re.compile(r"```console\n(.*?)```|```python\n(.*?)```\n\n```text\n(.*?)```", re.DOTALL)


def run(line: str) -> str:
    name, *arguments = shlex.split(line.replace('["points"]', "'[\"points\"]'"))[1:]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        done = CliRunner().invoke(COMMANDS[name], arguments)
    assert done.exit_code in (0, 1), done.output
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.stdout


def outcomes(page: str, capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str]]:
    """Return what each block shows and what really comes out, in their order."""
    found = []
    for console, program, output in BLOCK.findall(page):
        if program:
            exec(compile(program, "data-commands.md", "exec"), {})
            found.append((output, capsys.readouterr().out))
        else:
            lines = [line[2:] for line in console.splitlines() if line.startswith("$ ")]
            found.append((console, "".join(f"$ {line}\n{run(line)}" for line in lines)))
    return found


def test_the_commands_print_what_the_page_says(repository, tmp_path, monkeypatch, capsys):
    (tmp_path / "tests").symlink_to(repository / "tests")
    monkeypatch.chdir(tmp_path)
    page = (repository / "docs/data-commands.md").read_text(encoding="utf-8")
    found = outcomes(page, capsys)
    assert len(found) == 7
    for stated, real in found:
        assert stated == real

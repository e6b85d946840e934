"""The page on scoring shows what the commands really print."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
from pathlib import Path

BLOCK = re.compile(r"^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEX = re.compile(r"[0-9a-f]{64}")


def console(block):
    """Yield each command of a block with what is shown below it."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown


def test_every_command_prints_what_the_page_shows(repository, tmp_path, monkeypatch, run):
    page = (repository / "docs" / "score.md").read_text()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUD", str(Path(importlib.util.find_spec("motmetrics").origin).parent / "data"))
    shown_commands = 0
    for language, block in BLOCK.findall(page):
        if language == "python":
            exec(compile(block, "docs/score.md", "exec"), {})
            continue
        for command, shown in console(block):
            words = shlex.split(os.path.expandvars(command))
            if words[:2] != ["probe4d", "score"]:
                continue
            ran = run(*words[2:])
            assert HEX.sub("<sha256>", ran.out + ran.err) == HEX.sub("<sha256>", shown), command
            shown_commands += 1
    assert shown_commands == 8

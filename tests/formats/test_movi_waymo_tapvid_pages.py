"""The pages of MOVi, Waymo and TAP-Vid show what really comes out, and name every option."""

from __future__ import annotations

import inspect
import re
import shlex
from pathlib import Path

import pytest

from probe4d.cli import main
from probe4d.registry import find, load_target

PAGES = {"movi_e": ("movi_e", "panning_movi_e"), "waymo": ("waymo",), "tapvid": ("tapvid_davis", "tapvid_kinetics")}


@pytest.fixture(params=PAGES)
def page(request: pytest.FixtureRequest, repository: Path) -> tuple[str, str]:
    """Return the name and the text of a page."""
    return request.param, (repository / f"docs/datasets/{request.param}.md").read_text(encoding="utf-8")


def test_the_program_of_a_page_prints_what_it_says(
    page: tuple[str, str], repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow", reason="Waymo v2 is parquet")
    monkeypatch.chdir(repository)
    ((program, output),) = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", page[1], re.DOTALL)
    exec(compile(program, f"{page[0]}.md", "exec"), {})
    assert capsys.readouterr().out == output


def test_the_commands_of_a_page_print_what_it_says(
    page: tuple[str, str],
    repository: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "tests").symlink_to(repository / "tests")
    monkeypatch.chdir(tmp_path)
    shown = page[1][page[1].index("## Look at it") : page[1].index("```python")].splitlines()[2:-1]
    lines = [line.removeprefix("    ") for line in shown]
    commands = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    assert len(commands) == 2
    for number, end in zip(commands, [*commands[1:], len(lines)], strict=True):
        with pytest.raises(SystemExit):
            main(shlex.split(lines[number])[2:])
        out, err = capsys.readouterr()
        assert (out + err).rstrip().splitlines() == lines[number + 1 : end]
    assert (tmp_path / f"{page[0]}.png").stat().st_size > 10_000


def test_a_page_names_every_option_its_default_and_the_licence(page: tuple[str, str]) -> None:
    for name in PAGES[page[0]]:
        spec = find("datasets", name).spec
        taken = inspect.signature(load_target(spec.target).__init__).parameters
        for option, parameter in taken.items():
            if parameter.kind is parameter.KEYWORD_ONLY:
                assert f"`{option}`" in page[1], option
                if isinstance(parameter.default, str):
                    assert f'"{parameter.default}"' in page[1], option
        for split in spec.splits:
            assert f"`{split}`" in page[1]
        assert f"`{name}`" in page[1]
    assert "Licence and access" in page[1]

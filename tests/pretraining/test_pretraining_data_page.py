"""The page on data for pretraining shows what really comes out, and names every option."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import attrs
import pytest

from probe4d_datasets.pretraining import ClipData
from probe4d_datasets.pretraining.manifest import ManifestOptions
from probe4d_datasets.pretraining.mix import MixOptions
from probe4d_datasets.pretraining.playroom import PlayroomOptions
from probe4d_datasets.pretraining.webdataset import ShardOptions


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs/pretraining-data.md").read_text(encoding="utf-8")


def test_the_program_prints_what_the_page_says(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("grain")
    ((program, output),) = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", page, re.DOTALL)
    exec(compile(program, "pretraining-data.md", "exec"), {})
    assert capsys.readouterr().out == output


def test_the_configuration_of_the_page_is_accepted(page: str) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    data = ClipData(**tomllib.loads(text)["data"])
    assert [part.repeat for part in MixOptions(**data.options).parts] == [1, 50]


@pytest.mark.parametrize("options", [ManifestOptions, ShardOptions, PlayroomOptions, MixOptions])
def test_every_option_is_on_the_page(page: str, options: type) -> None:
    assert not [a.name for a in attrs.fields(options) if f"`{a.name}`" not in page]


def test_the_commands_of_the_page_run(page: str, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("grain")
    from click.testing import CliRunner

    from probe4d_datasets.pretraining.__main__ import main

    commands = re.findall(r"^    \$ python -m probe4d_datasets\.pretraining (.*)$", page, re.MULTILINE)
    assert len(commands) == 2
    small = commands[0].replace("12000", "2").replace("--batches 100", "--batches 2")
    shown = CliRunner().invoke(main, small)
    assert shown.exit_code == 0
    assert re.search(
        r"^64 clips of 16 x 64 x 64 in [\d.]+ s: [\d.]+ clips/s\n[\d.]+ ms of one core a clip",
        shown.output,
        re.MULTILINE,
    )


def test_the_program_says_what_is_wrong(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from probe4d_datasets.pretraining.__main__ import main

    shown = CliRunner().invoke(main, [str(tmp_path / "none")])
    assert shown.exit_code == 4
    assert "expected a folder" in shown.output

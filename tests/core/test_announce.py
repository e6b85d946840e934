"""The hook that logging and tracking plugins listen to."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from probe4d import registry as registry_module
from probe4d.announce import announce

PAGE = Path(__file__).parents[2] / "docs/write-a-plugin.md"


def listener() -> str:
    """Return the example of the page, as a plugin author would copy it."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    (found,) = [block for block in blocks if "probe4d_on_record" in block]
    return found


BROKEN = """
from probe4d import hookimpl

@hookimpl
def probe4d_on_record(record):
    raise RuntimeError("no connection")
"""


@pytest.fixture
def loaded(site, monkeypatch):
    def load():
        built = registry_module.build(site.load())
        monkeypatch.setattr("probe4d.announce.registry", lambda: built)

    return load


def test_every_listener_gets_the_record_even_when_one_fails(site, loaded, tmp_path, monkeypatch, caplog):
    file = tmp_path / "records.jsonl"
    monkeypatch.setenv("RECORDS_FILE", str(file))
    site.add("alpha", BROKEN)
    site.add("beta", listener())
    loaded()
    failed = announce({"cell": "4ds-s/points", "value": 0.5})
    assert [json.loads(line) for line in file.read_text().splitlines()] == [{"cell": "4ds-s/points", "value": 0.5}]
    assert failed == ["plugin alpha: probe4d_on_record: RuntimeError: no connection"]
    assert "no connection" in caplog.text


def test_without_listeners_nothing_happens(loaded):
    loaded()
    assert announce({}) == []

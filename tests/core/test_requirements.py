"""Whether a requirement is met, without importing what it names."""

from __future__ import annotations

import importlib.metadata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe4d.requirements import unmet


@pytest.mark.parametrize(
    ("requirement", "met"),
    [
        ("thing", True), ("Thing", True), ("thing>=2.4", True), ("thing>=2.13", True), ("thing>=2.13.1", False),
        ("thing>=2.4,<3", True), ("thing<2.13", False), ("thing==2.13", True), ("thing==2.13.0", True),
        ("thing==2.*", True), ("thing==3.*", False), ("thing!=2.13.0", False), ("thing~=2.4", True),
        ("thing~=2.4.0", False), ("thing[extra]>=2", True), ("thing > 1", True), ("absent", False),
        ("absent>=0", False),
        ("thing>=two", False), ("", False), ("thing>=2;python_version<'3'", False),
    ],
)  # fmt: skip
def test_a_requirement_is_compared_by_release_numbers(requirement, met, monkeypatch):
    def version(name: str) -> str:
        if name.lower() != "thing":
            raise importlib.metadata.PackageNotFoundError(name)
        return "2.13.0+cpu"

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert unmet([requirement]) == ([] if met else [requirement])


@given(st.text())
def test_any_text_is_met_or_not_and_never_an_error(text):
    assert unmet([text]) in ([], [text])

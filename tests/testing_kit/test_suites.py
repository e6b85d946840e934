"""A suite file says what it means, or is refused with the place and the nearest word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe4d.errors import UsageError
from probe4d.suites import Suite, load, parse

WHOLE = """
name = "quick"
summary = "Two tasks."
backbones = ["4ds-b"]
tasks = ["points", "mine/depth"]
protocols = ["frozen-quick"]
layers = [0.95, 12]
aggregates = ["mean_rank"]
[overrides.points]
steps = 10
"""


def test_every_key_is_read():
    suite = parse(WHOLE, "suite.toml")
    assert suite == Suite(
        name="quick",
        summary="Two tasks.",
        backbones=("4ds-b",),
        tasks=("points", "mine/depth"),
        protocols=("frozen-quick",),
        layers=(0.95, 12),
        aggregates=("mean_rank",),
        overrides={"points": {"steps": 10}},
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('name = "x"\ntask = []', "Did you mean 'tasks'"),
        ("tasks = []", "expected a name"),
        ("name = 7", "name: expected text, got 7"),
        ('name = "x"\ntasks = "points"', "tasks: expected a list of names, got 'points'"),
        ('name = "x"\ntasks = [1]', "tasks: expected a list of names, got [1]"),
        ('name = "x"\ntasks = [""]', "tasks: expected a list of names, got ['']"),
        ('name = "x"\nlayers = [0.0]', "layers: expected depths"),
        ('name = "x"\nlayers = [0]', "layers: expected depths"),
        ('name = "x"\nlayers = [true]', "layers: expected depths"),
        ('name = "x"\nlayers = 0.5', "layers: expected depths"),
        ('name = "x"\noverrides = 3', "overrides: expected a table"),
        ('name = "x"\n[overrides]\npoints = 3', "overrides: expected a table"),
        ("name = ", "expected TOML"),
    ],
)
def test_what_a_suite_does_not_have_is_refused_with_the_file_and_the_reason(text, words):
    with pytest.raises(UsageError) as caught:
        parse(text, "my/suite.toml")
    assert str(caught.value).startswith("my/suite.toml: ")
    assert words in str(caught.value)


def test_a_file_is_read_from_disk(tmp_path):
    (tmp_path / "suite.toml").write_text(WHOLE)
    assert load(tmp_path / "suite.toml").name == "quick"


@pytest.mark.parametrize("source", ["no/such/file.toml", "no_such_package:suite.toml", "probe4d:no/such.toml"])
def test_a_file_that_is_not_there_is_refused(source):
    with pytest.raises(UsageError, match="expected a suite file"):
        load(source)


def test_a_file_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "suite.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="UTF-8"):
        load(tmp_path / "suite.toml")


@given(st.text())
def test_any_text_is_a_suite_or_a_usage_error(text):
    try:
        suite = parse(text, "suite.toml")
    except UsageError:
        return
    assert suite.name is not None


@given(
    st.dictionaries(
        st.sampled_from(["name", "tasks", "layers", "overrides", "summary"]),
        st.sampled_from(
            ['"x"', "[]", "{}", "1", "0.5", "[1]", "[0.5]", '["x"]', "true", "1979-05-27", "nan", "[nan]", "inf"]
        ),
    )
)
def test_any_values_are_a_suite_or_a_usage_error(content):
    text = "\n".join(f"{key} = {value}" for key, value in content.items())
    said = ""
    try:
        parse(text, "suite.toml")
    except UsageError as error:
        said = str(error)
    assert not said or said.startswith("suite.toml: ")

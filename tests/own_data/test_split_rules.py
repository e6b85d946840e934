"""Which items, and which of their frames, belong to a split."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe4d.errors import DataError, UsageError
from probe4d_datasets.own.parts import Windows
from probe4d_datasets.own.root import Root
from probe4d_datasets.own.splits import ByFraction, ByTime, read_rule

ITEMS = [f"{folder}/v{i}.mp4" for folder in ("train", "val") for i in range(50)]
HERE = Root(".")


def test_by_folder_takes_the_first_folder_under_its_own_or_another_name() -> None:
    rule = read_rule({"by": "folder"})
    assert rule.select("val", ITEMS, HERE) == ITEMS[50:]
    assert read_rule({"by": "folder", "folders": {"test": "val"}}).select("test", ITEMS, HERE) == ITEMS[50:]
    with pytest.raises(
        DataError, match=r"expected a folder 'vall' for the split 'vall', got train, val\. Did you mean"
    ):
        rule.select("vall", ITEMS, HERE)


def test_by_list_takes_the_items_of_the_list_in_its_order(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/val.txt").write_text("# mine\nb c.mp4\n\na.mp4\n", encoding="utf-8")
    rule = read_rule({"by": "list", "files": {"val": "lists/val.txt", "bad": "../x.txt", "none": "no.txt"}})
    root = Root(str(tmp_path))
    assert rule.select("val", ITEMS, root) == ["b c.mp4", "a.mp4"]
    with pytest.raises(UsageError, match=r"split: expected val, bad, none, got 'vla'\. Did you mean 'val'"):
        rule.select("vla", ITEMS, root)
    with pytest.raises(DataError, match="expected paths inside the root"):
        rule.select("bad", ITEMS, root)
    with pytest.raises(DataError, match="expected a readable file"):
        rule.select("none", ITEMS, root)
    (tmp_path / "lists/val.txt").write_text("a.mp4\na.mp4\n")
    with pytest.raises(DataError, match=r"expected each item once, got \['a.mp4'\]"):
        rule.select("val", ITEMS, root)


@given(st.sets(st.text("abc/", min_size=1), max_size=40), st.integers(0, 9))
def test_by_fraction_gives_every_item_to_one_split_whatever_else_is_there(items: set[str], seed: int) -> None:
    rule = ByFraction(parts={"train": 0.5, "val": 0.5}, seed=seed)
    chosen = {split: set(rule.select(split, sorted(items), HERE)) for split in ("train", "val")}
    assert chosen["train"] | chosen["val"] == items
    assert not chosen["train"] & chosen["val"]
    assert all(rule.select("train", [item], HERE) == [item] for item in chosen["train"])


def test_by_fraction_keeps_the_shares_and_depends_on_the_seed() -> None:
    items = [f"v{i}" for i in range(4000)]
    rule = ByFraction(parts={"train": 0.7, "val": 0.1})
    assert len(rule.select("train", items, HERE)) == pytest.approx(2800, abs=120)
    assert len(rule.select("val", items, HERE)) == pytest.approx(400, abs=80)
    assert rule.select("val", items, HERE) != ByFraction(parts=rule.parts, seed=1).select("val", items, HERE)


@given(st.integers(1, 5000), st.lists(st.floats(0, 1), min_size=4, max_size=4, unique=True))
def test_by_time_splits_share_no_frame_and_keep_their_distance(length: int, edges: list[float]) -> None:
    a, b, c, d = sorted(edges)
    rule = ByTime(spans={"val": [c, d], "train": [a, b]})
    first, second = rule.span("train", length), rule.span("val", length)
    assert 0 <= first[0] <= first[1] <= second[0] <= second[1] <= length
    assert second[0] - first[1] >= (c - b) * length - 1


def test_by_time_spans_are_shares_of_each_item() -> None:
    rule = read_rule({"by": "time", "spans": {"train": [0, 0.6], "val": [0.7, 1]}})
    assert (rule.span("train", 100), rule.span("val", 100)) == ((0, 60), (70, 100))
    assert (rule.span("train", 7), rule.span("val", 7)) == ((0, 4), (5, 7))
    assert ByTime(spans={"a": [0, 0.5], "b": [0.5, 1]}).span("b", 9) == (4, 9)
    with pytest.raises(UsageError, match=r"split: expected train, val, got 'vall'\. Did you mean 'val'"):
        rule.select("vall", ITEMS, HERE)


def test_the_order_of_a_table_means_nothing() -> None:
    one, other = ({"train": 0.5, "dev": 0.2, "val": 0.3}, {"val": 0.3, "dev": 0.2, "train": 0.5})
    for split in one:
        assert ByFraction(parts=one).select(split, ITEMS, HERE) == ByFraction(parts=other).select(split, ITEMS, HERE)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (None, "expected a table with by = folder | list"),
        ({"parts": {}}, "expected a table with by"),
        ({"by": "fold"}, r"rule\.by: expected folder, .* got 'fold'\. Did you mean 'folder'"),
        (
            {"by": "fraction", "part": {}},
            r"rule \(by fraction\): expected parts, seed, got 'part'\. Did you mean",
        ),
        ({"by": "fraction"}, "expected 'parts' to be stated"),
        ({"by": "fraction", "parts": {"a": 0.9, "b": 0.2}}, r"rule \(by fraction\)\.parts: expected split = share"),
        ({"by": "fraction", "parts": {"a": -1}}, "above 0"),
        ({"by": "fraction", "parts": {}}, "above 0"),
        ({"by": "fraction", "parts": {"a": True}}, "above 0"),
        ({"by": "fraction", "parts": {"a": 0.5}, "seed": 1.5}, r"seed: expected an integer, got 1\.5"),
        ({"by": "time", "spans": {"a": [0, 0.6], "b": [0.5, 1]}}, "shares from 0 to 1 that do not overlap"),
        ({"by": "time", "spans": {"a": [0.6, 0.2]}}, r"rule \(by time\)\.spans: expected split = \[start, stop\]"),
        ({"by": "time", "spans": {"a": [0, 1.5]}}, "shares from 0 to 1"),
        ({"by": "time", "spans": {"a": 0.5}}, "shares from 0 to 1"),
        ({"by": "time", "spans": {"a": [0, True]}}, "shares from 0 to 1"),
        ({"by": "time", "spans": {}}, "shares from 0 to 1"),
        ({"by": "time", "parts": {"a": 0.6}}, "expected spans, got 'parts'"),
        ({"by": "list", "files": {"a": 3}}, "files: expected a table of split = text"),
    ],
)
def test_a_rule_that_is_not_right_says_what_is(table: object, message: str) -> None:
    with pytest.raises(UsageError, match=message.replace(" | ", r" \| ")):
        read_rule(table)


def test_windows_overlap_or_not_and_never_reach_beyond() -> None:
    assert list(Windows(frames=16).cut(10, 45)) == [(10, 26), (26, 42)]
    assert list(Windows(frames=16, every=8).cut(0, 32)) == [(0, 16), (8, 24), (16, 32)]
    assert list(Windows(frames=16).cut(0, 15)) == []
    for wrong in ({"frames": 0}, {"frames": 2.5}, {"frames": 4, "every": 0}):
        with pytest.raises(UsageError, match="expected an integer of at least 1"):
            Windows(**wrong)


def test_a_rule_reads_from_json_as_from_toml() -> None:
    table = json.loads('{"by": "fraction", "parts": {"train": 0.8, "val": 0.2}, "seed": 3}')
    assert read_rule(table) == ByFraction(parts={"train": 0.8, "val": 0.2}, seed=3)
    assert read_rule(read_rule(table)) == read_rule(table)

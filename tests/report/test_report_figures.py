"""Figures stand on numbers: scales, radar, correlations, PNG."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from probe4d_report.axes import count_text, number_text, scale_of
from probe4d_report.charts import Level, Series, chart
from probe4d_report.correlations import correlations
from probe4d_report.png import data_uri, palette_png, rgb_png
from probe4d_report.radar import Outline, goodness, radar, rescaled
from probe4d_report.svg import el, standalone


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=6),
    st.booleans(),
)
def test_a_scale_holds_its_values_and_its_ticks(values, flipped):
    start, end = (200.0, 20.0) if flipped else (20.0, 200.0)
    scale = scale_of(values, start, end)
    assert all(20 <= scale(value) <= 200 for value in values)
    ticks = scale.ticks()
    assert 1 <= len(ticks) <= 8
    assert all(20 - 1e-6 <= scale(tick) <= 200 + 1e-6 for tick in ticks)


def test_a_logarithmic_scale_puts_decades_at_equal_distances():
    scale = scale_of([1e6, 1e10], 0.0, 100.0, log=True)
    places = [scale(10.0**k) for k in range(6, 11)]
    assert np.allclose(np.diff(places), places[1] - places[0])
    with pytest.raises(ValueError, match="expected positive ones for a logarithmic scale, got 0"):
        scale_of([0.0, 1.0], 0.0, 1.0, log=True)
    with pytest.raises(ValueError, match="expected at least one that is finite"):
        scale_of([float("nan")], 0.0, 1.0)


@pytest.mark.parametrize(
    ("count", "text"), [(22_485_888, "22.5M"), (1_846_529_664, "1.85B"), (21_493_977_088, "21.5B"), (640, "640")]
)
def test_counts_are_short(count, text):
    assert count_text(count) == text


def test_ticks_are_as_short_as_exact():
    assert [number_text(v) for v in (0.0, 0.25, 1500.0, 0.0002, 300000.0)] == ["0", "0.25", "1500", "2e-4", "3e5"]


def test_an_error_of_nothing_is_100_and_of_much_is_0():
    assert goodness(0.0, higher_is_better=False) == 100
    assert goodness(1.0, higher_is_better=False) == pytest.approx(100 * 2 / (1 + np.e))
    assert goodness(1e6, higher_is_better=False) == 0  # and does not overflow
    assert goodness(0.25, higher_is_better=True) == 25


def test_spokes_run_from_the_worst_shown_to_the_best():
    found = rescaled({"a": 0.9, "b": 0.1, "c": 0.5}, higher_is_better=True)
    assert found == {"a": 1.0, "b": 0.3, "c": pytest.approx(0.65)}
    assert rescaled({"a": 0.9, "b": 0.1}, higher_is_better=False) == {"a": 0.3, "b": 1.0}
    assert rescaled({"a": 0.5, "b": 0.5}, higher_is_better=True) == {"a": 1.0, "b": 1.0}


def test_the_best_outline_reaches_the_rim_of_every_spoke():
    ways = {"one": True, "two": False, "three": True}
    best = Outline(label="best", values={"one": 0.9, "two": 0.1, "three": 0.8}, colour="red")
    worst = Outline(label="worst", values={"one": 0.1, "two": 0.9, "three": 0.2}, colour="blue")
    text = radar([best, worst], ways, label="x")
    rings = re.findall(r'<path d="([^"]+)" class="grid"/>', text)
    outlines = re.findall(r'<path d="([^"]+)" style="fill:(red|blue)', text)
    places = {colour: shape for shape, colour in outlines}
    assert places["red"] == rings[2]
    assert places["blue"] == rings[0]


@given(st.integers(2, 5), st.integers(3, 20), st.integers(0, 1000))
def test_correlations_are_those_of_numpy_with_errors_negated(tasks, models, seed):
    values = np.random.default_rng(seed).normal(size=(tasks, models))
    ways = {str(i): i % 2 == 0 for i in range(tasks)}
    found = correlations({str(i): list(row) for i, row in enumerate(values)}, ways)
    signs = np.array([1 if ways[str(i)] else -1 for i in range(tasks)])
    assert np.allclose(found, np.corrcoef(values * signs[:, None]))


def test_a_constant_task_correlates_with_nothing():
    found = correlations({"a": [1.0, 2.0, 3.0], "b": [0.5, 0.5, 0.5]}, {"a": True, "b": True})
    assert np.isnan(found[0, 1])
    assert found[0, 0] == pytest.approx(1)


def test_a_chart_has_a_mark_per_point_and_says_its_value():
    one = Series(label="mine", points=[(1.0, 0.25), (2.0, 0.5)], colour="red", intervals={1.0: (0.2, 0.3)})
    text = chart([one], title="t", x_label="x", levels=[Level(label="floor", value=0.1, colour="blue")], label="l")
    assert re.findall(r"<title>([^<]+)</title>", text) == ["floor: 0.1", "mine: 0.25 [0.2, 0.3]", "mine: 0.5"]
    assert 'role="img" aria-label="l"' in text


def test_text_cannot_leave_its_element():
    assert el("text", "<b>&", x=1.0, class_='"><script>') == (
        '<text x="1" class="&#34;&gt;&lt;script&gt;">&lt;b&gt;&amp;</text>'
    )


def test_a_figure_of_its_own_is_wellformed_and_brings_its_colours():
    import xml.etree.ElementTree as tree

    whole = standalone(
        chart([Series(label="<a>", points=[(1.0, 1.0)], colour="var(--s1)")], title="&", x_label="", label='"<')
    )
    root = tree.fromstring(whole)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.get("aria-label") == '"<'
    assert "--s1:" in root.find("{http://www.w3.org/2000/svg}style").text


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 99))
def test_pictures_are_read_back_by_pillow_bit_for_bit(height, width, seed):
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (height, width, 3), np.uint8)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(rgb_png(pixels)))), pixels)
    indices = random.integers(0, 3, (height, width), np.uint8)
    palette = [(0, 0, 0), (10, 20, 30), (255, 0, 128)]
    image = Image.open(io.BytesIO(palette_png(indices, palette, transparent=True))).convert("RGBA")
    found = np.asarray(image)
    assert np.array_equal(found[..., :3][indices > 0], np.array(palette, np.uint8)[indices[indices > 0]])
    assert np.array_equal(found[..., 3] == 0, indices == 0)


def test_pictures_of_other_arrays_are_refused():
    with pytest.raises(ValueError, match=r"expected \(h, w, 3\) uint8"):
        rgb_png(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="expected less than 2, got 7"):
        palette_png(np.full((2, 2), 7, np.uint8), [(0, 0, 0)] * 2)
    with pytest.raises(ValueError, match=r"expected \(h, w\) uint8"):
        palette_png(np.zeros((2, 2, 1), np.uint8), [(0, 0, 0)])
    assert data_uri(b"abc") == "data:image/png;base64,YWJj"

"""Colours by name, each a CSS variable with a light and a dark value; page and figures share them."""

from __future__ import annotations

__all__ = ["css_variables", "ramp", "series_colour"]

# Neighbours stay apart for colour-blind eyes, on both grounds; the order is part of that.
LIGHT = ("#2a78d6", "#eb6834", "#1baf7a", "#eda100", "#4a3aa7", "#e34948", "#e87ba4", "#008300")
DARK = ("#3987e5", "#d95926", "#199e70", "#c98500", "#9085e9", "#e66767", "#d55181", "#4ba34b")
GROUND = {
    "page": ("#fcfcfb", "#161615"),
    "raised": ("#ffffff", "#1f1f1d"),
    "ink": ("#12120f", "#f4f3ee"),
    "soft": ("#52514e", "#c3c2b7"),
    "muted": ("#6d6b64", "#9c9a91"),
    "line": ("#e4e3dc", "#33332f"),
    "axis": ("#b9b8ae", "#55544e"),
    "accent": ("#1c5fae", "#7db4f2"),
    "good": ("#e8f1fb", "#1d2f45"),
    "bad": ("#b3261e", "#f2928b"),
    "badbg": ("#fbeceb", "#3a1f1d"),
}

# A sequential ramp from dark blue to pale yellow, even in lightness.
ANCHORS = ("#0d1b4c", "#173f78", "#1d6a8c", "#2b948c", "#5dba7c", "#a9d86a", "#f4ee9a")


def series_colour(number: int) -> str:
    """Return the colour of the n-th series, as CSS; they repeat after eight."""
    return f"var(--s{number % len(LIGHT) + 1})"


def css_variables() -> str:
    """Return the rules that define every colour, dark where the reader or the toggle says so."""
    sides = []
    for side in (0, 1):
        named = [f"--{name}:{pair[side]}" for name, pair in GROUND.items()]
        series = [f"--s{i}:{colour}" for i, colour in enumerate((LIGHT, DARK)[side], 1)]
        sides.append(";".join([*named, *series, f"color-scheme:{('light', 'dark')[side]}"]))
    light, dark = sides
    return (
        f":root{{{light}}}"
        f'@media(prefers-color-scheme:dark){{:root:not([data-theme="light"]){{{dark}}}}}'
        f':root[data-theme="dark"]{{{dark}}}'
    )


def ramp(size: int) -> list[tuple[int, int, int]]:
    """Return so many colours, near (dark) to far (pale), 8 bits a channel."""
    stops = [tuple(int(text[i : i + 2], 16) for i in (1, 3, 5)) for text in ANCHORS]
    colours = []
    for i in range(size):
        place = i / max(1, size - 1) * (len(stops) - 1)
        k = min(int(place), len(stops) - 2)
        red, green, blue = (round(a + (b - a) * (place - k)) for a, b in zip(stops[k], stops[k + 1], strict=True))
        colours.append((red, green, blue))
    return colours

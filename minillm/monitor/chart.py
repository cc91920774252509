"""One time series as a picture: SVG text, which a page holds without any library.

In: series over windows, each value with its interval; planted events. Out: a figure. One unit of
the picture is about one pixel on a phone, so its words stay readable there.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 360, 200
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 20, 40
COLOURS = {
    "data": "#0072B2", "model": "#D55E00", "reference": "#555555", "good": "#009E73",
    "wrong": "#B0467F", "highlight": "#E69F00", "muted": "#BBBBBB",
}  # fmt: skip


# package only
@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """A curve over the windows: a name, values, intervals, and a colour (or one for each point)."""

    name: str
    values: Sequence[float | None]
    intervals: Sequence[tuple[float | None, float | None]] = ()
    colour: str = "data"
    point_colours: Sequence[str] = ()
    is_step: bool = False


# package only
@dataclass(frozen=True, slots=True)
class Scale:
    """From window numbers (0: the reference) and values to places in a picture."""

    num_windows: int
    top: float

    def x(self, window: float) -> float:
        """The middle of a window's column."""
        return LEFT + (window + 0.5) * (WIDTH - LEFT - RIGHT) / (self.num_windows + 1)

    def y(self, value: float) -> float:
        """The height of a value; 0 lies at the bottom, `top` above."""
        return HEIGHT - BOTTOM - min(value, self.top) / self.top * (HEIGHT - TOP - BOTTOM)


# package only
def short(value: float | None) -> str:
    """A number in three digits, or a dash."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


# package only
def round_top(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, … that is not below."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9))


# package only
def text(x: float, y: float, words: str, anchor: str = "middle", colour: str = "reference") -> str:
    """Words in a picture."""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} fill="{COLOURS[colour]}">{escape(words)}</text>'


# package only
def frame(scale: Scale, unit: str, planted: Sequence[str]) -> list[str]:
    """Bands for planted events, the axes and their words."""
    parts, column = [], scale.x(1) - scale.x(0)
    for window, event in enumerate(planted, start=1):
        if event and event != "calm":
            x = scale.x(window) - column / 2 + 1
            size = f'y="{TOP}" width="{column - 2:.1f}" height="{HEIGHT - TOP - BOTTOM}"'
            parts.append(f'<rect x="{x:.1f}" {size} fill="{COLOURS["highlight"]}" opacity=".18"/>')
            parts.append(text(scale.x(window), TOP - 8, event))
    for value in (0.0, scale.top / 2, scale.top):
        y = scale.y(value)
        ends = f'x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"'
        parts.append(f'<line {ends} stroke="#ddd"/>' + text(LEFT - 5, y + 4, short(value), "end"))
    every = max(1, math.ceil((scale.num_windows + 1) / 8))
    for window in range(0, scale.num_windows + 1, every):
        words = "ref." if window == 0 else str(window)
        parts.append(text(scale.x(window), HEIGHT - BOTTOM + 14, words))
    parts.append(text(WIDTH - RIGHT, HEIGHT - 6, "window", "end"))
    return [*parts, text(4, HEIGHT - 6, unit, "start")]


# package only
def curve(scale: Scale, series: Series) -> list[str]:
    """One series: intervals as bars, a line through the values that are there, points."""
    parts, colour = [], COLOURS[series.colour]
    for window, (low, high) in enumerate(series.intervals):
        if low is None and high is None:
            continue
        ends = [scale.y(scale.top if high is None else high), scale.y(low or 0)]
        place = f'x1="{scale.x(window):.1f}" x2="{scale.x(window):.1f}"'
        bar = f'y1="{ends[0]:.1f}" y2="{ends[1]:.1f}" stroke="{colour}"'
        parts.append(f'<line {place} {bar} stroke-width="5" opacity=".25"/>')
    placed = [
        (window, scale.x(window), scale.y(value))
        for window, value in enumerate(series.values) if value is not None
    ]
    half = (scale.x(1) - scale.x(0)) / 2
    sides = (-half, half) if series.is_step else (0,)
    points = [f"{x + side:.1f},{y:.1f}" for _, x, y in placed for side in sides]
    dash = ' stroke-dasharray="4 3"' if series.is_step else ""
    line = f'fill="none" stroke="{colour}" stroke-width="1.5"{dash}'
    parts.append(f'<polyline points="{" ".join(points)}" {line}/>')
    for window, x, y in placed if not series.is_step else ():
        fill = COLOURS[series.point_colours[window]] if series.point_colours else colour
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{fill}"/>')
    return parts


# package only
def chart(title: str, unit: str, series: Sequence[Series], planted: Sequence[str]) -> str:
    """A picture with its caption; the series' names stand in their colours below it."""
    values = [value for each in series for value in each.values if value is not None]
    bounds = [b for each in series for pair in each.intervals for b in pair if b is not None]
    # an interval that is far wider than all values may leave the picture
    reach = min(max(bounds, default=0), 2 * max(values, default=1))
    scale = Scale(len(planted), round_top(1.05 * max([*values, reach], default=1)))
    parts = frame(scale, unit, planted) + [part for each in series for part in curve(scale, each)]
    names = " ".join(
        f'<span style="color:{COLOURS[each.colour]}">{"╌" if each.is_step else "●"} '
        f"{escape(each.name)}</span>"
        for each in series
    )
    label = escape(f"{title} over the windows, in {unit}", quote=True)
    picture = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
    caption = f"<figcaption>{escape(title)}</figcaption>"
    return f"<figure>{caption}{picture}{''.join(parts)}</svg><small>{names}</small></figure>"

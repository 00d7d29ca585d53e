"""Plots as inline SVG or HTML: no script, sharp in print; colours come from the page's style sheet.

Units are SVG user units (one CSS pixel at natural size). Text is escaped here; what these functions return is safe to
insert.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

Points = Sequence[tuple[float, float]]


def identity(value: float) -> float:
    """Return the value: a linear axis."""
    return value


@dataclass(frozen=True)
class Axis:
    """One axis: what it shows, its range in data units and its ticks."""

    label: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    """(value, text)."""
    scale: Callable[[float], float] = identity
    """Monotone map applied before the linear map to the page."""

    def share(self, value: float) -> float:
        """Return where a value lies between both ends, 0 to 1; values beyond are cut."""
        low, high = self.scale(self.low), self.scale(self.high)
        inside = min(max(value, min(self.low, self.high)), max(self.low, self.high))
        return (self.scale(inside) - low) / (high - low)


@dataclass(frozen=True)
class Curve:
    """One line of a plot, with an optional band."""

    points: Points
    tone: str
    """CSS class of its colour: tone0 … tone5, real, fake, muted."""
    label: str = ""
    band: Sequence[tuple[float, float, float]] = field(default_factory=tuple)
    """(x, low, high)."""
    dots: bool = False
    """Draw a circle at each point."""
    dashed: bool = False


@dataclass(frozen=True)
class PlotArea:
    """Where the axes lie on the page."""

    x: Axis
    y: Axis
    width: float = 420
    height: float = 340
    left: float = 52
    right: float = 12
    top: float = 12
    bottom: float = 44

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return page coordinates of a point."""
        across = self.left + self.x.share(x) * (self.width - self.left - self.right)
        return across, self.height - self.bottom - self.y.share(y) * (self.height - self.top - self.bottom)


def line_plot(
    title: str,
    x: Axis,
    y: Axis,
    curves: Sequence[Curve],
    *,
    diagonal: bool = False,
    marks: Sequence[tuple[float, str]] = (),
) -> str:
    """Return a plot of lines; `title` is its text alternative; `marks` are vertical lines (x, text)."""
    area = PlotArea(x, y)
    parts = [_grid(area)]
    if diagonal:
        parts.append(_path([area.at(0, 0), area.at(1, 1)], "diagonal"))
    parts += [_band(area, curve) for curve in curves if curve.band]
    for curve in curves:
        pixels = [area.at(*point) for point in curve.points]
        parts.append(_path(pixels, f"line {curve.tone}{' dashed' if curve.dashed else ''}", curve.label))
        if curve.dots:
            parts += [
                _circle(pixel, curve.tone, f"{curve.label} {px:.3g}: {py:.3g}")
                for pixel, (px, py) in zip(pixels, curve.points, strict=True)
            ]
    parts += _marks(area, marks)
    return _svg(title, area.width, area.height, parts)


def bar_pair_plot(
    title: str, x: Axis, y: Axis, edges: Sequence[float], bars: Sequence[tuple[str, str, Sequence[float]]],
    marks: Sequence[tuple[float, str]] = (),
) -> str:  # fmt: skip
    """Return overlaid histograms.

    Args:
        title: Read out to those who cannot see it.
        x: Axis of the edges.
        y: Axis of the heights.
        edges: (bins + 1,).
        bars: (tone, label, heights (bins,)) of each histogram.
        marks: (x, text) of vertical lines.
    """
    area = PlotArea(x, y, height=260)
    parts = [_grid(area)]
    for tone, label, heights in bars:
        for low, high, height in zip(edges[:-1], edges[1:], heights, strict=True):
            if height <= 0:
                continue
            (left, top), (right, base) = area.at(low, height), area.at(high, y.low)
            parts.append(
                f'<rect class="bar {tone}" x="{left:.1f}" y="{top:.1f}" width="{max(right - left - 0.6, 0.6):.1f}"'
                f' height="{base - top:.1f}"><title>{escape(label)}</title></rect>'
            )
    parts += _marks(area, marks)
    return _svg(title, area.width, area.height, parts)


@dataclass(frozen=True)
class Dot:
    """A row of a dot plot: a figure with its interval."""

    label: str
    value: float | None
    low: float | None
    high: float | None
    tone: str = "tone0"
    note: str = ""
    """Shown instead of a dot where there is no value."""
    heading: bool = False
    """A heading between rows; it has no figure."""


def dot_plot(title: str, rows: Sequence[Dot], x: Axis, *, reference: float | None = None) -> str:
    """Return figures with intervals as HTML rows below each other, so that text keeps its size on a phone."""
    marks = "".join(f'<i class="gridline" style="left:{100 * x.share(value):.2f}%"></i>' for value, _ in x.ticks)
    if reference is not None:
        marks += f'<i class="reference" style="left:{100 * x.share(reference):.2f}%"></i>'
    parts = [_dot_row(row, x, marks) for row in rows]
    ticks = "".join(f'<i style="left:{100 * x.share(value):.2f}%">{escape(text)}</i>' for value, text in x.ticks)
    parts.append(f'<div class="row scale"><span></span><span class="track">{ticks}</span><span></span></div>')
    parts.append(f'<p class="unit">{escape(x.label)}</p>')
    return f'<div class="dots" role="img" aria-label="{escape(title)}">{"".join(parts)}</div>'


def _dot_row(row: Dot, x: Axis, marks: str) -> str:
    if row.heading:
        return f'<p class="over">{escape(row.label)}</p>'
    label = f'<span class="label">{escape(row.label).replace("_", "_<wbr>")}</span>'
    if row.value is None:
        return f'<div class="row">{label}<span class="why">{escape(row.note or "not evaluable")}</span></div>'
    shown, drawn = f"{row.value:.3f}", marks
    if row.low is not None and row.high is not None:
        low, high = 100 * x.share(row.low), 100 * x.share(row.high)
        drawn += f'<i class="range {row.tone}" style="left:{low:.2f}%;width:{max(high - low, 0.3):.2f}%"></i>'
        shown += f" <small>[{row.low:.2f}, {row.high:.2f}]</small>"
    drawn += f'<i class="point {row.tone}" style="left:{100 * x.share(row.value):.2f}%"></i>'
    return f'<div class="row">{label}<span class="track">{drawn}</span><span class="value">{shown}</span></div>'


def timeline_plot(title: str, points: Points, threshold: float = 0.5) -> str:
    """Return a small strip of p_fake over time: bars above and below the threshold."""
    width, height, base = 240.0, 74.0, 70.0
    if not points:
        return ""
    ordered = sorted(points)
    first, last = ordered[0][0], ordered[-1][0]
    steps = [later[0] - sooner[0] for sooner, later in pairwise(ordered) if later[0] > sooner[0]]
    length = (last - first) + (min(steps) if steps else 1.0)
    wide = max(width / max(length / (min(steps) if steps else 1.0), 1) - 0.6, 0.8)
    parts = []
    for start, value in ordered:
        left, tall = (start - first) / length * width, max(value * (base - 4), 1.0)
        tone = "fake" if value >= threshold else "real"
        parts.append(
            f'<rect class="bar {tone}" x="{left:.1f}" y="{base - tall:.1f}" width="{wide:.1f}" height="{tall:.1f}">'
            f"<title>{start:.1f} s: {value:.2f}</title></rect>"
        )
    line = base - threshold * (base - 4)
    parts.append(_path([(0, line), (width, line)], "diagonal"))
    return _svg(title, width, height, parts, "timeline")


def _grid(area: PlotArea) -> str:
    parts = []
    low, high = area.at(area.x.low, area.y.low), area.at(area.x.high, area.y.high)
    for value, text in area.x.ticks:
        across = area.at(value, area.y.low)[0]
        parts.append(_path([(across, low[1]), (across, high[1])], "grid"))
        parts.append(_text(across, low[1] + 16, text, "tick middle"))
    for value, text in area.y.ticks:
        level = area.at(area.x.low, value)[1]
        parts.append(_path([(low[0], level), (high[0], level)], "grid"))
        parts.append(_text(low[0] - 7, level + 4, text, "tick end"))
    middle = (low[0] + high[0]) / 2
    if area.x.label:
        parts.append(_text(middle, area.height - 8, area.x.label, "axis middle"))
    if area.y.label:
        centre = (low[1] + high[1]) / 2
        parts.append(
            f'<text class="axis middle" transform="translate(13 {centre:.1f}) rotate(-90)">{escape(area.y.label)}</text>'
        )
    return "".join(parts)


def _marks(area: PlotArea, marks: Sequence[tuple[float, str]]) -> list[str]:
    """Return vertical lines with their texts, each lower than the last so that near ones stay legible."""
    parts = []
    for level, (value, text) in enumerate(marks):
        if not area.x.low <= value <= area.x.high:
            continue
        (across, top), (_, base) = area.at(value, area.y.high), area.at(value, area.y.low)
        late = across > area.width * 0.7
        parts.append(_path([(across, top), (across, base)], "mark", text))
        place = top + 11 + 13 * (level % 3)
        parts.append(_text(across + (-4 if late else 4), place, text, f"mark-text {'end' if late else 'start'}"))
    return parts


def _band(area: PlotArea, curve: Curve) -> str:
    upper = [area.at(x, high) for x, _, high in curve.band]
    lower = [area.at(x, low) for x, low, _ in reversed(curve.band)]
    return f'<path class="band {curve.tone}" d="{_d(upper + lower)}Z"/>'


def _d(pixels: Points) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in pixels)


def _path(pixels: Points, css: str, title: str = "") -> str:
    inside = f"<title>{escape(title)}</title>" if title else ""
    return f'<path class="{css}" d="{_d(pixels)}">{inside}</path>' if pixels else ""


def _circle(pixel: tuple[float, float], tone: str, title: str, radius: float = 3.2) -> str:
    return (
        f'<circle class="dot {tone}" cx="{pixel[0]:.1f}" cy="{pixel[1]:.1f}" r="{radius}">'
        f"<title>{escape(title)}</title></circle>"
    )


def _text(x: float, y: float, text: str, css: str) -> str:
    return f'<text class="{css}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _svg(title: str, width: float, height: float, parts: Sequence[str], css: str = "plot") -> str:
    return (
        f'<svg class="{css}" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(title)}"'
        f' style="max-width:{width * 1.25:g}px">{"".join(parts)}</svg>'
    )

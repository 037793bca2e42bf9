"""Line charts as SVG in the page's colours, light or dark. Makes what the macro `chart` of macros.html shows."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

WIDTH, HEIGHT = 680, 320
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 28, 44  # margins, in the same units
NUM_COLORS = 6  # .series-0 and on, of style.css
NUM_TICKS = 5


@dataclass(frozen=True)
class Series:
    """A line, of one point or more."""

    name: str
    points: Sequence[tuple[float, float]]
    color: int  # as in style.css
    dashed: bool = False
    dots: bool = False  # which say, too, what they stand for


@dataclass(frozen=True)
class Point:
    """Where something is drawn."""

    x: float
    y: float
    says: str


@dataclass(frozen=True)
class Line:
    """A Series as it is drawn."""

    name: str
    points: list[Point]
    color: int
    dashed: bool
    dots: bool


@dataclass(frozen=True)
class Tick:
    """A number along an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Chart:
    """All places of a chart, in units of its view box."""

    title: str
    x_name: str
    y_name: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    lines: list[Line]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def line_chart(title: str, x_name: str, y_name: str, series: Sequence[Series], *, y_end: float | None = None) -> Chart:
    """Place the lines; the y axis begins at 0 and ends at `y_end`, or where the highest point needs it.

    Points that are no finite numbers, as the losses of a training that diverged, are left out.
    """
    series = [replace(one, points=[at for at in one.points if all(map(math.isfinite, at))]) for one in series]
    xs = [x for one in series for x, _ in one.points] or [0.0]
    x_ticks = [one for one in _round_numbers(min(xs), max(xs)) if one >= min(xs)]
    y_ticks = _round_numbers(0, y_end or max((y for one in series for _, y in one.points), default=0.0) or 1.0)
    left, right = min(xs), max(*xs, min(xs) + 1)

    def across(x: float) -> float:
        return round(LEFT + (x - left) / (right - left) * (WIDTH - LEFT - RIGHT), 1)

    def up(y: float) -> float:
        return round(HEIGHT - BOTTOM - y / y_ticks[-1] * (HEIGHT - TOP - BOTTOM), 1)

    def line(one: Series) -> Line:
        points = [Point(across(x), up(y), f"{one.name}: {y:,.4g} at {x_name} {x:,g}") for x, y in one.points]
        return Line(one.name, points, one.color % NUM_COLORS, one.dashed, one.dots)

    return Chart(
        title,
        x_name,
        y_name,
        _ticks(x_ticks, map(across, x_ticks)),
        _ticks(y_ticks, map(up, y_ticks)),
        [line(one) for one in series],
    )


def _ticks(numbers: Sequence[float], places: Iterable[float]) -> list[Tick]:
    return [Tick(at, f"{number:,.6g}") for number, at in zip(numbers, places, strict=True)]


def _round_numbers(low: float, high: float) -> list[float]:
    """About NUM_TICKS numbers of 1, 2 or 5 times a power of ten; the last is not below `high` where `low` is 0."""
    rough = max(high - low, 1e-9) / NUM_TICKS
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough * (1 - 1e-9))
    last = math.ceil(high / step - 1e-9) if low == 0 else math.floor(high / step)
    return [number * step for number in range(math.floor(low / step), last + 1)]

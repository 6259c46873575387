"""A small picture of latencies, written by hand as SVG: readable on dark and on light pages."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from bench.harness import PERCENTILES

WIDTH, HEIGHT = 860, 440
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 44, 96
# Colours that differ for colour-blind readers too, and stand out on white and on near-black.
COLOURS = ("#d55e00", "#0a8ad0", "#12a077", "#c9679f", "#b58900", "#7a7fd6")
DASHES = ("", "8 4", "2 3", "12 4 2 4", "5 5", "1 4")
STYLE = """\
<style>
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600; font-size: 15px }
  .axis { stroke: #57606a; stroke-width: 1 }
  .grid { stroke: #8c959f; stroke-opacity: .3; stroke-width: 1 }
  .curve { fill: none; stroke-width: 2.5; stroke-linejoin: round }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .axis { stroke: #8b949e }
  }
</style>
"""

OPENING = (
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
    f'width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{{title}}">\n'
)

Curves = Mapping[str, Sequence[float]]


def write(path: Path, curves: Curves, title: str) -> None:
    """Write the picture; nothing where there are no curves."""
    if curves:
        path.write_text(picture(curves, title), encoding="utf-8")


def picture(curves: Curves, title: str) -> str:
    """How many of the calls were answered within which time, on a logarithmic axis of time."""
    values = [value for curve in curves.values() for value in curve if value > 0]
    scale = _Scale(
        10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values)))
    )
    parts = [
        OPENING.format(title=escape(title)),
        STYLE,
        text(LEFT, 24, title, kind="title"),
        *_axes(scale),
        *(_curve(scale, at, curve) for at, curve in enumerate(curves.values())),
        *legend(list(curves)),
    ]
    return "".join(parts) + "</svg>\n"


class _Scale:
    """Microseconds and percent to places in the picture."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, max(high, low * 10)

    def x(self, microseconds: float) -> float:
        share = math.log10(max(microseconds, self.low) / self.low) / math.log10(
            self.high / self.low
        )
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    @staticmethod
    def y(percent: float) -> float:
        return round(HEIGHT - BOTTOM - percent / 100 * (HEIGHT - TOP - BOTTOM), 1)

    def decades(self) -> list[float]:
        count = round(math.log10(self.high / self.low))
        return [self.low * 10**power for power in range(count + 1)]


def _axes(scale: _Scale) -> list[str]:
    parts = []
    for decade in scale.decades():
        x = scale.x(decade)
        parts += [
            line(x, TOP, x, HEIGHT - BOTTOM, "grid"),
            text(x, HEIGHT - BOTTOM + 18, _time(decade), "middle"),
        ]
    for percent in (0, 25, 50, 75, 100):
        y = scale.y(percent)
        parts += [
            line(LEFT, y, WIDTH - RIGHT, y, "axis" if not percent else "grid"),
            text(LEFT - 8, y + 4, f"{percent} %", "end"),
        ]
    parts.append(line(LEFT, TOP, LEFT, HEIGHT - BOTTOM, "axis"))
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(text(middle, HEIGHT - BOTTOM + 38, "time of a call (logarithmic)", "middle"))
    parts.append(
        f'<text transform="translate(16 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" '
        'text-anchor="middle">calls answered</text>\n'
    )
    return parts


def _curve(scale: _Scale, at: int, curve: Sequence[float]) -> str:
    points = " ".join(
        f"{scale.x(value)},{scale.y(percent)}"
        for percent, value in zip(PERCENTILES, curve, strict=True)
    )
    return f'<polyline class="curve" points="{points}" {pen(at)}/>\n'


def legend(names: Sequence[str]) -> list[str]:
    columns = 3
    width = (WIDTH - LEFT - RIGHT) / columns
    parts = []
    for at, name in enumerate(names):
        x = LEFT + (at % columns) * width
        y = HEIGHT - BOTTOM + 62 + 20 * (at // columns)
        ends = f'x1="{x}" y1="{y - 4}" x2="{x + 34}" y2="{y - 4}"'
        parts += [f'<line {ends} stroke-width="2.5" {pen(at)}/>\n', text(x + 42, y, name)]
    return parts


def pen(at: int) -> str:
    dash = DASHES[at % len(DASHES)]
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'stroke="{COLOURS[at % len(COLOURS)]}"{dashes}'


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>\n'


def text(x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>\n'


def _time(microseconds: float) -> str:
    if microseconds >= 1e6:
        return f"{microseconds / 1e6:g} s"
    return f"{microseconds / 1e3:g} ms" if microseconds >= 1e3 else f"{microseconds:g} µs"

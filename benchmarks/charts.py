"""Small charts as SVG, readable in a README whatever its background."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from xml.sax.saxutils import escape

Bars = Sequence[tuple[str, float, float]]
"""(name, length, a second number that is only told)."""

OURS: Final = "#2f7ed8"
OTHERS: Final = "#9aa5b1"
_COLOURS: Final = (OURS, "#d87a2f", "#5b9a4c", "#8a5bb5", "#b5475b", "#3b9c9c")


def bar_chart(groups: Sequence[tuple[str, Bars]], told: Callable[[float, float], str]) -> str:
    """Horizontal bars by group; those named "ours" in colour."""
    left, room, step = 230, 430, 24
    most = max((value for _, bars in groups for _, value, _ in bars), default=1.0)
    parts, y = [], 10
    for title, bars in groups:
        y += 22
        parts.append(f'<text x="10" y="{y}" font-weight="bold">{escape(title)}</text>')
        y += 10
        for name, value, more in bars:
            width = max(1.0, value / most * room)
            colour = OURS if name == "ours" else OTHERS
            parts.append(f'<text x="{left - 8}" y="{y + 15}" text-anchor="end">{escape(name)}</text>')
            parts.append(f'<rect x="{left}" y="{y + 3}" width="{width:.1f}" height="16" fill="{colour}"/>')
            parts.append(f'<text x="{left + width + 6:.1f}" y="{y + 15}">{escape(told(value, more))}</text>')
            y += step
    return _drawing(y + 12, parts)


def line_chart(title: str, lines: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Lines over a logarithmic axis of rows; the vertical axis begins at zero."""
    return _lines(title, lines, math.log10, sorted({x for points in lines.values() for x, _ in points}))


def time_chart(title: str, lines: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Lines over minutes; the vertical axis begins at zero."""
    last = max(x for points in lines.values() for x, _ in points)
    return _lines(title, lines, float, [last * part / 6 for part in range(7)])


def _lines(
    title: str,
    lines: Mapping[str, Sequence[tuple[float, float]]],
    scaled: Callable[[float], float],
    marks: Sequence[float],
) -> str:
    left, top, width, height = 60, 30 + 20 * max(2, len(lines)), 720, 240
    most = max(y for points in lines.values() for _, y in points) * 1.1 or 1.0
    low, span = scaled(marks[0]), max(1e-9, scaled(marks[-1]) - scaled(marks[0]))

    def place(x: float, y: float) -> tuple[float, float]:
        return left + (scaled(x) - low) / span * width, top + height - y / most * height

    parts = [f'<text x="10" y="24" font-weight="bold">{escape(title)}</text>']
    for at in range(5):
        value = most * at / 4
        _, y = place(marks[0], value)
        parts.append(f'<line x1="{left}" y1="{y:.1f}" x2="{left + width}" y2="{y:.1f}" stroke="#e3e6ea"/>')
        told = f"{value:.0f}" if most >= 10 else f"{value:.2f}"
        parts.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{told}</text>')
    for x in marks:
        across, _ = place(x, 0)
        parts.append(f'<text x="{across:.1f}" y="{top + height + 18}" text-anchor="middle">{x:,.0f}</text>')
    for number, ((name, points), colour) in enumerate(zip(lines.items(), _COLOURS, strict=False)):
        placed = [place(x, y) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        # Names stand together: at the ends of lines that meet they would cover each other.
        parts.append(f'<text x="790" y="{24 + 16 * number}" text-anchor="end" fill="{colour}">{escape(name)}</text>')
    return _drawing(top + height + 40, parts)


def _drawing(height: int, parts: Sequence[str]) -> str:
    body = "\n  ".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 {height}" font-family="sans-serif" font-size="12">\n'
        f'  <rect width="800" height="{height}" fill="#ffffff"/>\n  {body}\n</svg>\n'
    )

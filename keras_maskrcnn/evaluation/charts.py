"""Charts as SVG within a page: they need no other package, and are light or dark as the page is."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from html import escape

import numpy as np

WIDTH, HEIGHT = 340, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 12, 10, 34
# Of the page's style: see `COLORS`.
_COLORS = 4

STYLE = """\
:root { --c0: #2374c6; --c1: #d6511f; --c2: #1f8a4c; --c3: #8a4fd0; }
@media (prefers-color-scheme: dark) {
  :root { --c0: #6aa9ee; --c1: #ff8d61; --c2: #5cc88a; --c3: #bf94f5; }
}
.charts { display: grid; gap: 18px;
  grid-template-columns: repeat(auto-fill, minmax(min(300px, 100%), 1fr)); }
.charts svg { width: 100%; font-size: 11px; }
.charts text { fill: var(--pale); stroke: none; }
.key { display: inline-block; width: 1.4em; height: .25em; vertical-align: middle;
  margin: 0 .35em 0 .9em; }
.cost { display: inline-block; height: .8em; min-width: 1px; background: var(--c1); }
.matrix td, .matrix th { padding: .25em .5em; text-align: center; min-width: 2.2em; }
.matrix th:first-child { text-align: left; min-width: 6.2em; position: sticky; left: 0;
  background: var(--paper); }
"""


@dataclasses.dataclass(frozen=True)
class Line:
    """A curve of a chart.

    Args:
        name: what it is, which shows where a pointer rests on it.
        x, y: its points, 0..1; it breaks at nan.
        color: 0..3.
        strength: 0..1, how much it stands out.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    color: int = 0
    strength: float = 1.0


def line_chart(
    title: str, lines: Sequence[Line], x_label: str, y_label: str, mark: float = math.nan
) -> str:
    """A figure with curves between 0 and 1.

    Args:
        title: below it.
        lines: the curves.
        x_label, y_label: of the axes.
        mark: where to draw a line from top to bottom; nan for none.
    """
    parts = [*_grid(), *(_path(line) for line in lines)]
    if not math.isnan(mark):
        x, _ = _place(min(max(mark, 0.0), 1.0), 0.0)
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}" '
            'stroke="var(--ink)" stroke-dasharray="4 3"/>'
        )
    middle_x, middle_y = _place(0.5, 0.5)
    parts.append(
        f'<text x="{middle_x:.1f}" y="{HEIGHT - 4}" text-anchor="middle">{escape(x_label)}</text>'
        f'<text transform="translate(11 {middle_y:.1f}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_label)}</text>"
    )
    return (
        f'<figure><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg><figcaption>{escape(title)}</figcaption></figure>\n"
    )


def key(names: Sequence[tuple[str, int]]) -> str:
    """What each colour means: names with their colours."""
    return "".join(
        f'<span class=key style="background: var(--c{color})"></span>{escape(name)}'
        for name, color in names
    )


def cost_bar(part: float) -> str:
    """A bar whose length is a part, 0..1, of the longest; nothing for nan."""
    if math.isnan(part):
        return ""
    return f'<span class=cost style="width: {6 * part:.2f}em"></span>'


def matrix_table(
    corner: str, names: Sequence[str], counts: np.ndarray, columns: Sequence[str]
) -> str:
    """A table of counts, in which large parts of a row stand out.

    Args:
        corner: what rows and columns are.
        names: of rows.
        counts: int `[rows, columns]`.
        columns: their names.
    """
    parts = ["<div class=wide><table class=matrix><tr>", f"<th>{escape(corner)}</th>"]
    parts += [f"<th>{escape(name)}</th>" for name in columns]
    totals = np.maximum(counts.sum(axis=1), 1)
    for i, name in enumerate(names):
        parts.append(f"</tr>\n<tr><th>{escape(name)}</th>")
        for j, count in enumerate(counts[i].tolist()):
            color = "--c0" if i == j else "--c1"
            share = round(55 * count / int(totals[i]))
            shade = f"color-mix(in srgb, var({color}) {share}%, transparent)"
            style = f' style="background: {shade}"' if share else ""
            parts.append(f"<td{style}>{count or ''}</td>")
    return "".join([*parts, "</tr></table></div>\n"])


def _place(x: float, y: float) -> tuple[float, float]:
    return (
        _LEFT + x * (WIDTH - _LEFT - _RIGHT),
        HEIGHT - _BOTTOM - y * (HEIGHT - _TOP - _BOTTOM),
    )


def _grid() -> list[str]:
    parts = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        (left, y), (right, _) = _place(0, tick), _place(1, tick)
        (x, low), (_, high) = _place(tick, 0), _place(tick, 1)
        parts.append(
            f'<path d="M{left:.1f} {y:.1f}H{right:.1f}M{x:.1f} {low:.1f}V{high:.1f}" '
            'stroke="var(--fine)"/>'
            f'<text x="{left - 5:.1f}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>'
            f'<text x="{x:.1f}" y="{low + 14:.1f}" text-anchor="middle">{tick:g}</text>'
        )
    return parts


def _path(line: Line) -> str:
    words, pen_is_down = [], False
    for x, y in zip(line.x.tolist(), line.y.tolist(), strict=True):
        if math.isnan(y):
            pen_is_down = False
            continue
        at_x, at_y = _place(x, y)
        words.append(f"{'L' if pen_is_down else 'M'}{at_x:.1f} {at_y:.1f}")
        pen_is_down = True
    return (
        f'<path d="{"".join(words)}" fill="none" stroke="var(--c{line.color % _COLORS})" '
        f'stroke-width="1.8" stroke-opacity="{line.strength:.2f}">'
        f"<title>{escape(line.name)}</title></path>"
    )

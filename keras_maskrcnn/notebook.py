"""How objects show themselves: as HTML in a notebook, as a picture there or in a window.

Names of classes and files come from anywhere: every text is escaped. Text has the page's own colour
and lines are half transparent, so that all is legible in a light and in a dark page.
"""

from __future__ import annotations

import base64
import io
import math
import sys
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import numpy as np
from PIL import Image, ImageShow

# The longer side of a shown picture, in pixels: smaller ones are enlarged, and larger ones, in a
# notebook, which keeps what it shows, made smaller.
SHORTEST, LONGEST = 400, 1200
# Of one picture. A notebook with a hundred of them can still be opened.
_MOST_BYTES = 300_000
_QUALITIES = (88, 75, 60, 45)
_LINE = "1px solid rgba(128,128,128,.35)"


def table(head: Sequence[Any], rows: Iterable[Sequence[Any]], *, texts: int = 1) -> str:
    """A table.

    Args:
        head: titles of the columns.
        rows: their cells.
        texts: how many columns, the first ones, hold text, which stands at the left.
    """
    lines = ['<table style="border-collapse:collapse;margin:.4em 0;font-size:.92em">']
    for tag, cells in (("th", head), *(("td", row) for row in rows)):
        lines.append("<tr>")
        for column, cell in enumerate(cells):
            side = "left" if column < texts else "right"
            lines.append(
                f'<{tag} style="text-align:{side};padding:.15em .5em;'
                f'border-bottom:{_LINE};white-space:nowrap">'
                f"{escape(str(cell))}</{tag}>"
            )
        lines.append("</tr>\n")
    return "".join([*lines, "</table>\n"])


def line(text: str, *, strong: bool = False) -> str:
    """A line of text."""
    weight = ";font-weight:600" if strong else ""
    return f'<div style="margin:.2em 0{weight}">{escape(text)}</div>\n'


def folded(summary: str, html: str) -> str:
    """HTML that a click unfolds."""
    return f"<details><summary>{escape(summary)}</summary>{html}</details>\n"


def listed(texts: Sequence[str], most: int) -> str:
    """The first lines of many."""
    more = [f"and {len(texts) - most} more"] if len(texts) > most else []
    return "".join(line(text) for text in [*texts[:most], *more])


def picture(image: np.ndarray, alt: str) -> str:
    """A picture that is part of the page.

    Args:
        image: uint8 `[H, W, 3]`, as large as it should be.
        alt: what it is of.
    """
    address = f"data:image/jpeg;base64,{base64.b64encode(jpeg(image)).decode()}"
    return f'<img src="{address}" alt="{escape(alt)}" style="max-width:100%;height:auto">\n'


def jpeg(image: np.ndarray) -> bytes:
    """A JPEG of at most 300 kB, but for noise of more than a megapixel."""
    content = b""
    for quality in _QUALITIES:
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "JPEG", quality=quality)
        content = stream.getvalue()
        if len(content) <= _MOST_BYTES:
            break
    return content


def fitting_scale(size: tuple[int, int], longest: float = LONGEST) -> float:
    """By how much a picture `(h, w)` is enlarged to be looked at; less than 1 for large ones."""
    side = max(size)
    return min(longest / side, max(1.0, SHORTEST / side))


def shown_scale(size: tuple[int, int]) -> float:
    """By how much `show` enlarges a picture `(h, w)`: a window shows all of a large one."""
    return fitting_scale(size, LONGEST if in_notebook() else math.inf)


def in_notebook() -> bool:
    """Whether what is shown appears in a notebook: Jupyter's, VS Code's or Colab's."""
    if "IPython" not in sys.modules:
        return False
    shell = sys.modules["IPython"].get_ipython()
    return getattr(shell, "kernel", None) is not None


def bar_verbosity() -> int:
    """Of Keras' progress bars: 1, a bar that moves; or where the output is a file 2, a line at
    its end."""
    return 1 if sys.stdout.isatty() or in_notebook() else 2


def show(image: np.ndarray) -> None:
    """Shows a picture: in a notebook below the cell, else in a window of its own.

    Args:
        image: uint8 `[H, W, 3]`.

    Raises:
        RuntimeError: outside of a notebook, where no program shows pictures.
    """
    if in_notebook():
        from IPython import display

        display.display(display.Image(data=jpeg(image), format="jpeg"))
    elif not ImageShow.show(Image.fromarray(image)):
        raise RuntimeError(
            "show needs a notebook, or a program that opens pictures, such as xdg-open. "
            "plot() gives the picture, and plot().save('picture.png') writes it"
        )

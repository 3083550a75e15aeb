"""Drawn pictures with captions, beside and below each other on one page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from keras_maskrcnn.label_placing import label_font

_GAP, _CAPTION, _LETTERS = 16, 30, 15
_INK = (40, 40, 40)
# A column has room for a caption, however narrow its pictures are.
_NARROWEST = 280


def make_page(rows: Sequence[Sequence[tuple[np.ndarray, str]]], note: str = "") -> np.ndarray:
    """Puts pictures in rows.

    Args:
        rows: of each the pictures, uint8 `[H, W, 3]`, with a caption that stands above.
        note: a line at the top of the page.

    Returns:
        The page as uint8 `[h, w, 3]`.

    Raises:
        ValueError: when there is no picture.
    """
    pictures = [drawn for row in rows for drawn, _ in row]
    if not pictures:
        raise ValueError("A page needs at least one picture. Received: rows=[]")
    column = max(_NARROWEST, *(drawn.shape[1] for drawn in pictures))
    width = max(map(len, rows)) * (column + _GAP) + _GAP
    heights = [max(len(drawn) for drawn, _ in row) + _CAPTION + _GAP for row in rows]
    page = Image.new("RGB", (width, sum(heights) + (_CAPTION if note else 0)), "white")
    draw = ImageDraw.Draw(page)
    top = 0
    if note:
        _write(draw, note, _GAP, 0, width - 2 * _GAP)
        top = _CAPTION
    for row, height in zip(rows, heights, strict=True):
        for place, (drawn, caption) in enumerate(row):
            left = _GAP + place * (column + _GAP)
            _write(draw, caption, left, top, column)
            page.paste(Image.fromarray(drawn), (left, top + _CAPTION))
        top += height
    return np.asarray(page)


def _write(draw: ImageDraw.ImageDraw, text: str, left: int, top: int, room: int) -> None:
    """A line of text, its beginning left out where it is too long: names differ at their end."""
    font = label_font(_LETTERS)
    shown = text
    while font.getlength(shown) > room and len(shown) > 1:
        text = text[1:]
        shown = f"\N{HORIZONTAL ELLIPSIS}{text}"
    draw.text((left, top + _CAPTION // 2), shown, fill=_INK, font=font, anchor="lm")

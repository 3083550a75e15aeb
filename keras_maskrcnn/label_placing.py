"""Where the label of an object stands on a picture, and how large it is.

Letters follow the picture's size. A label is only put where it hides little: first the full text,
then a shorter one, and none where the objects are too small or too many for letters.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from PIL import ImageDraw, ImageFont

# The part of another object, and of its own, that a label may hide.
_HIDES_OTHER, _HIDES_OWN = 0.2, 0.25
# From this many objects on, none gets a label larger than itself; all labels together never take
# more than this part of the picture, and the largest objects come first.
_CROWDED, _LABELS = 25, 0.1
# So many lines of letters fill a picture, and no letters are lower, in pixels.
_LINES, _LOWEST = 48, 11


class Label(NamedTuple):
    """A text and where it stands.

    Args:
        own: which object it is of.
        text: one line.
        spot: `[4]` x1 y1 x2 y2 of its background, in whole pixels.
        letters: size of the font in pixels.
    """

    own: int
    text: str
    spot: np.ndarray
    letters: int


def letter_size(size: tuple[int, int]) -> int:
    """Height of letters on a picture `(h, w)` in pixels.

    By the side of a square of as many pixels: a panorama is looked at as a whole.
    """
    return max(_LOWEST, round(float(np.prod(size)) ** 0.5 / _LINES))


@functools.cache
def label_font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own typeface, which is there on every machine."""
    return ImageFont.load_default(size)


def place_labels(
    texts: Sequence[Sequence[str]], boxes: np.ndarray, size: tuple[int, int]
) -> Iterator[Label]:
    """Finds room for a label of each object, in turn.

    Args:
        texts: what each object's label may say, from the fullest to the shortest.
        boxes: `[D, 4]` of the objects.
        size: `(h, w)` of the picture.
    """
    letters = letter_size(size)
    pad = _padding(letters)
    placed = np.zeros((0, 4), "float32")
    left_over = _LABELS * size[0] * size[1]
    for own, box in enumerate(boxes):
        own_area = float(np.prod(box[2:] - box[:2]))
        for text in texts[own]:
            left, _, right, _ = label_font(letters).getbbox(text)
            label = (right - left + 2 * pad, letters + pad)
            area = label[0] * label[1]
            if area > left_over or (len(boxes) >= _CROWDED and area > own_area):
                continue
            spot = _free_spot(own, label, size[::-1], boxes, placed)
            if spot is not None:
                placed = np.concatenate([placed, spot[None]])
                left_over -= area
                yield Label(own, text, spot, letters)
                break


def draw_label(draw: ImageDraw.ImageDraw, label: Label, color: tuple[int, int, int]) -> None:
    """Draws a label, its letters dark or light as its colour asks for."""
    font = label_font(label.letters)
    x1, y1, x2, y2 = label.spot
    draw.rectangle((x1, y1, x2 - 1, y2 - 1), fill=color)
    luminance = np.dot(color, (0.299, 0.587, 0.114))
    draw.text(
        (x1 + _padding(label.letters) - font.getbbox(label.text)[0], (y1 + y2) / 2),
        label.text,
        fill=(0, 0, 0) if luminance > 110 else (255, 255, 255),
        font=font,
        anchor="lm",
    )


def _padding(letters: int) -> int:
    return max(2, letters // 5)


def _free_spot(
    own: int,
    label: tuple[float, float],
    size: tuple[int, int],
    boxes: np.ndarray,
    placed: np.ndarray,
) -> np.ndarray | None:
    """`[4]` where a label of `(width, height)` hides little of any object, or `None`."""
    width, height = label
    x1, y1, x2, y2 = boxes[own]
    corners = (
        (x1, y1 - height),
        (x1, y2),
        (x1, y1),
        (x2 - width, y1 - height),
        (x2 - width, y1),
        (x2, y1),
        (x1 - width, y1),
        (x1, y2 - height),
    )
    limit = np.full(len(boxes), _HIDES_OTHER)
    limit[own] = _HIDES_OWN
    area = np.maximum(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), 1.0)
    for left, top in corners:
        spot = np.floor([left, top, left + width, top + height]).astype("float32")
        if spot[0] < 0 or spot[1] < 0 or spot[2] > size[0] or spot[3] > size[1]:
            continue
        if not _overlap(spot, placed).any() and (_overlap(spot, boxes) <= limit * area).all():
            return spot
    return None


def _overlap(spot: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """`[n]` areas that one rectangle `[4]` shares with `boxes [n, 4]`."""
    sides = np.minimum(spot[2:], boxes[:, 2:]) - np.maximum(spot[:2], boxes[:, :2])
    return np.prod(np.maximum(sides, 0.0), axis=1)

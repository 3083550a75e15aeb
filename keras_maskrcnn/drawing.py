"""Draws shapes on a canvas: filled masks, outlines, boxes, labels and keypoints.

Everything is laid out for the size of what is drawn. Lines and letters follow the canvas' size,
small objects are drawn over large ones, and a label is only put where it hides little: first the
full text, then a shorter one, and none where the objects are too small or too many for letters.
"""

from __future__ import annotations

import colorsys
import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Color = tuple[int, int, int]

PALETTE: tuple[Color, ...] = (
    (255, 86, 70),
    (40, 160, 255),
    (255, 200, 20),
    (50, 210, 110),
    (190, 110, 255),
    (0, 215, 215),
    (255, 135, 20),
    (255, 105, 180),
    (170, 230, 60),
    (105, 130, 255),
)
CROWD_COLOR: Color = (190, 190, 190)
# Limbs of COCO's 17 keypoints of a person.
_PERSON = (
    (0, 1), (0, 2), (1, 3), (2, 4), (5, 6), (5, 7), (7, 9), (6, 8), (8, 10),
    (5, 11), (6, 12), (11, 12), (11, 13), (13, 15), (12, 14), (14, 16),
)  # fmt: skip
_FILL = 0.38
_BOX = 0.65
# The part of another object, and of its own, that a label may hide.
_HIDES_OTHER, _HIDES_OWN = 0.2, 0.25
# From this many objects on, none gets a label larger than itself; all labels together never take
# more than this part of the picture, and the largest objects come first.
_CROWDED, _LABELS = 25, 0.1


@dataclasses.dataclass
class Shape:
    """One object in pixels of the canvas.

    Args:
        box: `[4]` x1 y1 x2 y2.
        class_index: for its colour.
        texts: what its label may say, from the fullest to the shortest.
        color: RGB; `None` until `color_shapes`.
        left, top, mask: bool `[mh, mw]` and the pixel where it starts, or `None`.
        keypoints: `[J, 3]` x, y and what must be above 0 for the point to be drawn, or `None`.
    """

    box: np.ndarray
    class_index: int
    texts: list[str]
    color: Color | None = None
    left: int = 0
    top: int = 0
    mask: np.ndarray | None = None
    keypoints: np.ndarray | None = None


def color_shapes(shapes: list[Shape], color_by: str) -> None:
    """Give every shape without a colour one; by instance, neighbours get unlike ones."""
    if color_by not in ("class", "instance"):
        raise ValueError(
            f"color_by must be 'class', 'instance' or None. Received: color_by={color_by!r}"
        )
    boxes = np.array([shape.box for shape in shapes]).reshape(-1, 4)
    reach = np.maximum(boxes[:, 2:] - boxes[:, :2], 4) * 0.5
    for i, shape in enumerate(shapes):
        if shape.color is not None:
            continue
        if color_by == "class":
            shape.color = _class_color(shape.class_index)
            continue
        near = (boxes[:i, :2] < boxes[i, 2:] + reach[i]) & (boxes[:i, 2:] > boxes[i, :2] - reach[i])
        taken = {shapes[j].color for j in np.flatnonzero(near.all(axis=1))}
        order = PALETTE[i % len(PALETTE) :] + PALETTE[: i % len(PALETTE)]
        shape.color = next((color for color in order if color not in taken), order[0])


def _class_color(index: int) -> Color:
    if index < len(PALETTE):
        return PALETTE[index]
    # Beyond the palette: hues a golden section apart, in three strengths.
    value, saturation = ((1.0, 0.75), (0.8, 0.9), (1.0, 0.45))[index % 3]
    red, green, blue = colorsys.hsv_to_rgb(index * 0.618034 % 1.0, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


@functools.cache
def label_font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own typeface, which is there on every machine."""
    return ImageFont.load_default(size)


def draw_shapes(
    canvas: np.ndarray,
    shapes: list[Shape],
    boxes: bool,
    labels: bool,
    skeleton: Sequence[tuple[int, int]] | None,
) -> np.ndarray:
    """Draw coloured shapes over `canvas`, uint8 `[H, W, 3]`, in place; returns it as drawn."""
    side = min(canvas.shape[:2])
    line = max(1, round(side / 350))
    by_area = sorted(shapes, key=lambda s: -float(np.prod(s.box[2:] - s.box[:2])))
    for shape in by_area:
        _draw_mask(canvas, shape, line)
    for shape in by_area:
        if boxes:
            _draw_box(canvas, shape, max(1, line // 2))
    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    for shape in by_area:
        if shape.keypoints is not None:
            _draw_keypoints(draw, shape.keypoints, shape.color, line, skeleton)
    if labels:
        _draw_labels(draw, picture.size, by_area, min(28, max(11, round(side / 42))))
    return np.array(picture)


def _blend(region: np.ndarray, where: np.ndarray, color: Color | None, amount: float) -> None:
    mixed = region[where] * (1 - amount) + np.asarray(color, "float32") * amount
    region[where] = (mixed + 0.5).astype(np.uint8)


def _draw_mask(canvas: np.ndarray, shape: Shape, line: int) -> None:
    if shape.mask is None or not shape.mask.any():
        return
    height, width = shape.mask.shape
    region = canvas[shape.top : shape.top + height, shape.left : shape.left + width]
    inner = shape.mask
    for _ in range(line):
        padded = np.pad(inner, 1)
        inner = inner & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    _blend(region, inner, shape.color, _FILL)
    _blend(region, shape.mask & ~inner, shape.color, 1.0)


def _draw_box(canvas: np.ndarray, shape: Shape, line: int) -> None:
    """A translucent frame, so that crowded boxes do not hide what is under them."""
    height, width = canvas.shape[:2]
    x1, y1 = (max(0, int(np.floor(v))) for v in shape.box[:2])
    x2, y2 = min(width, int(np.ceil(shape.box[2]))), min(height, int(np.ceil(shape.box[3])))
    if x2 <= x1 or y2 <= y1:
        return
    frame = np.ones((y2 - y1, x2 - x1), bool)
    frame[line:-line, line:-line] = False
    _blend(canvas[y1:y2, x1:x2], frame, shape.color, _BOX)


def _draw_keypoints(
    draw: ImageDraw.ImageDraw,
    points: np.ndarray,
    color: Color | None,
    line: int,
    skeleton: Sequence[tuple[int, int]] | None,
) -> None:
    if skeleton is None:
        skeleton = _PERSON if len(points) == 17 else ()
    limbs = [(a, b) for a, b in skeleton if points[a, 2] > 0 and points[b, 2] > 0]
    # Dark below light: legible on any background.
    for fill, width in (((20, 20, 20), line + 3), (color, line + 1)):
        for a, b in limbs:
            draw.line([*points[a, :2], *points[b, :2]], fill=fill, width=width)
    radius = line + 1.5
    for x, y, shown in points:
        if shown > 0:
            draw.ellipse(
                (x - radius, y - radius, x + radius, y + radius),
                fill=(255, 255, 255),
                outline=(20, 20, 20),
            )


def _draw_labels(
    draw: ImageDraw.ImageDraw, size: tuple[int, int], shapes: list[Shape], letters: int
) -> None:
    font = label_font(letters)
    pad = max(2, letters // 5)
    boxes = np.array([shape.box for shape in shapes], "float32").reshape(-1, 4)
    placed = np.zeros((0, 4), "float32")
    left_over = _LABELS * size[0] * size[1]
    for i, shape in enumerate(shapes):
        own_area = float(np.prod(boxes[i, 2:] - boxes[i, :2]))
        for text in shape.texts:
            x1, _, x2, _ = draw.textbbox((0, 0), text, font=font)
            label = (x2 - x1 + 2 * pad, letters + pad)
            area = label[0] * label[1]
            if area > left_over or (len(shapes) >= _CROWDED and area > own_area):
                continue
            spot = _free_spot(i, label, size, boxes, placed)
            if spot is not None:
                placed = np.concatenate([placed, spot[None]])
                left_over -= area
                draw.rectangle((*spot[:2], *(spot[2:] - 1)), fill=shape.color)
                luminance = np.dot(shape.color or (0, 0, 0), (0.299, 0.587, 0.114))
                draw.text(
                    (spot[0] + pad - x1, (spot[1] + spot[3]) / 2),
                    text,
                    fill=(0, 0, 0) if luminance > 110 else (255, 255, 255),
                    font=font,
                    anchor="lm",
                )
                break


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

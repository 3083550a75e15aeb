"""Draws shapes on a canvas: filled masks, outlines, boxes, labels and keypoints.

Everything is laid out for the size of what is drawn: a canvas that is shown at half its size looks
like one of half its size. Lines, points and letters follow the canvas' size, and lines and points
of small objects the object's, which they would hide. Small objects are drawn over large ones.
"""

from __future__ import annotations

import colorsys
import dataclasses
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from keras_maskrcnn.label_placing import draw_label, place_labels

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
# As many lines beside each other are as wide as the picture.
_LINES = 400
# An object of less than this part of the picture's side has thinner lines than the others.
_SMALL = 16
# Of a tiny object the points are small, too: so many beside each other are as wide as it.
_POINTS = 24


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


@dataclasses.dataclass(frozen=True)
class Strokes:
    """How thick an object is drawn, in pixels of the canvas.

    Args:
        line: of the mask's outline.
        frame: of the box.
        limb: between keypoints.
        rim: dark around limbs and keypoints.
        point: radius of a keypoint.
    """

    line: int
    frame: int
    limb: int
    rim: int
    point: float

    @classmethod
    def of(cls, canvas: tuple[int, int], box: np.ndarray) -> Strokes:
        """For a canvas `(h, w)`, and an object `[4]` on it.

        Sizes go by the side of a square of as many pixels: a panorama is looked at as a whole.
        """
        own = _side(box)
        line = max(1, round(min(float(np.prod(canvas)) ** 0.5, _SMALL * own) / _LINES))
        return cls(
            line=line,
            frame=max(1, line // 2),
            limb=max(2, round(line * 4 / 3)),
            rim=max(1, round(line / 3)),
            point=max(1.5, min(own / _POINTS, max(2.5, 1.5 * line))),
        )


def _side(box: np.ndarray) -> float:
    width, height = np.maximum(box[2:] - box[:2], 0)
    return float(width * height) ** 0.5


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


def draw_shapes(
    canvas: np.ndarray,
    shapes: list[Shape],
    boxes: bool,
    labels: bool,
    skeleton: Sequence[tuple[int, int]] | None,
) -> np.ndarray:
    """Draw coloured shapes over `canvas`, uint8 `[H, W, 3]`, in place; returns it as drawn."""
    height, width = canvas.shape[:2]
    by_area = sorted(shapes, key=lambda s: -float(np.prod(s.box[2:] - s.box[:2])))
    strokes = [Strokes.of((height, width), shape.box) for shape in by_area]
    for shape, stroke in zip(by_area, strokes, strict=True):
        _draw_mask(canvas, shape, stroke.line)
    for shape, stroke in zip(by_area, strokes, strict=True):
        if boxes:
            _draw_box(canvas, shape, stroke.frame)
    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    for shape, stroke in zip(by_area, strokes, strict=True):
        if shape.keypoints is not None:
            _draw_keypoints(draw, shape.keypoints, shape.color, stroke, skeleton)
    if labels:
        texts = [shape.texts for shape in by_area]
        boxes_by_area = np.array([shape.box for shape in by_area], "float32").reshape(-1, 4)
        for label in place_labels(texts, boxes_by_area, (height, width)):
            draw_label(draw, label, by_area[label.own].color or (0, 0, 0))
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
    stroke: Strokes,
    skeleton: Sequence[tuple[int, int]] | None,
) -> None:
    if skeleton is None:
        skeleton = _PERSON if len(points) == 17 else ()
    limbs = [(a, b) for a, b in skeleton if points[a, 2] > 0 and points[b, 2] > 0]
    # Dark below light: legible on any background.
    for fill, width in (((20, 20, 20), stroke.limb + 2 * stroke.rim), (color, stroke.limb)):
        for a, b in limbs:
            draw.line([*points[a, :2], *points[b, :2]], fill=fill, width=width)
    radius = stroke.point
    for x, y, shown in points:
        if shown > 0:
            draw.ellipse(
                (x - radius, y - radius, x + radius, y + radius),
                fill=(255, 255, 255),
                outline=(20, 20, 20),
                width=stroke.rim,
            )

"""Small pictures of what was found, with its outlines drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from keras_maskrcnn.data.records import Instance
from keras_maskrcnn.drawing import PALETTE
from keras_maskrcnn.html_page import picture_address
from keras_maskrcnn.outlines import Polygons

_SIDE = 300
# A small object is shown with this much around it, in its own lengths, and in pixels.
_AROUND, _LEAST_AROUND = 1.5, 24.0
_BEYOND = (225, 225, 230)

Window = tuple[float, float, float, float]


def thumbnail(image: np.ndarray, instances: Sequence[Instance], near: bool) -> str:
    """A JPEG as a `data:` address: the picture, or what of it lies around the objects.

    Args:
        image: uint8 `[H, W, 3]`.
        instances: are drawn, each in a colour of its own: outline strong, box thin.
        near: whether small objects are shown large, instead of all of the picture.
    """
    window = _window(image.shape[0], image.shape[1], instances if near else ())
    x1, y1, x2, y2 = window
    scale = _SIDE / max(x2 - x1, y2 - y1)
    size = max(1, round((x2 - x1) * scale)), max(1, round((y2 - y1) * scale))
    canvas = Image.new("RGB", size, _BEYOND)
    # What of the picture lies in the window, by whole pixels.
    left, top = max(0, int(np.floor(x1))), max(0, int(np.floor(y1)))
    right, bottom = min(image.shape[1], int(np.ceil(x2))), min(image.shape[0], int(np.ceil(y2)))
    if right > left and bottom > top:
        part = Image.fromarray(np.ascontiguousarray(image[top:bottom, left:right]))
        to = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
        how = Image.Resampling.NEAREST if scale > 2 else Image.Resampling.BILINEAR
        canvas.paste(part.resize(to, how), (round((left - x1) * scale), round((top - y1) * scale)))
    for number, instance in enumerate(instances):
        _draw(canvas, instance, PALETTE[number % len(PALETTE)], window, scale)
    return picture_address(canvas)


def _window(height: int, width: int, instances: Sequence[Instance]) -> Window:
    """All of the picture, more where outlines leave it, less where the objects are small."""
    whole = np.array([0, 0, width, height], np.float64)
    if not instances:
        return tuple(whole.tolist())
    boxes = [instance.box for instance in instances]
    boxes += [i.outline.bounds() for i in instances if i.outline is not None]
    corners = np.array(boxes, np.float64)
    near = np.concatenate([corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0)])
    # Of an outline that is far away it is enough to see where it goes.
    near = np.clip(near, -np.tile([width, height], 2), 2 * np.tile([width, height], 2))
    around = max(_AROUND * float((near[2:] - near[:2]).max()), _LEAST_AROUND)
    close = near + np.array([-around, -around, around, around])
    inside = np.concatenate([np.maximum(close[:2], 0), np.minimum(close[2:], whole[2:])])
    return tuple(
        np.concatenate(
            [np.minimum(inside[:2], near[:2]), np.maximum(inside[2:], near[2:])]
        ).tolist()
    )


def _draw(
    canvas: Image.Image,
    instance: Instance,
    color: tuple[int, int, int],
    window: Window,
    scale: float,
) -> None:
    draw = ImageDraw.Draw(canvas)

    def moved(points: np.ndarray) -> list[tuple[float, float]]:
        return [tuple(p) for p in ((points - window[:2]) * scale).tolist()]

    (x1, y1), (x2, y2) = moved(np.array(instance.box, np.float64).reshape(2, 2))
    draw.line([(x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1)], fill=color, width=1)
    if isinstance(instance.outline, Polygons):
        for loop in (loop for group in instance.outline.groups for loop in group):
            draw.line(moved(np.concatenate([loop, loop[:1]])), fill=color, width=3)
    elif instance.outline is not None:
        left, top, right, bottom = instance.outline.bounds()
        if right > left and bottom > top:
            cells = instance.outline.draw((left, top, right, bottom))
            ends = moved(np.array([[left, top], [right, bottom]]))
            to = [max(1, round(b - a)) for a, b in zip(*ends, strict=True)]
            mask = Image.fromarray(cells // 2).resize((to[0], to[1]))
            canvas.paste(color, (round(ends[0][0]), round(ends[0][1])), mask)

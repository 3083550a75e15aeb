"""Detections and annotations drawn over their picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from keras_maskrcnn.drawing import CROWD_COLOR, Shape, color_shapes, draw_shapes
from keras_maskrcnn.images.pixels import PixelFormat
from keras_maskrcnn.outlines import Polygons
from keras_maskrcnn.results import Detections
from keras_maskrcnn.results.pixels import crops
from keras_maskrcnn.results.texts import class_name

if TYPE_CHECKING:
    from keras_maskrcnn.data.records import ImageRecord, Instance


def draw_detections(
    image: np.ndarray,
    detections: Detections,
    *,
    threshold: float = 0.5,
    color_by: str | None = None,
    boxes: bool = True,
    labels: bool = True,
    scale: float = 1.0,
    skeleton: Sequence[tuple[int, int]] | None = None,
) -> np.ndarray:
    """Draw what the model found.

    Args:
        image: uint8 `[H, W, 3]` RGB, or `[H, W]`; the original picture. Of a data set of another
            depth it is `data.pixels.displayed(read_image(path, data.pixels))`. Pictures of other
            channels and float32 are on the scale 0..255; of these the first three channels are
            shown, or the first.
        detections: of that picture.
        threshold: objects of at least this score are drawn.
        color_by: `"class"` or `"instance"`; `None`: by class, or by instance where the model
            knows only one class.
        boxes, labels: whether to draw boxes, and names with scores.
        scale: enlarges the picture before drawing. Masks are drawn at the larger size, so small
            objects become easier to judge.
        skeleton: pairs of keypoint indices to join; `None`: a COCO person's limbs where there are
            17 keypoints. Keypoints with a third value of 0 or less are left out.

    Returns:
        uint8 `[H * scale, W * scale, 3]`; `image` itself is not changed.

    Raises:
        ValueError: when `image` is not the detections' picture, or an option is not one of those.
    """
    canvas = _canvas(image, detections.image_size, scale)
    several = len(set(detections.class_names)) != 1
    shapes = []
    for found in detections[detections.scores >= threshold]:
        score = f"{found.scores[0]:.2f}"
        shape = Shape(
            box=found.boxes[0] * scale,
            class_index=int(found.classes[0]),
            texts=[f"{found.names[0]} {score}", found.names[0]] if several else [score],
            keypoints=_scaled(found.keypoints, scale),
        )
        if found.has_masks:
            ((shape.left, shape.top, values),) = crops(found, scale)
            shape.mask = values >= 0.5
        shapes.append(shape)
    color_shapes(shapes, color_by or ("class" if several else "instance"))
    return draw_shapes(canvas, shapes, boxes, labels, skeleton)


def draw_instances(
    image: np.ndarray,
    record: ImageRecord,
    class_names: Sequence[str],
    *,
    color_by: str | None = None,
    boxes: bool = True,
    labels: bool = True,
    scale: float = 1.0,
    skeleton: Sequence[tuple[int, int]] | None = None,
) -> np.ndarray:
    """Draw the annotated objects of a picture; crowd regions are grey.

    Args:
        image: as in `draw_detections`.
        record: the annotations of that picture.
        class_names: `K` names; classes without one are `class_0 ...`.
        color_by, boxes, labels, scale, skeleton: as in `draw_detections`.

    Returns:
        uint8 `[H * scale, W * scale, 3]`.
    """
    canvas = _canvas(image, (record.height, record.width), scale)
    several = len(set(class_names)) != 1
    shapes = []
    for instance in record.instances:
        name = class_name(class_names, instance.category)
        points = None if instance.keypoints is None else instance.keypoints[None]
        shape = Shape(
            box=np.asarray(instance.box, "float32") * scale,
            class_index=instance.category,
            texts=[f"{name} (crowd)"] if instance.is_crowd else [name] if several else [],
            color=CROWD_COLOR if instance.is_crowd else None,
            keypoints=_scaled(points, scale),
        )
        size = (canvas.shape[0], canvas.shape[1])
        shape.left, shape.top, shape.mask = _instance_mask(instance, record, size, scale)
        shapes.append(shape)
    color_shapes(shapes, color_by or ("class" if several else "instance"))
    return draw_shapes(canvas, shapes, boxes, labels, skeleton)


def _canvas(image: np.ndarray, size: tuple[int, int], scale: float) -> np.ndarray:
    image = np.asarray(image)
    is_picture = image.dtype == np.uint8 or image.dtype == np.float32
    if not is_picture or image.ndim not in (2, 3) or image.shape[:2] != tuple(size):
        raise ValueError(
            f"image must be uint8 [H, W, 3] of the annotated size (h, w)={tuple(size)}. "
            f"Received: image of shape {image.shape}, dtype {image.dtype}"
        )
    if not scale > 0:
        raise ValueError(f"scale must be above 0. Received: scale={scale}")
    if image.ndim == 2:
        image = image[..., None]
    picture = Image.fromarray(PixelFormat(image.shape[2]).displayed(image))
    if scale != 1:
        width, height = (max(1, round(v * scale)) for v in picture.size)
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    return np.array(picture)


def _scaled(keypoints: np.ndarray | None, scale: float) -> np.ndarray | None:
    return None if keypoints is None else keypoints[0] * (scale, scale, 1)


def _instance_mask(
    instance: Instance, record: ImageRecord, size: tuple[int, int], scale: float
) -> tuple[int, int, np.ndarray | None]:
    """Left, top, and the mask from there on."""
    outline = instance.outline
    if isinstance(outline, Polygons):
        moved = outline.transform(np.diag([scale, scale, 1]))
        # Of a picture of 24 megapixels, only where the object is.
        left, top = (max(0, math.floor(v) - 1) for v in moved.bounds()[:2])
        right, bottom = (math.ceil(v) + 1 for v in moved.bounds()[2:])
        height, width = min(size[0], bottom) - top, min(size[1], right) - left
        if min(height, width) < 1:
            return 0, 0, None
        moved = moved.transform(np.array([[1, 0, -left], [0, 1, -top]]))
        return left, top, moved.draw_whole(height, width) > 0
    if outline is None:
        return 0, 0, None
    picture = Image.fromarray(outline.draw_whole(record.height, record.width))
    # Smooth, then cut at half: the enlarged mask keeps its area and loses its steps.
    mask = np.asarray(picture.resize(size[::-1], Image.Resampling.BICUBIC)) >= 128
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return 0, 0, None
    top, left = int(rows[0]), int(columns[0])
    return left, top, mask[top : rows[-1] + 1, left : columns[-1] + 1]

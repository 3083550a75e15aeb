"""Detections and annotations drawn over their picture, and pages that compare the two."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from keras_maskrcnn.drawing import CROWD_COLOR, Shape, color_shapes, draw_shapes, label_font
from keras_maskrcnn.images.pixels import PixelFormat
from keras_maskrcnn.ops.paste import paste_crop
from keras_maskrcnn.outlines import Polygons
from keras_maskrcnn.results import Detections

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
        if found.mask_probabilities is not None:
            size = (canvas.shape[0], canvas.shape[1])
            shape.left, shape.top, values = paste_crop(found.mask_probabilities[0], shape.box, size)
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
        class_names: `K` names.
        color_by, boxes, labels, scale, skeleton: as in `draw_detections`.

    Returns:
        uint8 `[H * scale, W * scale, 3]`.
    """
    canvas = _canvas(image, (record.height, record.width), scale)
    several = len(set(class_names)) != 1
    shapes = []
    for instance in record.instances:
        name = class_names[instance.category]
        points = None if instance.keypoints is None else instance.keypoints[None]
        shape = Shape(
            box=np.asarray(instance.box, "float32") * scale,
            class_index=instance.category,
            texts=[f"{name} (crowd)"] if instance.is_crowd else [name] if several else [],
            color=CROWD_COLOR if instance.is_crowd else None,
            keypoints=_scaled(points, scale),
        )
        mask = _instance_mask(instance, record, (canvas.shape[0], canvas.shape[1]), scale)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if len(rows):
            shape.top, shape.left = int(rows[0]), int(columns[0])
            shape.mask = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        shapes.append(shape)
    color_shapes(shapes, color_by or ("class" if several else "instance"))
    return draw_shapes(canvas, shapes, boxes, labels, skeleton)


def prediction_page(
    rows: Iterable[tuple[np.ndarray, ImageRecord, Detections]],
    class_names: Sequence[str],
    path: str | Path | None = None,
    *,
    threshold: float = 0.5,
    tile: int = 640,
) -> np.ndarray:
    """Pictures as annotated and as found, beside each other on one page.

    Args:
        rows: `(image, record, detections)` of each picture.
        class_names: `K` names.
        path: where to write the page as PNG; `None`: nowhere.
        threshold: as in `draw_detections`.
        tile: length of a drawn picture's longer side in pixels.

    Returns:
        The page as uint8 `[h, w, 3]`.

    Raises:
        ValueError: when there are no rows.
    """
    gap, caption = 16, 30
    strips = []
    for image, record, found in rows:
        scale = tile / max(record.height, record.width)
        pair = [
            draw_instances(image, record, class_names, scale=scale),
            draw_detections(image, found, threshold=threshold, scale=scale),
        ]
        texts = [
            f"{Path(record.path).name}: {sum(not i.is_crowd for i in record.instances)} annotated",
            f"{int((found.scores >= threshold).sum())} found with a score of {threshold:g} or more",
        ]
        height = pair[0].shape[0]
        strip = Image.new("RGB", (2 * tile + 3 * gap, height + caption + gap), "white")
        draw = ImageDraw.Draw(strip)
        for column, (drawn, text) in enumerate(zip(pair, texts, strict=True)):
            x = gap + column * (drawn.shape[1] + gap)
            draw.text((x, caption // 2), text, fill=(40, 40, 40), font=label_font(15), anchor="lm")
            strip.paste(Image.fromarray(drawn), (x, caption))
        strips.append(np.asarray(strip))
    if not strips:
        raise ValueError("A page needs at least one picture. Received: rows=[]")
    page = np.concatenate(strips)
    if path is not None:
        Image.fromarray(page).save(path, format="PNG")
    return page


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
) -> np.ndarray:
    outline = instance.outline
    if outline is None:
        return np.zeros(size, bool)
    if isinstance(outline, Polygons):
        return outline.transform(np.diag([scale, scale, 1])).draw_whole(*size) > 0
    picture = Image.fromarray(outline.draw_whole(record.height, record.width))
    # Smooth, then cut at half: the enlarged mask keeps its area and loses its steps.
    picture = picture.resize(size[::-1], Image.Resampling.BICUBIC)
    return np.asarray(picture) >= 128

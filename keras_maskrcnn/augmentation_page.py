"""A page of what training will see: pictures as they are, and after augmentation.

Legend: `N` objects, `M` mask side, `J` keypoints, `H W` pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from keras_maskrcnn.checks import at_least
from keras_maskrcnn.data.crops import Crops
from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.loading import PictureLoader
from keras_maskrcnn.data.records import ImageRecord
from keras_maskrcnn.data.transforms import added_objects, make_transforms
from keras_maskrcnn.drawing import CROWD_COLOR, Shape, color_shapes, draw_shapes
from keras_maskrcnn.images.tiling import Tiling
from keras_maskrcnn.label_placing import label_font
from keras_maskrcnn.ops.paste import paste_crop

_GAP, _CAPTION = 12, 26


def augmentation_page(
    data: DetectionData,
    augment: Any,
    path: str | Path | None = None,
    *,
    pictures: int = 6,
    draws: int = 4,
    min_size: int = 800,
    max_size: int = 1333,
    seed: int = 0,
    tile: int = 360,
    tiling: Tiling | None = None,
) -> np.ndarray:
    """Draws pictures as they are, and beside each what some passes make of it.

    What is drawn are the targets that a model would learn from, masks included, not the
    annotations.

    Args:
        data: the pictures; those with objects are shown, chosen at random.
        augment: as `DetectionData.batches` takes it.
        path: where to write the page as PNG; `None`: nowhere.
        pictures: rows of the page at most.
        draws: passes that are shown of each picture.
        min_size, max_size: sizes of the network's input, as `DetectionData.batches` takes them.
        seed: of the choice and of the augmentation: a run with this seed begins with these passes.
        tile: length of a drawn picture's longer side in pixels.
        tiling: shows crops in place of pictures, as `DetectionData.batches` makes them with
            `shuffle`: in the first column where they lie by the grid, then as they shift.

    Returns:
        The page as uint8 `[h, w, 3]`.

    Raises:
        ValueError: where the data has no objects, or for `augment` as `DetectionData.batches`.
    """
    at_least(1, pictures=pictures, draws=draws, min_size=min_size, max_size=max_size, tile=tile)
    still = None if tiling is None else Crops(data, tiling)
    shifted = None if tiling is None else Crops(data, tiling, seed)
    records: Sequence[ImageRecord] = data.records if still is None else still.records()
    shown = np.flatnonzero([bool(record.objects) for record in records])
    if not len(shown):
        raise ValueError(f"Expected pictures with objects. Received: none in {data.name!r}")
    rng = np.random.default_rng(seed)
    shown = np.sort(rng.choice(shown, min(pictures, len(shown)), replace=False))
    transforms = make_transforms(augment)
    most = data.max_objects if still is None else still.max_objects
    settings = (seed, most + added_objects(transforms, most), max_size, False)
    has_masks = not data.missing_outlines
    loaders = [
        PictureLoader(data, chosen, *settings, has_masks, False, crops)
        for chosen, crops in (((), still), (transforms, shifted))
    ]
    strips = []
    for index in shown.tolist():
        fields = [_fields(loaders[0], index, 0, min_size)]
        fields += [_fields(loaders[1], index, epoch, min_size) for epoch in range(draws)]
        texts = [Path(records[index].path).name]
        texts += [f"pass {number + 1}" for number in range(draws)]
        strips.append(_strip([_tile(f, data, tile) for f in fields], texts, fields, tile))
    page = np.concatenate(strips)
    if path is not None:
        Image.fromarray(page).save(path, format="PNG")
    return page


def _fields(loader: PictureLoader, index: int, epoch: int, min_size: int) -> dict[str, Any]:
    return dict(zip(loader.shapes, loader(index, epoch, min_size), strict=True))


def _tile(fields: dict[str, Any], data: DetectionData, tile: int) -> np.ndarray:
    """The picture, its longer side `tile` pixels long, with its targets."""
    height, width = fields["image_sizes"]
    scale = tile / max(height, width)
    size = max(1, round(height * scale)), max(1, round(width * scale))
    picture = Image.fromarray(data.pixels.displayed(fields["images"]))
    canvas = np.array(picture.resize(size[::-1], Image.Resampling.BILINEAR))
    shapes = []
    for row in np.flatnonzero(fields["classes"] >= 0):
        category = int(fields["classes"][row])
        shape = Shape(fields["boxes"][row] * scale, category, [data.class_names[category]])
        if "masks" in fields:
            coverage = fields["masks"][row] / np.float32(255)
            shape.left, shape.top, values = paste_crop(coverage, shape.box, size)
            shape.mask = values >= 0.5
        if "keypoints" in fields:
            shape.keypoints = fields["keypoints"][row] * (scale, scale, 1)
        shapes.append(shape)
    color_shapes(shapes, "class" if len(data.class_names) > 1 else "instance")
    crowds = fields["crowd_boxes"][fields["crowd_boxes"].any(axis=1)]
    shapes += [Shape(box * scale, 0, ["crowd"], CROWD_COLOR) for box in crowds]
    return draw_shapes(canvas, shapes, True, len(data.class_names) > 1, None)


def _strip(
    tiles: list[np.ndarray], texts: list[str], fields: list[dict[str, Any]], tile: int
) -> np.ndarray:
    """A row of the page."""
    height = max(len(drawn) for drawn in tiles) + _CAPTION + _GAP
    strip = Image.new("RGB", (len(tiles) * (tile + _GAP) + _GAP, height), "white")
    draw = ImageDraw.Draw(strip)
    for column, (drawn, text, found) in enumerate(zip(tiles, texts, fields, strict=True)):
        x = _GAP + column * (tile + _GAP)
        count = int((found["classes"] >= 0).sum())
        caption = f"{text[-36:]}: {count} object{'s' if count != 1 else ''}"
        draw.text((x, _CAPTION // 2), caption, fill=(40, 40, 40), font=label_font(13), anchor="lm")
        strip.paste(Image.fromarray(drawn), (x, _CAPTION))
    return np.asarray(strip)

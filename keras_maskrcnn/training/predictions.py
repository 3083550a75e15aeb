"""What a model finds, beside what there is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    import keras

    from keras_maskrcnn.data.crops import CropRecord
    from keras_maskrcnn.data.detection_data import DetectionData
    from keras_maskrcnn.data.records import ImageRecord
    from keras_maskrcnn.images.tiling import Tiling

Record = TypeVar("Record", bound="ImageRecord")


def draw_predictions(
    model: keras.Model,
    data: DetectionData,
    path: Path | None = None,
    *,
    count: int = 8,
    tile: int = 480,
    tiling: Tiling | None = None,
) -> np.ndarray:
    """Draws ground truth beside predictions for evenly chosen pictures.

    Where hardly a score reaches .5, lower ones are drawn, and the page says so.

    Args:
        model: a `MaskRCNN`.
        data: where the pictures come from.
        path: of a PNG to write.
        count: how many pictures, at most.
        tile: longer side of each, in pixels.
        tiling: of pictures too large to be seen at once: crops with objects are drawn in place of
            pictures, each in its own size. `None`: whole pictures.

    Returns:
        the page, uint8 `[H, W, 3]`.
    """
    from keras_maskrcnn.data.reading import read_image
    from keras_maskrcnn.inference.tiling.predict import model_finder
    from keras_maskrcnn.prediction_page import prediction_page

    if tiling is None:
        chosen: Sequence[ImageRecord] = _evenly(data.records, count)
        found = model.predict([record.path for record in chosen], verbose=0)
        shown = [data.pixels.displayed(read_image(r.path, data.pixels)) for r in chosen]
    else:
        crops, images = _read_crops(data, tiling, count)
        chosen = crops
        find = model_finder(model)
        found = [find([image], 1.0, [image.shape[:2]])[0] for image in images]
        shown = [data.pixels.displayed(image) for image in images]
    rows = list(zip(shown, chosen, found, strict=True))
    return prediction_page(rows, data.class_names, path, tile=tile)


def _read_crops(
    data: DetectionData, tiling: Tiling, count: int
) -> tuple[list[CropRecord], list[np.ndarray]]:
    """Evenly chosen crops and their pixels: of those with objects, where there are any."""
    from keras_maskrcnn.data.crops import Crops
    from keras_maskrcnn.data.loading import read_crop
    from keras_maskrcnn.data.windows import PictureWindows

    crops = Crops(data, tiling).records()
    chosen = _evenly([crop for crop in crops if len(crop.near)] or crops, count)
    windows = PictureWindows(data.pixels)
    return chosen, [read_crop(windows, crop) for crop in chosen]


def _evenly(records: Sequence[Record], count: int) -> list[Record]:
    places = np.linspace(0, len(records) - 1, min(count, len(records))).round().astype(int)
    return [records[place] for place in places]

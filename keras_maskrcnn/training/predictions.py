"""What a model finds, beside what there is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras

    from keras_maskrcnn.data.detection_data import DetectionData


def draw_predictions(
    model: keras.Model,
    data: DetectionData,
    path: Path | None = None,
    *,
    count: int = 8,
    tile: int = 480,
) -> np.ndarray:
    """Draws ground truth beside predictions for evenly chosen pictures.

    Where hardly a score reaches .5, lower ones are drawn, and the page says so.

    Args:
        model: a `MaskRCNN`.
        data: where the pictures come from.
        path: of a PNG to write.
        count: how many pictures, at most.
        tile: longer side of each, in pixels.

    Returns:
        the page, uint8 `[H, W, 3]`.
    """
    from keras_maskrcnn.data.reading import read_image
    from keras_maskrcnn.prediction_page import prediction_page

    places = np.linspace(0, len(data) - 1, min(count, len(data))).round().astype(int)
    chosen = [data.records[i] for i in places]
    found = model.predict([record.path for record in chosen], verbose=0)
    shown = [data.pixels.displayed(read_image(r.path, data.pixels)) for r in chosen]
    rows = list(zip(shown, chosen, found, strict=True))
    return prediction_page(rows, data.class_names, path, tile=tile)

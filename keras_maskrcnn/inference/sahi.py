"""`SahiModel`: a `MaskRCNN` for `sahi` (Akyon et al. 2022), which slices pictures its own way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_maskrcnn.optional import needed_for
from keras_maskrcnn.results import Detections
from keras_maskrcnn.results.conversions import to_polygons

with needed_for("SahiModel", "sahi"):
    from sahi.models.base import DetectionModel
    from sahi.prediction import ObjectPrediction
    from sahi.utils.compatibility import fix_full_shape_list, fix_shift_amount_list


class SahiModel(DetectionModel):
    """What `sahi` asks of a model. Slices of a batch are seen side by side.

    `model.predict(picture, tile=...)` does the same with exact masks, of pictures of any size;
    this is for programs that use `sahi` already. There, masks are polygons, whose edges are filled
    too (a pixel more at the right and below), and holes are lost where parts are joined.

    Args:
        model: a `MaskRCNN`.
        **options: of `sahi`'s `DetectionModel`, such as `confidence_threshold` (.3) and
            `category_remapping`.

    Raises:
        ImportError: when this module is imported without the package `sahi`.

    Example:

    >>> from sahi.predict import get_sliced_prediction
    >>> get_sliced_prediction("survey.png", SahiModel(model), slice_height=512, slice_width=512)
    """

    def __init__(self, model: Any, **options: Any) -> None:
        super().__init__(model=model, **options)

    def set_device(self, device: str | None = None) -> None:
        """TensorFlow's own choice; `sahi` would ask PyTorch."""
        self.device = device

    def set_model(self, model: Any, **_: Any) -> None:
        self.model = model
        names = enumerate(map(str, model.class_names))
        self.category_mapping = {str(index): name for index, name in names}

    def perform_inference(self, image: np.ndarray) -> None:
        self.perform_batch_inference([image])

    def perform_batch_inference(self, images: Sequence[np.ndarray]) -> None:
        pictures = [np.ascontiguousarray(image) for image in images]
        self._original_predictions = self.model.predict(
            pictures, batch_size=len(pictures), verbose=0
        )

    @property
    def num_categories(self) -> int:
        return len(self.category_mapping)

    @property
    def category_names(self) -> list[str]:
        return list(self.category_mapping.values())

    @property
    def has_mask(self) -> bool:
        return any(found.has_masks for found in self._original_predictions or ())

    def _create_object_prediction_list_from_original_predictions(
        self, shift_amount_list: Any = ((0, 0),), full_shape_list: Any = None
    ) -> None:
        found = self._original_predictions
        shifts = fix_shift_amount_list(shift_amount_list)
        shapes = fix_full_shape_list(full_shape_list) or [None] * len(found)
        self._object_prediction_list_per_image = [
            self._objects(one, list(shift), shape)
            for one, shift, shape in zip(found, shifts, shapes, strict=True)
        ]

    def _objects(
        self, found: Detections, shift: list[int], shape: list[int] | None
    ) -> list[ObjectPrediction]:
        """Of a slice; what it would draw no pixel of is left out, as `sahi` refuses it."""
        sure = found.above({}, self.confidence_threshold)
        rows = zip(sure.boxes, sure.classes, sure.scores, to_polygons(sure), strict=True)
        return [
            ObjectPrediction(
                bbox=box.tolist(),
                category_id=int(k),
                category_name=self.category_mapping[str(int(k))],
                score=float(score),
                segmentation=[polygon.ravel().tolist() for polygon in polygons] or None,
                shift_amount=shift,
                full_shape=shape or list(found.image_size),
            )
            for box, k, score, polygons in rows
            if polygons or not found.has_masks
        ]

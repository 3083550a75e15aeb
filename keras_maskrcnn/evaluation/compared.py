"""What is compared: annotated objects and results, side by side, wherever they come from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from keras_maskrcnn.evaluation.metrics import CocoMetrics, summarize
from keras_maskrcnn.images.pixels import PixelFormat

if TYPE_CHECKING:
    from keras_maskrcnn.data.detection_data import DetectionData
    from keras_maskrcnn.evaluation.checks import Size
    from keras_maskrcnn.evaluation.scores import Scores


@dataclasses.dataclass(frozen=True, eq=False)
class Compared:
    """Ground truth and results in COCO's format, checked; masks as run-length encodings.

    Args:
        class_names, category_ids: of each class.
        sizes: height and width of each picture by its id; `None` where they are not known.
        truth: annotations for each of `"bbox"`, `"segm"` and `"keypoints"` that is compared.
        found: results for the same, as `prepare_results` gives them.
        max_detections: best results of a picture and class that count.
        paths: files of the pictures by their ids, where these are at hand.
        pixels: what the pictures' pixels mean.
    """

    class_names: Sequence[str]
    category_ids: Sequence[int]
    sizes: Mapping[int, Size | None]
    truth: Mapping[str, Sequence[dict[str, Any]]]
    found: Mapping[str, Sequence[dict[str, Any]]]
    max_detections: int
    paths: Mapping[int, str] = dataclasses.field(default_factory=dict)
    pixels: PixelFormat = dataclasses.field(default_factory=PixelFormat)

    def with_pictures(self, data: DetectionData) -> Compared:
        """The same, with the files of a data set's pictures of the same ids."""
        paths = {record.image_id: record.path for record in data.records}
        return dataclasses.replace(self, paths=paths, pixels=data.pixels)

    @cached_property
    def scores(self) -> dict[str, Scores]:
        """Precision and recall of each comparison.

        Raises:
            ValueError: when annotations and results do not all have as many keypoints.
            ImportError: without faster-coco-eval.
        """
        # Training and prediction need no faster-coco-eval.
        from keras_maskrcnn.evaluation.scoring import match

        return {
            name: match(
                self.sizes,
                self.category_ids,
                truth,
                self.found[name],
                name,
                self.max_detections,
            )
            for name, truth in self.truth.items()
        }

    @cached_property
    def metrics(self) -> CocoMetrics:
        """COCO's numbers; raises as `scores`."""
        return summarize(self.scores, self.class_names, self.category_ids)

"""How exact keypoints are: their average precision by the similarity that is asked for.

Legend: `T` thresholds, `K` classes.
"""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Any

import numpy as np

from keras_maskrcnn.evaluation.analysis.numbers import as_json, mean_of_known
from keras_maskrcnn.evaluation.compared import Compared


@dataclasses.dataclass(frozen=True, eq=False)
class KeypointPrecision:
    """Average precision of keypoints; nan for a class without objects.

    Args:
        class_names: `K` names.
        similarities: float64 `[T]`: .5, .55, ..., .95, the OKS from which an object counts as
            found.
        ap: float64 `[T, K]`.
    """

    class_names: tuple[str, ...]
    similarities: np.ndarray
    ap: np.ndarray

    @cached_property
    def mean(self) -> np.ndarray:
        """float64 `[T]`: mean over the classes that have objects."""
        return mean_of_known(self.ap, axis=1)

    def to_json(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "similarities": as_json(self.similarities),
            "mean_ap": as_json(self.mean),
            "classes": {
                name: {"ap": as_json(self.ap[:, k])} for k, name in enumerate(self.class_names)
            },
        }


def keypoint_precision(compared: Compared) -> KeypointPrecision:
    """Average precision by similarity, as COCO's tool counts it.

    Args:
        compared: with keypoints.
    """
    scores = compared.scores["keypoints"]
    places = [scores.category_ids.index(category) for category in compared.category_ids]
    precision = scores.precision[..., places, scores.areas.index("all")]
    return KeypointPrecision(
        class_names=tuple(compared.class_names),
        similarities=scores.ious,
        ap=np.where(precision[:, 0] < 0, np.nan, precision.mean(axis=1)),
    )

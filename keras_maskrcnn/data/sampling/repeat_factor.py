"""Rare classes more often."""

from __future__ import annotations

import numpy as np

from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.sampling.base import SAMPLINGS, Sampling, pictures_with


@SAMPLINGS.register("repeat_factor")
class RepeatFactor(Sampling):
    """Repeats pictures of rare classes (LVIS: Gupta et al. 2019, arXiv 1908.03195, appendix B).

    A class that a part `f` of the pictures has calls for `max(1, sqrt(threshold / f))` repeats, and
    a picture comes as often as the rarest of its classes calls for. The fraction is drawn anew in
    each pass, so that a pass has the same number of pictures.

    Args:
        threshold: part of the pictures, in 0..1, below which a class counts as rare; the default is
            that of LVIS, with 1,203 classes.
        empty_share, max_empty: see `Sampling`.

    Raises:
        ValueError: for a setting that is out of range.
    """

    def __init__(
        self,
        *,
        threshold: float = 0.001,
        empty_share: float | None = None,
        max_empty: int | None = None,
    ) -> None:
        super().__init__(empty_share=empty_share, max_empty=max_empty)
        if not 0 < threshold <= 1:
            raise ValueError(
                f"threshold must be above 0 and at most 1. Received: threshold={threshold}"
            )
        self.threshold = threshold

    def repeats(self, data: DetectionData) -> np.ndarray:
        classes, counts = pictures_with(data)
        parts = np.maximum(counts, 1) / len(classes)
        factors = np.maximum(1.0, np.sqrt(self.threshold / parts))
        return np.array([max([1.0, *factors[list(found)]]) for found in classes])

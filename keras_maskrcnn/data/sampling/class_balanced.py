"""All classes equally often."""

from __future__ import annotations

import numpy as np

from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.sampling.base import SAMPLINGS, Sampling, pictures_with


@SAMPLINGS.register("class_balanced")
class ClassBalanced(Sampling):
    """Each picture as if first a class had been drawn, each as likely, and then a picture that has
    it (class-aware sampling: Shen et al. 2016, arXiv 1512.05830).

    A pass has as many pictures with objects as the data set. One of a class that few others have
    comes often, one of common classes not in each pass.
    """

    def repeats(self, data: DetectionData) -> np.ndarray:
        classes, counts = pictures_with(data)
        per_class = 1.0 / np.maximum(counts, 1) / max(1, np.count_nonzero(counts))
        repeats = np.array([per_class[list(found)].sum() for found in classes])
        with_objects = np.count_nonzero([bool(found) for found in classes])
        # Those without objects have no class: they come once.
        return np.where([bool(found) for found in classes], repeats * with_objects, 1.0)

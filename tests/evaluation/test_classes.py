"""Matching a model's classes with a data set's."""

from types import SimpleNamespace

import numpy as np
import pytest

from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.evaluation.classes import match_classes
from keras_maskrcnn.results import Detections


def _model(*names, num_classes=None):
    return SimpleNamespace(given_class_names=names, num_classes=num_classes or len(names))


DATA = DetectionData([], ["dog", "cat"], [3, 5])


def test_classes_match_by_name_and_foreign_ones_are_dropped():
    classes = match_classes(_model("cat", "N/A", "dog"), DATA)
    np.testing.assert_array_equal(classes, [1, -1, 0])
    found = Detections(
        boxes=np.array([[0, 0, 2, 2]] * 3),
        classes=[2, 1, 0],
        scores=[0.9, 0.8, 0.7],
        mask_probabilities=None,
        image_size=(4, 4),
    ).with_classes(classes, DATA.class_names)
    assert found.names.tolist() == ["dog", "cat"]
    np.testing.assert_allclose(found.scores, [0.9, 0.7])


def test_a_model_without_names_matches_by_count():
    np.testing.assert_array_equal(match_classes(_model(num_classes=2), DATA), [0, 1])
    with pytest.raises(ValueError, match="Expected 3 classes"):
        match_classes(_model(num_classes=3), DATA)


def test_an_unknown_class_is_an_error():
    with pytest.raises(ValueError, match=r"does not know .*\['dog'\]"):
        match_classes(_model("cat"), DATA)

"""Figures hold the numbers of the analysis."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from analysis_scenes import scene

from keras_maskrcnn.evaluation.analysis import analyse_compared
from keras_maskrcnn.evaluation.figures import (
    confusion_figure,
    errors_figure,
    precision_recall_figure,
    thresholds_figure,
)


@pytest.fixture(scope="module")
def comparison():
    truth = [(1, 0, 0, 0, 40, 40), (1, 0, 100, 0, 40, 40), (1, 1, 0, 100, 40, 40)]
    found = [(1, 0, 0, 0, 40, 36, 0.9), (1, 0, 200, 100, 40, 40, 0.8), (1, 1, 100, 0, 40, 40, 0.7)]
    return analyse_compared(scene(truth, found)).comparisons["bbox"]


def test_precision_recall(comparison):
    before = plt.get_backend(), plt.get_fignums()
    figure = precision_recall_figure(comparison.curves, "a")
    assert (plt.get_backend(), plt.get_fignums()) == before
    lines = figure.axes[0].lines
    np.testing.assert_array_equal(lines[0].get_ydata(), comparison.curves.precision[0, :, 0])
    assert [line.get_label() for line in lines][:9:8] == ["IoU 0.50: AP 50.5", "IoU 0.90: AP 50.5"]
    assert lines[9].get_label() == "IoU 0.95: AP 0.0"
    mean = precision_recall_figure(comparison.curves).axes[0].lines[0]
    np.testing.assert_allclose(mean.get_ydata(), comparison.curves.precision[0].mean(axis=-1))
    with pytest.raises(ValueError, match=r"one of \['a', 'b'\]. Received: class_name='c'"):
        precision_recall_figure(comparison.curves, "c")


def test_thresholds(comparison):
    axis = thresholds_figure(comparison.thresholds, "a").axes[0]
    values = {line.get_label(): line for line in axis.lines}
    np.testing.assert_array_equal(values["recall"].get_ydata(), comparison.thresholds.recall[:, 0])
    assert values["best: 0.85, F1 0.67"].get_xdata()[0] == 0.85


def test_confusion(comparison):
    axis = confusion_figure(comparison.confusion).axes[0]
    written = {tuple(map(int, text.get_position())): text.get_text() for text in axis.texts}
    assert written == {(0, 0): "1", (1, 0): "1", (2, 1): "1"}
    assert [label.get_text() for label in axis.get_xticklabels()] == ["a", "b", "background"]


def test_errors(comparison):
    axis = errors_figure(comparison.errors).axes[0]
    widths = [bar.get_width() for bar in axis.patches]
    np.testing.assert_allclose(widths, [100 * v for v in comparison.errors.dap.values()])
    assert max(widths) > 10

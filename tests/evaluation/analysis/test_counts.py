"""Confusion, thresholds and pictures of small scenes, counted by hand."""

import shlex
import subprocess

import numpy as np
import pytest
from analysis_scenes import crowd, scene

from keras_maskrcnn.cli.main import build_parser
from keras_maskrcnn.cli.options import split_thresholds
from keras_maskrcnn.evaluation.analysis import (
    confusion_matrix,
    match_compared,
    picture_scores,
    score_thresholds,
)
from keras_maskrcnn.evaluation.analysis.thresholds import _short_number
from keras_maskrcnn.results import Detections

MIXED = (
    [
        (1, 0, 0, 0, 40, 40),
        (1, 0, 60, 0, 40, 40),
        (1, 1, 120, 0, 40, 40),
        crowd(1, 0, 0, 100, 100, 100),
        (2, 1, 0, 0, 10, 10),
    ],
    [
        (1, 0, 0, 0, 40, 40, 0.9),  # Right.
        (1, 1, 60, 0, 40, 40, 0.8),  # An `a`, called `b`.
        (1, 0, 0, 0, 40, 39, 0.7),  # The first one again.
        (1, 1, 200, 100, 40, 40, 0.6),  # Nothing is there.
        (1, 0, 20, 120, 40, 40, 0.95),  # In the crowd region.
        (1, 1, 120, 0, 40, 40, 0.3),  # Right, but below .5.
        (2, 1, 0, 0, 10, 10, 0.5),  # Right, with .5 itself.
    ],
)


def matched(truth, found, **options):
    return match_compared(scene(truth, found, **options), "bbox")


def test_confusion():
    matching = matched(*MIXED, images=2)
    confusion = confusion_matrix(matching)
    assert confusion.names == ("a", "b", "background")
    assert confusion.counts.tolist() == [[1, 1, 0], [0, 1, 1], [1, 1, 0]]
    assert confusion.most_frequent(2) == [("a", "b", 1), ("b", "background", 1)]
    # With a threshold of its own, `b` is found.
    own = confusion_matrix(matching, np.array([0.8, 0.2]))
    assert own.counts.tolist() == [[1, 1, 0], [0, 2, 0], [0, 1, 0]]
    assert confusion_matrix(matching, 1.1).counts.tolist() == [[0, 0, 2], [0, 0, 2], [0, 0, 0]]


def test_a_right_result_goes_before_one_that_overlaps_more():
    truth = [(1, 0, 0, 0, 40, 40)]
    found = [(1, 1, 0, 0, 40, 40, 0.9), (1, 0, 0, 0, 40, 30, 0.6)]
    counts = confusion_matrix(matched(truth, found)).counts
    assert counts.tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]
    # At .8 the second finds nothing.
    counts = confusion_matrix(matched(truth, found), iou=0.8).counts
    assert counts.tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 0]]


def test_each_object_is_taken_for_one_thing():
    truth = [(1, 0, 0, 0, 40, 40)]
    found = [(1, 1, 0, 0, 40, 30, 0.9), (1, 2, 0, 0, 40, 35, 0.6)]
    counts = confusion_matrix(matched(truth, found, names=("a", "b", "c"))).counts
    assert counts[0].tolist() == [0, 0, 1, 0] and counts[3].tolist() == [0, 1, 0, 0]


def rows(*flags):
    """Four objects `a`, and results that are right (a number) or wrong (`None`), by score."""
    truth = [(1, 0, 50 * k, 0, 40, 40) for k in range(4)]
    found = []
    for score, flag in flags:
        x, y = (0, 150) if flag is None else (50 * flag, 0)
        found.append((1, 0, x, y, 40, 40, score))
    return truth, found


def test_best_threshold():
    truth, found = rows((0.9, 0), (0.8, 1), (0.7, None), (0.6, 2), (0.3, None), (0.2, None))
    thresholds = score_thresholds(matched(truth, found))
    # F1 by number of results: 2/5, 4/6, 4/7, 6/8, 6/9, 6/10.
    assert thresholds.by_name() == {"a": 0.45}
    assert thresholds.best_f1[0] == 0.75
    assert (thresholds.best_precision[0], thresholds.best_recall[0]) == (0.75, 0.75)
    assert thresholds.limits().tolist() == [0.45, 0.5]
    at = {round(float(s), 2): k for k, s in enumerate(thresholds.scores)}
    assert thresholds.f1[at[0.7], 0] == pytest.approx(4 / 7)
    assert thresholds.precision[at[0.71], 0] == 1 and thresholds.recall[at[0.71], 0] == 0.5
    assert thresholds.recall[at[0.0], 0] == 0.75
    assert np.isnan(thresholds.precision[at[0.95], 0]) and thresholds.f1[at[0.95], 0] == 0
    assert np.isnan(thresholds.best[1])


def test_the_best_threshold_is_of_use_elsewhere():
    truth, found = rows((0.6312, 0), (0.6301, 1), (0.6298, None), (0.1, None))
    thresholds = score_thresholds(matched(truth, found, names=("a wild cat", "b")))
    command = thresholds.command("runs/cats")
    assert command == "maskrcnn predict runs/cats PICTURES '--threshold=a wild cat=0.63'"
    boxes = np.tile((0, 0, 9, 9), (4, 1))
    scores = [score for *_, score in found]
    detections = Detections(boxes, [0] * 4, scores, None, (9, 9), ["a wild cat", "b"])
    assert len(detections.above(thresholds.by_name())) == 2


@pytest.mark.parametrize(
    "name",
    ["a wild cat", "-x", "--tta", "-1", "--", "a=b", "=", "it's", 'say "cat"', "$(ls) `ls` !!",
     "back\\slash", "line\nbreak", "", " ", "*", "@file", "кот"],
)  # fmt: skip
def test_the_command_can_be_pasted_whatever_a_class_is_called(name):
    truth, found = rows((0.6312, 0), (0.6301, 1), (0.6298, None), (0.1, None))
    command = score_thresholds(matched(truth, found, names=(name, "b"))).command("my runs/cats")
    seen = subprocess.run(
        ["sh", "-c", command.replace("maskrcnn", "printf '%s\\0'", 1)],
        capture_output=True,
        check=True,
    ).stdout.decode()
    words = seen.split("\0")[:-1]
    assert words == shlex.split(command)[1:]
    args = build_parser().parse_args(words)
    assert (args.command, args.model, args.pictures) == ("predict", "my runs/cats", ["PICTURES"])
    assert split_thresholds(args.threshold, 0.5) == ({name: 0.63}, 0.5)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.3, 0.6, 0.45),
        (0.6299, 0.6301, 0.63),
        (0.62991, 0.62999, 0.62995),
        (-np.inf, 0.6312, 0.63),
        (-np.inf, 0.004, 0.0),
        (-3.0, -1.0, -2.0),
        (0.1, float(np.nextafter(0.1, 1)), float(np.nextafter(0.1, 1))),
    ],
)
def test_short_numbers(low, high, expected):
    value = _short_number(low, high)
    assert value == expected and low < value <= high


def test_results_in_crowd_regions_lower_no_precision():
    thresholds = score_thresholds(matched(*MIXED, images=2))
    assert thresholds.best_precision[0] == 1 and thresholds.best_recall[0] == 0.5


def test_pictures():
    scores = picture_scores(matched(*MIXED, images=3))
    assert scores.right.tolist() == [1, 1, 0]
    assert scores.wrong.tolist() == [3, 0, 0]
    assert scores.missed.tolist() == [2, 0, 0]
    np.testing.assert_allclose(scores.f1, [2 / 7, 1, np.nan])
    assert scores.image_ids[scores.worst(5)].tolist() == [1]
    assert scores.image_ids[scores.best(5)].tolist() == [2, 1]
    assert scores.to_json()[2] == {
        **{"image_id": 3, "right": 0, "wrong": 0, "missed": 0},
        "f1": None,
    }


def test_of_equal_pictures_the_one_with_more_errors_is_worse():
    found = [(2, 0, 0, 0, 9, 9, 0.9), (3, 0, 0, 0, 9, 9, 0.9), (3, 0, 50, 0, 9, 9, 0.9)]
    scores = picture_scores(matched([(1, 0, 0, 0, 9, 9)], found, images=3))
    assert scores.image_ids[scores.worst(2)].tolist() == [3, 1]

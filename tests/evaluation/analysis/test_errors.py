"""Kinds of errors by hand: each alone, and mixed."""

import numpy as np
import pytest
from analysis_scenes import composed, crowd, scene
from evaluation_reference import compose

from keras_maskrcnn.evaluation.analysis import ERROR_TYPES, error_types, match_compared

A, FAR = (0, 0, 40, 40), (100, 0, 40, 40)
HALF = 51 / 101  # Average precision where one of two objects is found first: recalls 0 to .5.


def errors(truth, found, **options):
    return error_types(match_compared(scene(truth, found, **options), "bbox"))


def only(**counts):
    return {name: counts.get(name, 0) for name in ERROR_TYPES}


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("class", (1, 1, *FAR, 0.9)),
        ("localisation", (1, 0, 120, 0, 40, 40, 0.9)),  # A third.
        ("both", (1, 1, 120, 0, 40, 40, 0.9)),
        ("background", (1, 0, 200, 100, 40, 40, 0.9)),
        ("missed", None),
    ],
)
def test_each_kind_alone(kind, found):
    """Of two objects `a`, one is found; the other is, but for one error. `b` is found elsewhere."""
    truth = [(1, 0, *A), (1, 0, *FAR), (2, 1, *A)]
    right = [(1, 0, *A, 0.95), (2, 1, *A, 0.95)]
    result = errors(truth, right + ([found] if found else []), images=2)
    counts = dict(zip(ERROR_TYPES, result.counts.sum(axis=1).tolist(), strict=True))
    # A result that means nothing leaves its object missed.
    missed = 0 if kind in ("class", "localisation") else 1
    assert counts == only(**{kind: 1, "missed": missed})
    assert result.ap.tolist() == pytest.approx([HALF, 1])
    gain = 0 if kind in ("both", "background") else (1 - HALF) / 2
    assert result.dap[kind] == pytest.approx(gain)
    others = {name: v for name, v in result.dap.items() if name not in (kind, "missed")}
    assert set(others.values()) == {0.0}
    assert result.all_mended.tolist() == [1, 1]


def test_a_duplicate_alone():
    truth = [(1, 0, *A), (1, 0, *FAR)]
    found = [(1, 0, *A, 0.9), (1, 0, 0, 0, 40, 38, 0.8), (1, 0, *FAR, 0.7)]
    result = errors(truth, found)
    assert result.counts[:, 0].tolist() == [0, 0, 0, 1, 0, 0]
    # Recalls up to .5 with precision 1, the rest with 2/3.
    ap = (51 + 50 * 2 / 3) / 101
    assert result.ap[0] == pytest.approx(ap)
    assert result.dap["duplicate"] == pytest.approx(1 - ap)
    assert np.isnan(result.ap[1])  # There is no `b`.


def test_a_wrong_class_takes_from_one_and_gives_to_another():
    truth = [(1, 0, *A), (1, 1, *FAR)]
    found = [(1, 1, *A, 0.9), (1, 1, *FAR, 0.8)]
    result = errors(truth, found)
    assert result.ap.tolist() == pytest.approx([0, 0.5])
    assert result.mended[0].tolist() == [1, 1]
    assert result.counts[0].tolist() == [0, 1]  # Of the class that it was taken for.
    assert result.dap["class"] == pytest.approx(0.75)


def test_of_several_the_best_is_mended_and_the_others_go():
    truth = [(1, 0, *A)]
    near = [(1, 0, 20, 0, 40, 40, 0.6), (1, 1, *A, 0.7), (1, 0, 0, 20, 40, 40, 0.8)]
    result = errors(truth, near)
    assert result.counts.sum(axis=1).tolist() == [1, 2, 0, 0, 0, 0]
    # The result of .8 becomes right, and that of .6 goes; that of `b` would come after.
    assert result.mended[1, 0] == 1
    # Mending the class takes the result of `b` away: `a` has none that is right.
    assert result.mended[0, 0] == 0
    assert result.all_mended[0] == 1


def test_an_object_that_was_found_is_not_found_by_mending():
    truth = [(1, 0, *A), (1, 0, *FAR)]
    found = [(1, 0, 20, 0, 40, 40, 0.9), (1, 0, *A, 0.8)]
    result = errors(truth, found)
    assert result.counts[:, 0].tolist() == [0, 1, 0, 0, 0, 1]
    assert result.ap[0] == pytest.approx(51 * 0.5 / 101)
    assert result.mended[1, 0] == pytest.approx(HALF)
    assert result.mended[5, 0] == pytest.approx(0.5)
    assert result.without_wrong[0] == pytest.approx(HALF)
    assert result.without_missed[0] == pytest.approx(0.5)


def test_limits():
    """Overlaps of .5 and .1 to the digit: 20 x 40 of 40 x 40, and 4 x 40 of it."""
    half, tenth, less = (0, 0, 20, 40), (0, 0, 4, 40), (0, 0, 4, 39)
    for box, kind in ((tenth, "localisation"), (less, "background")):
        result = errors([(1, 0, *A)], [(1, 0, *box, 0.9)])
        assert result.counts[ERROR_TYPES.index(kind), 0] == 1
    assert errors([(1, 0, *A)], [(1, 0, *half, 0.9)]).ap[0] == 1  # Found.
    result = errors([(1, 0, *A)], [(1, 1, *half, 0.9)])
    assert result.counts[0, 1] == 1
    # .1 of another class alone is neither place nor class, and background up to .1.
    assert errors([(1, 0, *A)], [(1, 1, *tenth, 0.9)]).counts[4, 1] == 1


def test_crowd_regions_make_no_errors():
    truth = [crowd(1, 0, 0, 0, 100, 100), (1, 0, 150, 0, 40, 40)]
    found = [(1, 0, 150, 0, 40, 40, 0.5), (1, 0, 10, 10, 40, 40, 0.9), (1, 1, 10, 10, 40, 40, 0.9)]
    result = errors(truth, found)
    assert result.kinds.tolist() == [-1, -1, ERROR_TYPES.index("background")]
    assert result.counts.sum() == 1 and result.ap[0] == 1 and not result.missed.any()


def test_a_class_of_which_nothing_is_found():
    result = errors([(1, 0, *A), (1, 1, *FAR)], [(1, 0, *A, 0.9), (1, 1, *A, 0.8)])
    assert result.ap.tolist() == [1, 0]
    # Without the missed `b` the false one stays; without both nothing is left to do.
    assert result.mended[5].tolist() == [1, 0]
    assert result.all_mended.tolist() == [1, 1]


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
@pytest.mark.parametrize("options", [{}, {"crowds": 0.4}, {"ties": True, "copies": 5}])
def test_mending_everything_gives_one(options, iou_type, tmp_path):
    content, results = compose(3, pictures=8, **options)
    compared, _ = composed(tmp_path, content, results, iou_type)
    matching = match_compared(compared, iou_type)
    result = error_types(matching)
    there = matching.objects > 0
    np.testing.assert_array_equal(result.all_mended, np.where(there, 1, np.nan))
    prefix = {"bbox": "box", "segm": "mask"}[iou_type]
    assert result.ap[there].mean() == pytest.approx(compared.metrics[f"{prefix}_ap50"])
    assert 0.05 < result.ap[there].mean() < 0.95
    t = matching.threshold(0.5)
    assert result.counts[:-1].sum() == matching.all.wrong[t].sum()
    assert result.counts[-1].sum() == result.missed.sum()

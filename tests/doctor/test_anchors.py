"""How anchors fit, by hand."""

import itertools

import numpy as np
import pytest
from doctor_data import data_of, examined, findings, pixels, record, save, thing

from keras_maskrcnn.doctor.anchors import anchor_sides, best_overlaps, proposed_sizes
from keras_maskrcnn.images.input_size import InputSize
from keras_maskrcnn.ops.anchors import cell_anchors

SIZES, RATIOS = (32.0, 64.0, 128.0, 256.0, 512.0), (0.5, 1.0, 2.0)


def test_sides_are_those_of_the_anchors_of_the_model():
    corners = cell_anchors(SIZES, RATIOS)
    np.testing.assert_allclose(
        anchor_sides(SIZES, RATIOS), corners[:, 2:] - corners[:, :2], rtol=1e-6
    )


def test_overlaps_by_hand():
    sides = np.array([[32, 32], [16, 32], [16, 16], [2048, 2048], [0, 5]], float)
    # 16 x 32 in 32 x 32: a half; in the anchor of ratio 2, 22.6 x 45.3: 512 of 1024 too.
    expected = [1, 0.5, 0.25, 1 / 16, 0]
    np.testing.assert_allclose(best_overlaps(sides, SIZES, RATIOS), expected)
    assert best_overlaps(np.zeros((0, 2)), SIZES, RATIOS).shape == (0,)


def test_proposed_sizes():
    """Squares of 8, 16, ... 128 pixels: the ladder that starts at 8 fits all of them exactly."""
    sides = np.array([[side, side] for side in (8, 16, 32, 64, 128)], float)
    assert proposed_sizes(sides, SIZES, RATIOS) == (8.0, 16.0, 32.0, 64.0, 128.0)
    large = np.array([[side, side] for side in (96, 192, 384, 768)], float)
    proposed = proposed_sizes(large, SIZES, RATIOS)
    assert [b / a for a, b in itertools.pairwise(proposed)] == [2, 2, 2, 2]
    # 8 pixels and 14 quarters of an octave are 91; 108 would be as far off on the other side.
    assert proposed[0] == 91
    np.testing.assert_allclose(best_overlaps(large, proposed, RATIOS), (91 / 96) ** 2)
    # What fits is kept, and so is what cannot be told.
    assert proposed_sizes(sides * 4, SIZES, RATIOS) == SIZES
    assert proposed_sizes(np.zeros((0, 2)), SIZES, RATIOS) == SIZES


def test_anchors_that_do_not_fit(tmp_path):
    path = save(tmp_path / "a.png", pixels(1))
    small = [thing(k, (8 * k, 10, 8 * k + 8, 18)) for k in range(2)]
    good = [thing(10 + k, (8 * k, 20, 8 * k + 32, 52)) for k in range(6)]

    def found(things, **options):
        return examined(data_of([record(1, path, things)]), **options)

    report = found([*small, *good])  # 2 of 8.
    (finding,) = findings(report, "anchors_do_not_fit")
    assert finding.numbers == {"share": 0.25, "objects": 8}
    assert report.anchors["mean_best_iou"] == pytest.approx((2 / 16 + 6) / 8)
    assert findings(found(good), "anchors_do_not_fit") == []
    # Enlarged four times, they are 32 pixels in the network.
    larger = found(small, input_size=InputSize(240, 1000))
    assert findings(larger, "anchors_do_not_fit") == []
    proposed = found(small).anchors
    assert proposed["proposed_anchor_sizes"] == [8.0, 16.0, 32.0, 64.0, 128.0]
    assert proposed["proposed_mean_best_iou"] == 1.0

"""How anchors fit, by hand."""

import numpy as np
import pytest
from doctor_data import data_of, examined, findings, pixels, record, save, thing

from keras_maskrcnn.cli.options import parse_settings
from keras_maskrcnn.doctor.anchors import anchor_sides, as_setting, best_overlaps, proposed_sizes
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
    # 8 pixels and 14 quarters of an octave are 90.5, of which 45 is a half and fits as well;
    # 107.6 would be farther off.
    assert proposed_sizes(large, SIZES, RATIOS) == (45.0, 91.0, 181.0, 362.0, 724.0)
    # Objects of one size fit any ladder of which it is a step: 8 * 2 ** 3.25 is one of 19, 38 and
    # 76. The one nearest to 32 is taken.
    one = np.full((3, 2), 8 * 2**3.25)
    assert proposed_sizes(one, SIZES, RATIOS) == (38.0, 76.0, 152.0, 304.0, 609.0)
    # A ladder that fits one object in 200 better, by .0047 in the mean, is no reason to leave it.
    most = np.concatenate([np.full((199, 2), 8 * 2**3.25), np.full((1, 2), 8 * 2**0.25)])
    assert proposed_sizes(most, SIZES, RATIOS)[0] == 38
    # What fits is kept, and so is what cannot be told.
    assert proposed_sizes(sides * 4, SIZES, RATIOS) == SIZES
    assert proposed_sizes(np.zeros((0, 2)), SIZES, RATIOS) == SIZES


def test_anchors_that_do_not_fit(tmp_path):
    path = save(tmp_path / "a.png", pixels(1))
    small = [thing(k, (8 * k, 10, 8 * k + 8, 18)) for k in range(2)]
    good = [thing(10 + k, (8 * k, 20, 8 * k + 32, 52)) for k in range(5)]

    def found(things, **options):
        return examined(data_of([record(1, path, things)]), **options)

    report = found([*small, *good])  # 2 of 7; a quarter is not enough.
    (finding,) = findings(report, "anchors_do_not_fit")
    assert finding.numbers == {"share": 2 / 7, "objects": 7}
    assert report.anchors["mean_best_iou"] == pytest.approx((2 / 16 + 5) / 7)
    # As it is pasted into a command.
    assert 'proposed: --set "rpn.anchor_sizes=[[' in finding.words
    words = as_setting((8.0, 16.5)).removeprefix("--set ").strip('"')
    assert parse_settings([words]) == {"rpn.anchor_sizes": [[8], [16.5]]}
    assert findings(found(good), "anchors_do_not_fit") == []
    quarter = [*small, *good, thing(30, (0, 0, 32, 32))]
    assert findings(found(quarter), "anchors_do_not_fit") == []
    # 320 x 12 pixels: 181 x 12 are shared with half of that of an anchor 181 wide, and no more.
    long = found([thing(1, (0, 0, 80, 3))], input_size=InputSize(240, 1000))
    (finding,) = findings(long, "anchors_do_not_fit")
    assert "look at their shapes" in finding.words
    # Enlarged four times, they are 32 pixels in the network.
    larger = found(small, input_size=InputSize(240, 1000))
    assert findings(larger, "anchors_do_not_fit") == []
    proposed = found(small).anchors
    assert proposed["proposed_anchor_sizes"] == [8.0, 16.0, 32.0, 64.0, 128.0]
    assert proposed["proposed_mean_best_iou"] == 1.0

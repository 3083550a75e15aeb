"""What every RoI head owes where its graph is traced or its numbers are halved; see
`test_contract.py`.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from head_cases import CASES, NO_ROIS, ROIS, dtypes, features, flat, layout, make, said, targets
from keras import ops

from keras_maskrcnn.heads import MatchedRoIs
from keras_maskrcnn.losses import only_replica


def test_walks_in_a_graph_whose_number_of_rois_is_unknown(name):
    head, truth = make(name), CASES[name].truth()
    form = layout(head, truth)
    shapes = {"features": features(head).shape[1:], "roi_boxes": (4,)}
    integers = ("roi_images", "roi_objects", "roi_classes")
    inputs = {
        **{k: keras.Input(shape, name=k) for k, shape in shapes.items()},
        **{k: keras.Input((), dtype="int32", name=k) for k in integers},
        **{k: keras.Input(s, dtype=d, name=k) for k, (s, d) in head.truth(form).items()},
    }
    rois = MatchedRoIs(*(inputs[k] for k in ("roi_boxes", *integers)))
    predictions = head.forward(inputs["features"], rois.classes)
    model = keras.Model(
        inputs,
        {
            "results": head.decode(predictions, rois.boxes),
            "targets": head.targets(rois, inputs, form),
        },
    )
    for some in (ROIS, NO_ROIS):
        count = len(some.classes)
        given = {f"roi_{k}": v for k, v in vars(some).items()}
        given |= {"features": features(head)[:count], **truth}
        given = {k: tf.constant(v) for k, v in given.items()}
        found = tf.function(model)(given)
        expected = {
            "results": head.decode(said(head, count), some.boxes),
            "targets": targets(head, some),
        }
        for one, other in zip(flat(found), flat(expected), strict=True):
            assert one.shape == other.shape
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_targets_losses_and_results_stay_float32(name, dtype):
    full, half = make(name), make(name, dtype)
    said(full), said(half)
    half.head.set_weights(full.head.get_weights())
    predictions = half.forward(ops.cast(features(half), dtype[6:]), ROIS.classes)
    losses = half.losses(predictions, targets(half), only_replica)
    results = half.decode(predictions, ROIS.boxes)
    assert dtypes([predictions, losses, results]) == {"float32"}
    for one, other in zip(flat(targets(half)), flat(targets(full)), strict=True):
        np.testing.assert_array_equal(one, other)
    exact = full.losses(said(full), targets(full), only_replica)
    for loss, expected in zip(losses.values(), exact.values(), strict=True):
        assert float(loss) == pytest.approx(float(expected), rel=0.02)

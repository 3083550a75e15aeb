"""The RoIAlign layer: level assignment, dtypes, saving."""

import keras
import numpy as np
import pytest

from keras_maskrcnn.ops.roi_align import roi_align
from keras_maskrcnn.poolers.roi_align import RoIAlignLayer


def test_list_of_boxes_with_images():
    features = [np.arange(2.0, dtype="float32").reshape(2, 1, 1, 1) * np.ones((1, 8, 8, 1), "f")]
    boxes, images = np.array([[0, 0, 30, 30]] * 3, "float32"), np.array([1, 0, 1])
    pooled = RoIAlignLayer(2, strides=(4,))(features, boxes, images)
    np.testing.assert_array_equal(pooled[:, 0, 0, 0], [1, 0, 1])
    with pytest.raises(ValueError, match="needs the images"):
        RoIAlignLayer(2, strides=(4,))(features, boxes)


def test_features_keep_their_dtype_and_boxes_their_precision():
    # bfloat16 would round 1003 to 1004, a quarter of a cell.
    policy = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    try:
        ramp = np.tile(np.arange(256, dtype="float32"), (1, 4, 1))[..., None]
        feature = keras.ops.cast(ramp, "bfloat16")
        pooled = RoIAlignLayer(1, strides=(4,), sampling_ratio=1)(
            [feature], np.array([[[1003, 2, 1003, 2]]], "float32")
        )
    finally:
        keras.mixed_precision.set_dtype_policy(policy)
    assert pooled.dtype == "bfloat16"
    # x = 1003 / 4 - .5 = 250.25, of which bfloat16 keeps 250 (1004 would give 250.5, so 250 too;
    # the float32 result tells them apart).
    exact = roi_align(
        [ramp], [[1003, 2, 1003, 2]], [0], [0], output_size=1, scales=[0.25], sampling_ratio=1
    )
    np.testing.assert_allclose(exact.numpy().item(), 250.25)
    np.testing.assert_allclose(keras.ops.cast(pooled, "float32"), [[[[[250]]]]])


def test_model_trains_and_saves(tmp_path):
    image = keras.Input((64, 64, 3))
    boxes = keras.Input((4, 4))
    feature = keras.layers.Conv2D(8, 3, strides=4, padding="same")(image)
    pooled = RoIAlignLayer(3, strides=(4,))([feature], boxes)
    model = keras.Model([image, boxes], keras.layers.Dense(1)(keras.layers.Flatten()(pooled)))
    random = np.random.default_rng(0)
    x = [random.random((4, 64, 64, 3)), np.tile([[4.0, 4.0, 40.0, 50.0]], (4, 4, 1))]
    before = model.layers[1].get_weights()[0]
    model.compile("sgd", "mse")
    assert not model.jit_compile
    model.fit(x, random.random((4, 1)), verbose=0)
    assert np.abs(model.layers[1].get_weights()[0] - before).max() > 0
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6)


def test_symbolic_shape():
    features = [keras.Input((None, None, 6)) for _ in range(4)]
    assert RoIAlignLayer((7, 9))(features, keras.Input((10, 4))).shape == (None, 10, 7, 9, 6)


def test_strides_must_double():
    with pytest.raises(ValueError, match=r"strides=\(4, 16\)"):
        RoIAlignLayer(7, strides=(4, 16))

"""ImageNormalization against the three conventions and the recorded network input."""

import keras
import numpy as np
import pytest

from keras_maskrcnn.layers.preprocessing import ImageNormalization


def test_worked_by_hand():
    pixel = np.array([[[[255, 0, 51]]]], "uint8")
    expected = {
        "torch": [(1 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225],
        "caffe": [51 - 103.53, 0 - 116.28, 255 - 123.675],
        "vgg": [51 - 103.939, 0 - 116.779, 255 - 123.68],
        "tf": [1.0, -1.0, 51 / 127.5 - 1],
    }
    for preprocessing, values in expected.items():
        y = ImageNormalization(preprocessing)(pixel)
        np.testing.assert_allclose(np.ravel(y), values, rtol=1e-5)
        as_float = ImageNormalization(preprocessing)(pixel.astype("float32"))
        np.testing.assert_array_equal(y, as_float)


def test_padding_is_zero_after_normalisation():
    images = np.full((2, 3, 4, 3), 7, "uint8")
    sizes = np.array([[2, 3], [3, 4]], "int32")
    y = np.array(ImageNormalization("caffe")(images, sizes))
    assert np.all(y[0, 2:] == 0) and np.all(y[0, :, 3:] == 0)
    assert np.all(y[0, :2, :3] != 0) and np.all(y[1] != 0)


@pytest.mark.parametrize("case", ["tv_mask_r50_fpn", "d2_mask_r50_fpn"])
def test_recorded_input(golden, case):
    image = golden("images")["image0"]
    y = ImageNormalization({"t": "torch", "d": "caffe"}[case[0]])(image[None])
    y = np.transpose(y, (0, 3, 1, 2))[:, :, ::8, ::8]
    recorded = golden(case)["input_nchw"]
    np.testing.assert_allclose(y, recorded, atol=1e-6 * np.abs(recorded).max())


def test_arithmetic_is_float32_under_a_mixed_policy():
    # 123.9 is 124 in bfloat16, which would make the difference to the mean .325.
    layer = ImageNormalization("caffe", dtype="mixed_bfloat16")
    y = layer(np.array([[[[123.9, 0, 0]]]], "float32"))
    assert keras.backend.standardize_dtype(y.dtype) == "bfloat16"
    y = np.array(keras.ops.cast(y, "float32"))
    np.testing.assert_allclose(y[0, 0, 0, 2], 0.225, atol=0.002)
    assert layer.compute_output_spec(keras.KerasTensor((1, 2, 3, 3))).dtype == "bfloat16"


def test_unknown_convention():
    with pytest.raises(ValueError, match=r"'none'\). Received: .*='bgr'"):
        ImageNormalization("bgr")


def test_config():
    config = ImageNormalization("tf", name="n").get_config()
    assert ImageNormalization.from_config(config).preprocessing == "tf"


def test_own_statistics():
    """To mean 0, and to the spread of ImageNet's pictures in the network."""
    picture = np.array([[[[20.0, 60.0, 100.0, 130.0]]]], "float32")
    mean, deviation = (10.0, 20.0, 40.0, 130.0), (5.0, 10.0, 20.0, 7.0)
    parts = np.array([2.0, 4.0, 3.0, 0.0])
    for preprocessing, expected in {
        "torch": parts,
        "none": parts,
        # 58.395, 57.12 and 57.375 are 57.63 on average.
        "caffe": parts[[2, 1, 0, 3]] * 57.63,
        "vgg": parts[[2, 1, 0, 3]] * 57.63,
        "tf": parts * 57.63 / 127.5,
    }.items():
        layer = ImageNormalization(preprocessing, mean, deviation)
        np.testing.assert_allclose(np.ravel(layer(picture)), expected, rtol=1e-5, atol=1e-5)
        again = ImageNormalization.from_config(layer.get_config())
        np.testing.assert_array_equal(again(picture), layer(picture))
    two = ImageNormalization("caffe", mean[:2], deviation[:2])(picture[..., :2])
    np.testing.assert_allclose(np.ravel(two), parts[:2] * 57.63, rtol=1e-5)
    # Matterport pads with black: 0 as the network sees it.
    layer = ImageNormalization("matterport", mean, deviation)
    padded = np.array(layer(np.repeat(picture, 2, 1), np.array([[1, 1]], "int32")))
    np.testing.assert_allclose(padded[0, 1, 0], np.array([-2, -2, -2, -130 / 7]) * 57.63, rtol=1e-5)


@pytest.mark.parametrize(
    "statistics",
    [
        ((1.0, 2.0), None),
        (None, (1.0,)),
        ((1.0,), (1.0, 2.0)),
        ((1.0,), (0.0,)),
        ((float("nan"),), (1.0,)),
    ],
)
def test_statistics_that_are_none(statistics):
    with pytest.raises(ValueError, match="measure_pixels.*Received: pixel_mean="):
        ImageNormalization("torch", *statistics)

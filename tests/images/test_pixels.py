"""What values of pixels become, against numbers worked by hand and Pillow."""

import numpy as np
import pytest
from PIL import Image

from keras_maskrcnn.images.pixels import PixelFormat, to_bytes, to_levels

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (5, 7, 4), np.uint8)


def test_by_type():
    rgb = PixelFormat()
    assert rgb.of_file(BYTES[..., :3]).dtype == np.uint8
    np.testing.assert_array_equal(rgb.of_file(BYTES[..., :3]), BYTES[..., :3])
    # 65535 is white, as 255 is: a 257th.
    deep = np.array([[[0, 257, 65535]]], np.uint16)
    assert rgb.of_file(deep).tolist() == [[[0.0, 1.0, 255.0]]]
    assert rgb.of_file(deep.astype(">u2")).tolist() == [[[0.0, 1.0, 255.0]]]
    assert rgb.of_file(np.array([[[0.0, 0.2, 1.0]]])).tolist() == [[[0.0, np.float32(51.0), 255.0]]]
    assert rgb.of_file(np.array([[True, False]])).tolist() == [[[255] * 3, [0] * 3]]
    # A file of 12 bits says so.
    assert rgb.of_file(np.array([[4095]], np.uint16), white=4095).tolist() == [[[255.0] * 3]]


def test_by_range():
    # -1000..3000 on 0..255: a step of 4000 / 255 is one level. Nothing is clipped.
    depth = PixelFormat(channels=1, value_range=(-1000, 3000))
    values = np.array([[-1000, 0, 3000, 5000, -2000]], np.int16)
    found = depth.of_file(values)
    assert found.dtype == np.float32 and found.shape == (1, 5, 1)
    np.testing.assert_allclose(found[0, :, 0], [0, 63.75, 255, 382.5, -63.75], rtol=1e-6)
    np.testing.assert_array_equal(depth.of_array(values[..., None]), found)
    # Bytes count by the range, too, unless it is their own.
    assert PixelFormat(1, (0, 51)).of_file(np.array([[10]], np.uint8)).tolist() == [[[50.0]]]
    assert PixelFormat(1, (0, 255)).of_file(np.array([[10]], np.uint8)).dtype == np.uint8
    # Numbers of 32 bits, of which a float32 would hold 24: 2^30 + 64 of 2^30..2^30 + 128.
    wide = np.array([[2**30 + 64]], np.int32)
    assert PixelFormat(1, (2**30, 2**30 + 128)).of_file(wide).tolist() == [[[127.5]]]


def test_no_bit_of_16_is_lost():
    every = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    for found in (
        PixelFormat(1).of_file(every),
        PixelFormat(1).of_array(every[..., None]),
        PixelFormat(1, (0, 65535)).of_file(every),
        to_levels(every, 0, 65535)[..., None],
    ):
        assert len(np.unique(found)) == 65536
        np.testing.assert_array_equal(np.rint(found[..., 0] * 257.0), every)


def test_channels_that_have_one_meaning():
    grey, alpha = BYTES[..., :1], BYTES[..., :2]
    rgb = PixelFormat()
    for values in (grey[..., 0], grey, alpha):
        np.testing.assert_array_equal(rgb.of_file(values), np.repeat(grey, 3, -1))
    np.testing.assert_array_equal(rgb.of_file(BYTES), BYTES[..., :3])
    np.testing.assert_array_equal(PixelFormat(4).of_file(BYTES), BYTES)
    one = PixelFormat(1)
    np.testing.assert_array_equal(one.of_file(alpha), grey)
    # .299 * 255 = 76.245, .587 * 255 = 149.685, .114 * 255 = 29.07; (3, 1, 0): 1.484.
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [3, 1, 0]]], np.uint8)
    assert one.of_file(colours)[0, :, 0].tolist() == [76, 150, 29, 1]
    luma = np.asarray(Image.fromarray(BYTES[..., :3]).convert("L"))
    # Pillow's weights have 16 bits.
    assert np.abs(one.of_file(BYTES)[..., 0].astype(int) - luma).max() <= 1
    deep = one.of_file(colours.astype(np.uint16) * 257)
    np.testing.assert_allclose(deep[0, :, 0], [76.245, 149.685, 29.07, 1.484], rtol=1e-5)


@pytest.mark.parametrize(
    ("pixels", "values", "words"),
    [
        (PixelFormat(), np.zeros((2, 2, 5), np.uint8), r"grey or RGB.*\(2, 2, 5\)"),
        (PixelFormat(4), np.zeros((2, 2, 3), np.uint8), r"4 channels.*\(2, 2, 3\)"),
        (PixelFormat(4), np.zeros((2, 2), np.uint8), r"4 channels.*\(2, 2, 1\)"),
        (PixelFormat(2), np.zeros((2, 2, 3), np.uint8), r"2 channels.*\(2, 2, 3\)"),
        (PixelFormat(), np.zeros((1, 2, 2, 3), np.uint8), r"\(1, 2, 2, 3\)"),
        (PixelFormat(), np.zeros((2, 2), np.int16), "value_range.*type int16"),
        (PixelFormat(), np.zeros((2, 2), np.uint32), "value_range.*type uint32"),
        (PixelFormat(), np.full((2, 2), 1.5), "value_range.*1.5 to 1.5"),
        (PixelFormat(), np.full((2, 2), -0.5), "value_range"),
        (PixelFormat(), np.full((2, 2), np.nan), "finite floats in 0..1. Received: 4 "),
        (PixelFormat(1, (0, 9)), np.array([[np.inf, 1]]), "finite numbers. Received: 1 "),
        (PixelFormat(), np.zeros((2, 2), complex), "numbers.*complex"),
    ],
)
def test_what_has_no_one_meaning(pixels, values, words):
    with pytest.raises(ValueError, match=words):
        pixels.of_file(values)


def test_arrays():
    levels = np.array([[[12.5, 300.0, -4.0]]])
    assert PixelFormat().of_array(levels) is levels  # `check_picture` says what is wrong.
    assert PixelFormat().of_array(BYTES) is BYTES
    deep = np.array([[[65535]]], np.uint16)
    assert PixelFormat().of_array(deep).tolist() == [[[255.0]]]
    assert PixelFormat(1, (0, 4095)).of_array(deep)[0, 0, 0] == np.float32(65535 * 255 / 4095)
    assert PixelFormat(1, (0, 1)).of_array(np.array([[[0.5]]])).tolist() == [[[127.5]]]


def test_displayed():
    values = np.array([[[-9.0, 100.4, 100.6, 999.0]]], np.float32)
    assert PixelFormat(4).displayed(values).tolist() == [[[0, 100, 101]]]
    assert PixelFormat(4, display=(3, 0, 1)).displayed(values).tolist() == [[[255, 0, 100]]]
    assert PixelFormat(2).displayed(values[..., 1:3]).tolist() == [[[100] * 3]]
    assert PixelFormat(1).displayed(values[..., 3:]).tolist() == [[[255] * 3]]
    assert PixelFormat(1, display=(0, 0, 0)).displayed(values[..., :1]).tolist() == [[[0] * 3]]
    assert PixelFormat(3).displayed(BYTES[..., :3]) is not None
    np.testing.assert_array_equal(PixelFormat().displayed(BYTES[..., :3]), BYTES[..., :3])
    assert to_bytes(values).dtype == np.uint8


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"channels": 0}, "channels must be .*Received: channels=0"),
        ({"channels": 2.0}, "channels=2.0"),
        ({"channels": True}, "channels=True"),
        ({"value_range": (5, 5)}, r"low below high.*value_range=\(5, 5\)"),
        ({"value_range": (0, float("inf"))}, "value_range"),
        ({"value_range": (0, 1, 2)}, "value_range"),
        ({"value_range": 255}, "value_range=255"),
        ({"display": (0, 1)}, r"0\.\.2.*display=\(0, 1\)"),
        ({"channels": 4, "display": (0, 1, 4)}, r"0\.\.3.*\(0, 1, 4\)"),
    ],
)
def test_settings(settings, words):
    with pytest.raises(ValueError, match=words):
        PixelFormat(**settings)


def test_equal_and_told():
    loaded = PixelFormat(4, [0, 4095], [2, 1, 0])  # As JSON has them.
    assert loaded == PixelFormat(4, (0, 4095), (2, 1, 0))
    assert PixelFormat(1, (np.float64(0), np.int64(9))).value_range == (0.0, 9)
    assert str(loaded) == "4 channels of values 0 to 4095"
    assert str(PixelFormat(1)) == "1 channel of their type's values"
    loaded.require_like(PixelFormat(4, (0.0, 4095.0)), "x")  # What is drawn may differ.
    with pytest.raises(ValueError, match=r"of fields must be of 4 channels .*channels=3, value_ra"):
        loaded.require_like(PixelFormat(), "fields")
    assert PixelFormat().is_common and not loaded.is_common

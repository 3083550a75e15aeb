"""Decoding and resizing of single pictures."""

import numpy as np
from PIL import Image, ImageOps

from keras_maskrcnn.data.reading import read_image
from keras_maskrcnn.data.resizing import resize_image
from keras_maskrcnn.images.input_size import resize_shape


def test_transform_golden(golden):
    arrays = golden("transform")
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    for i in range(2):
        pixels = arrays[f"image{i}_u8"]
        size = resize_shape(*pixels.shape[:2], 128, 160)
        assert size == tuple(arrays["image_sizes"][i])
        ours = np.zeros((160, 160, 3))
        ours[: size[0], : size[1]] = (
            np.asarray(resize_image(pixels, size)) / 255 - mean
        ) / deviation
        ours = ours.transpose(2, 0, 1)
        np.testing.assert_allclose(ours[:, ::3, ::3], arrays["batched_nchw_stride3"][i], atol=5e-5)
        np.testing.assert_allclose(ours[:, :16, :16], arrays["batched_top_left_16"][i], atol=5e-5)


def test_resize_shape_rounds_down_and_keeps_a_pixel():
    assert resize_shape(480, 640, 800, 1333) == (800, 1066)
    assert resize_shape(640, 480, 800, 1333) == (1066, 800)
    assert resize_shape(427, 1000, 800, 1333) == (569, 1333)
    assert resize_shape(1, 5000, 800, 1333) == (1, 1333)


def test_picture_formats(tmp_path):
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((48, 36))
    smooth.save(
        tmp_path / "rgb.jpg",
        exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12"
        b"\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00",
    )
    assert Image.open(tmp_path / "rgb.jpg").getexif()[0x112] == 6
    image = read_image(tmp_path / "rgb.jpg")
    assert image.dtype == np.uint8
    assert image.shape == (48, 36, 3)  # EXIF asks for a quarter turn.
    turned = ImageOps.exif_transpose(Image.open(tmp_path / "rgb.jpg"))
    difference = image.astype(int) - np.asarray(turned)
    assert np.abs(difference).max() <= 1
    smooth.convert("L").save(tmp_path / "grey.png")
    grey = np.asarray(smooth.convert("L"))
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png"), np.stack([grey] * 3, -1))
    smooth.convert("L").save(tmp_path / "grey.jpg")
    assert read_image(tmp_path / "grey.jpg").shape == (36, 48, 3)
    transparent = smooth.convert("RGBA")
    transparent.putalpha(77)
    transparent.save(tmp_path / "rgba.png")
    np.testing.assert_array_equal(read_image(tmp_path / "rgba.png"), np.asarray(smooth))
    smooth.quantize(16).save(tmp_path / "palette.png")
    expected = np.asarray(smooth.quantize(16).convert("RGB"))
    np.testing.assert_array_equal(read_image(tmp_path / "palette.png"), expected)

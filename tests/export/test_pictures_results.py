"""The two ends of an exported graph against the numpy side that `predict` uses."""

import zlib

import numpy as np
import pytest
import tensorflow as tf
from helpers import TINY_SIZE

from keras_maskrcnn.data.reading import read_image
from keras_maskrcnn.data.resizing import resize_image
from keras_maskrcnn.export.pictures import decode_batch, letterbox_batch
from keras_maskrcnn.export.results import to_original
from keras_maskrcnn.images.input_size import InputSize, resize_shape
from keras_maskrcnn.results import Detections

from .conftest import encode, make_picture


def test_sizes_as_predict_computes_them():
    input_size = InputSize()
    rng = np.random.default_rng(0)
    sizes = [*rng.integers(1, 5000, (300, 2)), (800, 1333), (1333, 800), (1, 1), (1, 4000)]
    for height, width in sizes:
        received = input_size.resized_graph(tf.constant([height, width], tf.int32)).numpy()
        assert tuple(received) == resize_shape(int(height), int(width), 800, 1333)


def test_batch_of_files_is_resized_and_padded_as_predict_does(tmp_path):
    pictures = [make_picture(50, 70, 0), make_picture(90, 40, 1), make_picture(33, 31, 2)]
    formats = ["JPEG", "BMP", "GIF"]
    contents = [encode(p, f) for p, f in zip(pictures, formats, strict=True)]
    batch = tf.function(lambda x: decode_batch(x, TINY_SIZE, 10**6))(tf.constant(contents))
    images, sizes = batch["images"].numpy(), batch["image_sizes"].numpy()
    assert images.shape == (3, 96, 96, 3)  # multiples of 32
    np.testing.assert_array_equal(batch["original_sizes"], [[50, 70], [90, 40], [33, 31]])
    for image, size, content in zip(images, sizes, contents, strict=True):
        file = tmp_path / "picture"
        file.write_bytes(content)
        expected = np.zeros((96, 96, 3), "float32")
        expected[: size[0], : size[1]] = resize_image(read_image(file), tuple(size))
        np.testing.assert_array_equal(image, expected)


def test_batch_of_one_size():
    pictures = np.stack([make_picture(50, 70, 0), make_picture(50, 70, 1)])
    batch = letterbox_batch(tf.constant(pictures), TINY_SIZE)
    np.testing.assert_array_equal(batch["image_sizes"], [[64, 89]] * 2)
    np.testing.assert_array_equal(batch["original_sizes"], [[50, 70]] * 2)
    images = batch["images"].numpy()
    assert images.shape == (2, 64, 96, 3)
    np.testing.assert_array_equal(images[1, :, :89], resize_image(pictures[1], (64, 89)))
    assert not images[:, :, 89:].any()


@pytest.mark.parametrize("keypoints", [False, True])
def test_back_to_the_picture_as_from_padded(keypoints):
    rng = np.random.default_rng(3)
    sizes, originals = np.int32([[60, 96], [64, 40]]), np.int32([[411, 657], [33, 21]])
    corners = np.sort(rng.uniform(-5, 100, (2, 7, 2, 2)), axis=2).astype("float32")
    boxes = corners.reshape(2, 7, 4)
    # Rows that no picture holds once clipped: outside, and without width.
    boxes[0, 1] = (97, 3, 99, 9)
    boxes[1, 0], boxes[1, 3] = (5, 70, 9, 80), (7, 7, 7, 20)
    found = {
        "boxes": boxes,
        "classes": rng.integers(0, 3, (2, 7)).astype("int32"),
        "scores": -np.sort(-rng.random((2, 7))).astype("float32"),
        "counts": np.int32([7, 5]),
        "masks": rng.random((2, 7, 4, 4)).astype("float32"),
    }
    if keypoints:
        found["keypoints"] = rng.random((2, 7, 2, 3)).astype("float32") * 60
    tensors = {name: tf.constant(value) for name, value in found.items()}
    results = to_original(tensors, sizes, originals, keypoint_shift=0.5)
    results = {name: np.asarray(value) for name, value in results.items()}
    np.testing.assert_array_equal(results["image_sizes"], originals)
    for row in range(2):
        expected = Detections.from_padded(
            found,
            row,
            image_size=sizes[row],
            original_size=originals[row],
            keypoint_shift=0.5,
        )
        count = results["counts"][row]
        assert count == len(expected) < 7
        np.testing.assert_array_equal(results["boxes"][row][:count], expected.boxes)
        np.testing.assert_array_equal(results["scores"][row][:count], expected.scores)
        np.testing.assert_array_equal(results["classes"][row][:count], expected.classes)
        np.testing.assert_array_equal(results["masks"][row][:count], expected.mask_probabilities)
        assert np.all(results["classes"][row][count:] == -1)
        assert not results["boxes"][row][count:].any()
        if keypoints:
            np.testing.assert_array_equal(results["keypoints"][row][:count], expected.keypoints)


@pytest.mark.parametrize("orientation", [1, 6])
def test_png_of_16_bits_keeps_them(tmp_path, orientation):
    """Beside a file of 8 bits in one batch: as `predict` reads both."""
    rng = np.random.default_rng(0)
    deep = rng.integers(0, 65536, (50, 70, 3)).astype(np.uint16)
    content = tf.io.encode_png(deep).numpy()
    if orientation != 1:
        exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0" + bytes([orientation]) + bytes(6)
        chunk = len(exif).to_bytes(4, "big") + b"eXIf" + exif
        chunk += zlib.crc32(b"eXIf" + exif).to_bytes(4, "big")
        content = content[:33] + chunk + content[33:]
    grey = tf.io.encode_png(deep[..., :1]).numpy()
    contents = [content, encode(make_picture(50, 70, 0), "PNG"), grey]
    batch = tf.function(lambda x: decode_batch(x, TINY_SIZE, 10**6))(tf.constant(contents))
    for row, content in enumerate(contents):
        (tmp_path / "picture").write_bytes(content)
        picture = read_image(tmp_path / "picture")
        assert picture.dtype == (np.uint8 if row == 1 else np.float32)
        height, width = batch["image_sizes"].numpy()[row]
        expected = resize_image(picture, (height, width))
        found = batch["images"].numpy()[row, :height, :width]
        np.testing.assert_allclose(found, expected, atol=1e-4)
        assert batch["original_sizes"].numpy()[row].tolist() == list(picture.shape[:2])
    # Bytes would be whole numbers of 257ths.
    assert np.abs(np.asarray(expected) * 257 % 1).max() > 0.01
    with pytest.raises(tf.errors.InvalidArgumentError, match="Cannot decode the picture"):
        decode_batch(tf.constant([content[: len(content) // 2]]), TINY_SIZE, 10**6)

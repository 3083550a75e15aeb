"""Masks drawn in the graph against those that evaluation draws in numpy."""

import numpy as np
import pytest
import tensorflow as tf

from keras_maskrcnn.ops import export_rle
from keras_maskrcnn.ops.paste import paste_rle


@pytest.fixture(scope="module")
def paste_rles():
    specs = [
        tf.TensorSpec([None, 14, 14], tf.float32),
        tf.TensorSpec([None, 4], tf.float32),
        tf.TensorSpec([None, 2], tf.int32),
        tf.TensorSpec([None], tf.bool),
    ]
    return tf.function(export_rle.paste_rles, input_signature=specs)


@pytest.mark.parametrize("size", [(97, 131), (30, 300), (5, 7), (1, 1)])
@pytest.mark.parametrize("block", [1 << 19, 400])
def test_same_text_as_in_numpy(size, block, monkeypatch):
    monkeypatch.setattr(export_rle, "_BLOCK_PIXELS", block)
    rng = np.random.default_rng(0)
    masks = rng.random((48, 14, 14)).astype("float32")
    masks[:12] = np.round(masks[:12] * 2) / 2  # many values on the threshold
    masks[12:18] = 1
    masks[18:20] = 0
    corners = rng.random((48, 2, 2)) * size[::-1]
    boxes = np.concatenate([corners.min(1), corners.max(1)], 1).astype("float32")
    boxes[::4] = np.round(boxes[::4])
    boxes[12], boxes[13], boxes[14] = (0, 0, *size[::-1]), (-3, -9, 999, 999), (0, 0, 1, size[0])
    boxes[20], boxes[21] = (0.2, 0.3, 0.2001, 0.9), (0.4999, 0.4999, 0.5001, 0.5001)
    valid = (boxes[:, 2:] > boxes[:, :2]).all(1)
    valid[30:33] = False
    paste_rles = tf.function(export_rle.paste_rles)
    texts = paste_rles(masks, boxes, np.tile(np.int32([size]), (48, 1)), valid).numpy()
    for text, mask, box, real in zip(texts, masks, boxes, valid, strict=True):
        assert text.decode() == (paste_rle(mask, box, size)["counts"] if real else "")


def test_pictures_of_unlike_sizes_and_no_detections(paste_rles):
    mask = np.linspace(0, 1, 196, dtype="float32").reshape(14, 14)
    boxes, sizes = np.float32([[1, 2, 9, 8]] * 3), [(20, 30), (9, 10), (300, 7)]
    texts = paste_rles(np.stack([mask] * 3), boxes, np.int32(sizes), [True, True, True]).numpy()
    expected = [paste_rle(mask, boxes[0], size)["counts"] for size in sizes]
    assert [text.decode() for text in texts] == expected
    nothing = paste_rles(np.zeros((0, 14, 14)), np.zeros((0, 4)), np.zeros((0, 2), int), [])
    assert nothing.shape == (0,)
    assert paste_rles(mask[None], boxes[:1], np.int32(sizes[:1]), [False]).numpy() == [b""]


def test_twelve_megapixels_stay_small(paste_rles):
    size = (3000, 4000)
    boxes = np.float32([[10.3, 7.9, 3980.2, 2990.4], [2000, 1500, 2100, 1700]])
    y, x = np.mgrid[-1:1:14j, -1:1:14j]
    disc = (1.2 - np.hypot(y, x)).clip(0, 1).astype("float32")
    texts = paste_rles(np.stack([disc, disc]), boxes, np.int32([size, size]), [True, True]).numpy()
    for text, box in zip(texts, boxes, strict=True):
        assert text.decode() == paste_rle(disc, box, size)["counts"]
        assert len(text) < 6 * size[1]

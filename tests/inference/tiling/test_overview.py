"""Small pictures of large ones."""

import numpy as np

from keras_maskrcnn.images.pixels import PixelFormat
from keras_maskrcnn.inference.tiling.overview import overview
from keras_maskrcnn.inference.tiling.pictures import as_large_picture
from keras_maskrcnn.outlines import Bitmap
from keras_maskrcnn.results import Detections


def test_a_third():
    """Of 301 x 200 pixels, limit 101: each pixel stands for 3 x 3, the last ones for none."""
    picture = np.random.default_rng(0).integers(0, 256, (301, 200, 3), dtype="uint8")
    found = Detections(
        [[30, 60, 60, 90], [190, 290, 200, 301]],
        [0, 0],
        [0.9, 0.8],
        None,
        (301, 200),
        outlines=[Bitmap(np.ones((30, 30)), 30, 60), Bitmap(np.ones((11, 10)), 190, 290)],
    )
    image, small = overview(as_large_picture(picture, 0), found, PixelFormat(), 101)
    assert image.shape == (100, 66, 3) and small.image_size == (100, 66)
    expected = picture[:300, :198].reshape(100, 3, 66, 3, 3).mean(axis=(1, 3))
    assert np.abs(image - expected).max() <= 0.5
    assert small.boxes[0].tolist() == [10, 20, 20, 30]
    np.testing.assert_allclose(small.boxes[1], [190 / 3, 290 / 3, 66, 100], rtol=1e-6)
    assert small.masks[0].sum() == 100 and small.masks[0, 20:30, 10:20].all()
    assert small.masks[1].sum() > 0


def test_within_the_limit():
    picture = np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype="uint8")
    found = Detections(np.zeros((0, 4)), [], [], None, (90, 70), outlines=[])
    image, same = overview(as_large_picture(picture, 0), found, PixelFormat())
    assert same is found
    np.testing.assert_array_equal(image, picture)

"""Polygons along pixel edges give the mask back."""

import numpy as np
import pycocotools.mask
import pytest
from scipy import ndimage

from keras_maskrcnn.outlines.cells import pixel_outlines


def test_single_pixel_is_its_square():
    mask = np.zeros((4, 5), bool)
    mask[1, 2] = True
    assert pixel_outlines(mask) == [[2, 1, 3, 1, 3, 2, 2, 2]]


def test_l_shape_has_corners_only():
    mask = np.zeros((5, 5), bool)
    mask[1:4, 1] = True
    mask[3, 1:4] = True
    assert pixel_outlines(mask) == [[1, 1, 2, 1, 2, 3, 4, 3, 4, 4, 1, 4]]


def test_pixels_touching_at_a_corner_are_two_polygons():
    outlines = pixel_outlines(np.eye(2, dtype=bool))
    assert outlines == [[0, 0, 1, 0, 1, 1, 0, 1], [1, 1, 2, 1, 2, 2, 1, 2]]
    assert len(pixel_outlines(np.eye(2, dtype=bool)[::-1])) == 2


def test_empty_mask_has_no_outline():
    assert pixel_outlines(np.zeros((3, 3), bool)) == []


@pytest.mark.parametrize("seed", range(5))
def test_pycocotools_draws_the_mask_back(seed):
    noise = np.random.default_rng(seed).normal(size=(60, 47))
    mask = ndimage.binary_fill_holes(ndimage.gaussian_filter(noise, 1.5) > 0.02)
    outlines = pixel_outlines(mask)
    rles = pycocotools.mask.frPyObjects(outlines, *mask.shape)
    np.testing.assert_array_equal(pycocotools.mask.decode(pycocotools.mask.merge(rles)), mask)

"""What encloses an object: polygons, run lengths or bits, each with the same abilities.

Tracing and cell outlines are imported by their own names: tracing needs scikit-image.
"""

from keras_maskrcnn.outlines.base import MASK_SIDE, Outline
from keras_maskrcnn.outlines.bitmap import Bitmap
from keras_maskrcnn.outlines.coco import outline_from_coco
from keras_maskrcnn.outlines.polygons import Polygons
from keras_maskrcnn.outlines.rle import RLE, decode_counts

__all__ = [
    "MASK_SIDE",
    "RLE",
    "Bitmap",
    "Outline",
    "Polygons",
    "decode_counts",
    "outline_from_coco",
]

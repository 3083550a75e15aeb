"""Pictures that are too large to be seen at once: tile by tile, and one answer from all."""

from keras_maskrcnn.images.tiling import Tiling, as_tiling

__all__ = ["Tiling", "as_tiling"]

"""Pictures that are too large to be seen at once: tile by tile, and one answer from all."""

from keras_maskrcnn.tiling.grid import Tiling

__all__ = ["Tiling"]

"""Matterport's pooling of feature maps inside boxes."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_maskrcnn.ops.boxes import box_area
from keras_maskrcnn.ops.gather import take
from keras_maskrcnn.poolers.base import POOLERS
from keras_maskrcnn.poolers.bilinear import BilinearPooler

Tensor = Any


@POOLERS.register("crop_and_resize")
@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class CropAndResizeLayer(BilinearPooler):
    """`tf.image.crop_and_resize` on the pyramid, as Matterport's Mask R-CNN pools.

    A bin is one bilinear reading. The first lies on the box's first corner and the last on its last
    one; the map's corner cells lie on the picture's corner pixels. That is RoIAlign with one sample
    per bin of a box that is half a bin larger on each side, so the same op serves. The level is
    that of FPN's equation 1, rounded to the nearest.

    Args:
        output_size: bins per side, or (height, width).
        strides: image pixels per cell of each level, finest first, each twice the one before.
        backend: see `ops.roi_align.roi_align_backend`.

    Call arguments:
        features: list of `[B, H_l, W_l, C]`, finest level first; the pictures' sides are multiples
            of every stride.
        boxes: float32 `[B, R, 4]` or `[P, 4]` image pixels that end on their last pixel.
        images: int32 `[P]` image of each box, for a list of boxes without padding.

    Returns:
        `[B, R, ph, pw, C]`, or `[P, ph, pw, C]`, in the dtype of the features.
    """

    def regions(self, features: list[Tensor], boxes: Tensor) -> tuple[Tensor, Tensor]:
        grids = [  # width and height of each level, in cells
            ops.cast(ops.stack([ops.shape(level)[2], ops.shape(level)[1]]), "float32")
            for level in features
        ]
        size = grids[0] * self.strides[0]
        boxes = boxes / ops.concatenate([size - 1.0, size - 1.0])  # 0..1 over the pixels' centres
        lowest = self.strides[0].bit_length() - 1
        side = ops.sqrt(ops.maximum(box_area(boxes) * size[0] * size[1], 1e-12))
        level = ops.round(4.0 + ops.log2(side / 224.0))
        level = ops.clip(level, lowest, lowest + len(self.strides) - 1)
        levels = ops.cast(level - lowest, "int32")

        cells = take(ops.stack(grids), levels) - 1.0
        start, end = boxes[..., :2] * cells, boxes[..., 2:] * cells
        bins = self.output_size[::-1]
        margin = (end - start) * ops.convert_to_tensor(
            [0.5 / (n - 1) if n > 1 else 0.0 for n in bins], "float32"
        )
        # RoIAlign counts from the map's edge: cell 0's centre is at 0.5.
        boxes = ops.concatenate([start - margin, end + margin], axis=-1) + 0.5
        strides = take(ops.convert_to_tensor(self.strides, "float32"), levels)
        return boxes * strides[..., None], levels

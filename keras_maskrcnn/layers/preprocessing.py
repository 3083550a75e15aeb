"""From plain pixels to what a set of weights expects."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_maskrcnn.checks import one_of

# (reverse channels, mean, deviation), in the order of the channels after the reversal, 0..255.
# torch: torchvision's ImageNet statistics. caffe: detectron2's PIXEL_MEAN for the MSRA weights.
# vgg: keras.applications' "caffe" mode, the mean of VGG's Caffe model.
# matterport: MEAN_PIXEL of its configuration.
_STATISTICS = {
    "torch": (False, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "caffe": (True, (103.53, 116.28, 123.675), (1.0, 1.0, 1.0)),
    "vgg": (True, (103.939, 116.779, 123.68), (1.0, 1.0, 1.0)),
    "tf": (False, (127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
    "matterport": (False, (123.7, 116.8, 103.9), (1.0, 1.0, 1.0)),
    "none": (False, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
PREPROCESSING = tuple(_STATISTICS)


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class ImageNormalization(keras.layers.Layer):
    """Normalises RGB pictures as the backbone's weights were trained.

    Padding must be zero *after* normalisation, as in the reference implementations, so pixels
    outside `image_sizes` are zeroed when the sizes are given. Matterport pads before: there they
    are black.

    Args:
        preprocessing: `"torch"`: RGB, ImageNet mean and deviation; `"caffe"`: BGR minus mean
            (detectron2's); `"vgg"`: likewise with the mean of keras.applications' ResNets; `"tf"`:
            RGB to -1..1; `"matterport"`: RGB minus mean; `"none"`: 0..255 as they are, for networks
            that normalise themselves.

    Call arguments:
        images: `[B, H, W, 3]` RGB 0..255, uint8 or float.
        image_sizes: optional int32 `[B, 2]`, (height, width) of the valid area in pixels.

    Returns:
        `[B, H, W, 3]` in the layer's compute dtype; the arithmetic is float32.
    """

    def __init__(self, preprocessing: str = "torch", **kwargs: Any) -> None:
        # Autocast would round 0..255 to bfloat16 before the mean is taken off.
        super().__init__(autocast=False, **kwargs)
        one_of("preprocessing", preprocessing, PREPROCESSING)
        self.preprocessing = preprocessing

    def call(self, images: Any, image_sizes: Any = None) -> Any:
        reverse, mean, deviation = _STATISTICS[self.preprocessing]
        images = ops.cast(images, "float32")
        if reverse:
            images = images[..., ::-1]
        images = (images - np.array(mean, "float32")) / np.array(deviation, "float32")
        padding = -np.array(mean, "float32") if self.preprocessing == "matterport" else 0.0
        if image_sizes is not None:
            # valid: [B, H, W, 1]
            _, height, width, _ = ops.shape(images)
            rows = ops.arange(height, dtype="int32")[None, :, None, None]
            columns = ops.arange(width, dtype="int32")[None, None, :, None]
            sizes = ops.cast(image_sizes, "int32")[:, :, None, None, None]
            valid = ops.logical_and(rows < sizes[:, 0], columns < sizes[:, 1])
            images = ops.where(valid, images, padding)
        return ops.cast(images, self.compute_dtype)

    def compute_output_spec(self, images: Any, image_sizes: Any = None) -> keras.KerasTensor:
        return keras.KerasTensor(images.shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "preprocessing": self.preprocessing}

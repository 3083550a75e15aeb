"""From plain pixels to what a set of weights expects."""

from __future__ import annotations

from collections.abc import Sequence
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
# Of ImageNet's pixels, on which all of these weights were trained.
_IMAGENET_DEVIATION = (58.395, 57.12, 57.375)


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class ImageNormalization(keras.layers.Layer):
    """Normalises pictures as the backbone's weights were trained.

    Pictures that are not like ImageNet's bring their own mean and deviation: they are then brought
    to mean 0 and to the spread that ImageNet's pictures have in the network after `preprocessing`,
    such as 1 for `"torch"` and 57.6 for `"caffe"`, which divides by nothing. So weights meet the
    values that they were trained on. Where the network takes BGR, the first three channels are
    reversed (not of one or two channels).

    Padding must be zero *after* normalisation, as in the reference implementations, so pixels
    outside `image_sizes` are zeroed when the sizes are given. Matterport pads before: there they
    are black.

    Args:
        preprocessing: `"torch"`: RGB, ImageNet mean and deviation; `"caffe"`: BGR minus mean
            (detectron2's); `"vgg"`: likewise with the mean of keras.applications' ResNets; `"tf"`:
            RGB to -1..1; `"matterport"`: RGB minus mean; `"none"`: 0..255 as they are, for networks
            that normalise themselves.
        mean, deviation: a number for each channel `C` of the pictures, in their order, on the scale
            0..255. By default those that belong to `preprocessing`, for RGB.

    Call arguments:
        images: `[B, H, W, C]` on the scale 0..255, uint8 or float.
        image_sizes: optional int32 `[B, 2]`, (height, width) of the valid area in pixels.

    Returns:
        `[B, H, W, C]` in the layer's compute dtype; the arithmetic is float32.
    """

    def __init__(
        self,
        preprocessing: str = "torch",
        mean: Sequence[float] | None = None,
        deviation: Sequence[float] | None = None,
        **kwargs: Any,
    ) -> None:
        # Autocast would round 0..255 to bfloat16 before the mean is taken off.
        super().__init__(autocast=False, **kwargs)
        one_of("preprocessing", preprocessing, PREPROCESSING)
        self.preprocessing = preprocessing
        self.mean = None if mean is None else tuple(map(float, mean))
        self.deviation = None if deviation is None else tuple(map(float, deviation))
        check_statistics(self.mean, self.deviation)

    def call(self, images: Any, image_sizes: Any = None) -> Any:
        mean: Any
        deviation: Any
        reverse, mean, deviation = _STATISTICS[self.preprocessing]
        images = ops.cast(images, "float32")
        if self.mean is not None and self.deviation is not None:
            spread = _spread(self.preprocessing)
            mean, deviation = self.mean, tuple(d / spread for d in self.deviation)
            reverse = reverse and len(mean) >= 3
            if reverse:
                mean, deviation = _bgr(mean), _bgr(deviation)
        if reverse:
            order = images[..., 2::-1]
            images = order if len(mean) == 3 else ops.concatenate([order, images[..., 3:]], axis=-1)
        mean, deviation = np.array(mean, "float32"), np.array(deviation, "float32")
        images = (images - mean) / deviation
        # A black picture.
        padding = -mean / deviation if self.preprocessing == "matterport" else 0.0
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
        return {
            **super().get_config(),
            "preprocessing": self.preprocessing,
            "mean": self.mean,
            "deviation": self.deviation,
        }


def check_statistics(
    mean: Sequence[float] | None, deviation: Sequence[float] | None, channels: int | None = None
) -> None:
    """`ValueError` unless both are as many finite numbers, the deviations above 0, or neither is
    given."""
    if mean is None and deviation is None:
        return
    counts = [None if values is None else len(values) for values in (mean, deviation)]
    expected = counts[0] if channels is None else channels
    finite = all(values is not None and np.isfinite(values).all() for values in (mean, deviation))
    if counts != [expected, expected] or not finite or not np.all(np.array(deviation) > 0):
        each = "channel" if channels is None else f"of the {channels} channels"
        raise ValueError(
            f"pixel_mean and pixel_std must be a finite number for each {each}, on the scale "
            "0..255, and the latter above 0; keras_maskrcnn.measure_pixels(data) gives them. "
            f"Received: pixel_mean={mean}, pixel_std={deviation}"
        )


def _spread(preprocessing: str) -> float:
    """Deviation of ImageNet's pixels as the network sees them; 1 where that is not known."""
    if preprocessing == "none":
        return 1.0
    reverse, _, deviation = _STATISTICS[preprocessing]
    seen = _bgr(_IMAGENET_DEVIATION) if reverse else _IMAGENET_DEVIATION
    return float(np.mean(np.array(seen) / np.array(deviation)))


def _bgr(values: tuple[float, ...]) -> tuple[float, ...]:
    """With the first three reversed."""
    return (*values[2::-1], *values[3:])

"""A stranger's neck: every map by itself, brought to one number of channels."""

import keras

from keras_maskrcnn.backbones.base import map_channels
from keras_maskrcnn.necks import NECKS, Neck


@NECKS.register("laterals")
class Laterals(Neck):
    """No way from coarse to fine: a pyramid without its top-down half."""

    def __init__(self, *, channels=32):
        self.channels = channels

    def build(self, backbone, dtype):
        self.backbone = backbone.build_maps(None, dtype)
        self.levels = sorted(map_channels(self.backbone))
        self.convolutions = [
            keras.layers.Conv2D(self.channels, 1, dtype=dtype, name=f"lateral_{level}")
            for level in self.levels
        ]
        self.rpn_strides = tuple(2 ** int(level[1:]) for level in self.levels)
        self.roi_strides = self.rpn_strides

    def maps(self, images):
        found = self.backbone(images)
        return [
            convolution(found[level])
            for convolution, level in zip(self.convolutions, self.levels, strict=True)
        ]

"""One map: the last of the backbone, at its own stride or with that stage dilated instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import keras

from keras_maskrcnn.backbones.base import Backbone
from keras_maskrcnn.necks.base import NECKS, Neck, Tensor


@NECKS.register("c5")
class C5(Neck):
    """The map of stride 32, of which the paper's table 2d pools (ResNet-50-C5).

    The whole backbone sees the picture once, as with FPN, and all parts read its one last map.
    """

    # As for C4: detectron2's Base-RCNN-DilatedC5.yaml.
    part_defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "rpn": {
            "anchor_sizes": ((32, 64, 128, 256, 512),),
            "pre_nms_train": 12000,
            "pre_nms_test": 6000,
        },
    }
    rpn_strides: tuple[int, ...] = (32,)
    roi_strides: tuple[int, ...] = (32,)

    def build(self, backbone: Backbone, dtype: Any) -> None:
        self.backbone = self.build_backbone(backbone, dtype)
        (output,) = self.backbone.output.values()
        self.channels = output.shape[-1]

    def build_backbone(self, backbone: Backbone, dtype: Any) -> keras.Model:
        """The network up to its one map."""
        return backbone.build_maps(("C5",), dtype)

    def maps(self, images: Tensor) -> list[Tensor]:
        return list(self.backbone(images).values())


@NECKS.register("dc5")
class DC5(C5):
    """Stride 16, from a last stage that is dilated instead of strided.

    Dai et al. 2017 (arXiv 1703.06211, section 3); detectron2's Base-RCNN-DilatedC5.
    """

    rpn_strides = (16,)
    roi_strides = (16,)

    def build_backbone(self, backbone: Backbone, dtype: Any) -> keras.Model:
        return backbone.build_dilated(dtype)

"""One map at stride 16, and the backbone's last stage on every RoI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
from keras import ops

from keras_maskrcnn.backbones.base import Backbone, map_channels
from keras_maskrcnn.layers.roi_selection import AtLeastOne, SameRows
from keras_maskrcnn.necks.base import NECKS, Neck

Tensor = Any


@NECKS.register("c4")
class C4(Neck):
    """ResNet-C4 (Mask R-CNN, section 3 and figure 4 left): res5 belongs to the heads."""

    # Mask R-CNN figure 4; detectron2's Base-RCNN-C4.yaml.
    part_defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "rpn": {
            "anchor_sizes": ((32, 64, 128, 256, 512),),
            "pre_nms_train": 12000,
            "pre_nms_test": 6000,
        },
        "box": {"pool_size": 14, "fcs": 0},
        "mask": {"convs": 0},
    }
    roi_scale = 2
    rpn_strides = (16,)
    roi_strides = (16,)

    def build(self, backbone: Backbone, dtype: Any) -> None:
        self.backbone = backbone.build_maps(("C4",), dtype)
        self.channels = map_channels(self.backbone)["C4"]
        self.stage5 = backbone.build_last_stage(dtype)
        self.at_least_one = AtLeastOne(name="at_least_one")
        self.same_rows = SameRows(name="same_rows")

    def maps(self, images: Tensor) -> list[Tensor]:
        return [self.backbone(images)["C4"]]

    def roi_features(self, pooled: Tensor) -> Tensor:
        if len(pooled.shape) == 4:
            return self.same_rows(self.stage5(self.at_least_one(pooled)), pooled)
        flat = self.stage5(ops.reshape(pooled, (-1, *pooled.shape[2:])))
        return ops.reshape(flat, (-1, pooled.shape[1], *flat.shape[1:]))

    @property
    def stages(self) -> list[keras.Model]:
        return [self.backbone, self.stage5]

    @property
    def shares_roi_features(self) -> bool:
        return True

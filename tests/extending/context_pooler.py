"""A stranger's pooler: what is around a box counts too. Public names only."""

import keras

from keras_maskrcnn.ops.roi_align import roi_align
from keras_maskrcnn.poolers import POOLERS, RoIPooler


@POOLERS.register("context")
@keras.saving.register_keras_serializable(package="stranger")
class ContextPooler(RoIPooler):
    """RoIAlign of a box that is made larger by a share of its sides."""

    def __init__(self, output_size=7, strides=(4, 8, 16, 32), backend=None, margin=0.25, **kwargs):
        super().__init__(output_size, strides, backend, **kwargs)
        self.margin = margin

    def regions(self, features, boxes):
        boxes, levels = super().regions(features, boxes)
        grow = self.margin * (boxes[..., 2:] - boxes[..., :2])
        parts = [boxes[..., :2] - grow, boxes[..., 2:] + grow]
        return keras.ops.concatenate(parts, axis=-1), levels

    def pool(self, features, boxes, images, levels):
        return roi_align(
            features,
            boxes,
            images,
            levels,
            output_size=self.output_size,
            scales=self.scales,
            backend=self.backend,
        )

    def get_config(self):
        return {**super().get_config(), "margin": self.margin}

"""A stranger's head: one attribute of each object, learned beside its mask. Public names only."""

import keras
from keras import ops

from keras_maskrcnn.heads import HEADS, RoIHead
from keras_maskrcnn.losses import binary_cross_entropy


@HEADS.register("ripeness")
class Ripeness(RoIHead):
    """Whether an object is ripe; result `ripeness` `[P]` in 0..1.

    Ground truth `ripe` `[B, N]`: 1 ripe, 0 unripe, -1 unknown.
    """

    loss_names = ("ripeness_loss",)

    def __init__(self, *, name="ripeness", units=32, pool_size=7, pooler=None):
        super().__init__(name=name, pool_size=pool_size, pooler=pooler)
        self.units = units

    def build(self, context):
        super().build(context)
        options = {"dtype": context.dtype}
        self.mean = keras.layers.GlobalAveragePooling2D(name=f"{self.name}_mean", **options)
        self.hidden = keras.layers.Dense(self.units, "relu", name=f"{self.name}_hidden", **options)
        self.logit = keras.layers.Dense(1, name=f"{self.name}_logit", **options)

    def truth(self, layout):
        return {"ripe": ((None,), "float32")}

    def forward(self, features, classes):
        return ops.cast(self.logit(self.hidden(self.mean(features)))[:, 0], "float32")

    def targets(self, rois, truth, layout):
        return rois.take(truth["ripe"])

    def losses(self, predictions, targets, total):
        known = ops.cast(targets >= 0, "float32")
        loss = ops.sum(binary_cross_entropy(predictions, ops.maximum(targets, 0.0)) * known)
        return {"ripeness_loss": loss / ops.maximum(total(ops.sum(known)), 1.0)}

    def decode(self, predictions, boxes):
        return {"ripeness": ops.sigmoid(predictions)}

"""Class and box of every RoI."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_maskrcnn.layers.conv_block import ConvBlock
from keras_maskrcnn.layers.roi_selection import are_real, at_least_one

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class BoxHead(keras.layers.Layer):
    """Classifies RoIs and refines their boxes, class by class or for all classes alike.

    FPN section 4.2: two fully connected layers. Other forms: convolutions before one of them
    (torchvision v2), or none at all on averaged res5 features (C4 models).

    Args:
        num_classes: `K`.
        num_convs: 3x3 convolutions of 256 channels.
        num_fcs: fully connected layers; with 0 the features are averaged over the RoI.
        dim: units of the fully connected layers.
        norm: of the convolutions, `None` or one of `layers.norms.NORMS`.
        class_agnostic: one refinement, whatever the class.

    Call arguments:
        features: `[P, p, p, C]` pooled features of RoIs, none of them padding: trained statistics
            are those of all rows.
        training: for trained statistics.

    Returns:
        class logits float32 `[P, K + 1]`, background last, and deltas float32 `[P, K, 4]`, or
        `[P, 1, 4]`.
    """

    def __init__(
        self,
        num_classes: int,
        num_convs: int = 0,
        num_fcs: int = 2,
        dim: int = 1024,
        norm: str | None = None,
        class_agnostic: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.num_convs = num_convs
        self.num_fcs = num_fcs
        self.dim = dim
        self.norm = norm
        self.class_agnostic = class_agnostic
        self.num_boxes = 1 if class_agnostic else num_classes
        policy = self.dtype_policy
        self.convs = [
            ConvBlock(256, norm=norm, dtype=policy, name=f"conv{i}")
            for i in range(1, num_convs + 1)
        ]
        self.fcs = [
            keras.layers.Dense(
                dim,
                activation="relu",
                # Xavier in the form of the reference implementations: variance 1 / fan-in.
                kernel_initializer=keras.initializers.VarianceScaling(1.0, "fan_in", "uniform"),
                dtype=policy,
                name=f"fc{i}",
            )
            for i in range(1, num_fcs + 1)
        ]
        # Fast R-CNN section 3.1: deviations .01 and .001, so that training starts at ln(K + 1).
        self.class_logits = keras.layers.Dense(
            num_classes + 1,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
            dtype=policy,
            name="class_logits",
        )
        self.box_deltas = keras.layers.Dense(
            4 * self.num_boxes,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.001),
            dtype=policy,
            name="box_deltas",
        )

    def build(self, input_shape: Any) -> None:
        shape = (None, *input_shape[1:])
        for conv in self.convs:
            conv.build(shape)
            shape = conv.compute_output_shape(shape)
        width = shape[1] * shape[2] * shape[3] if self.num_fcs else shape[3]
        for fc in self.fcs:
            fc.build((None, width))
            width = self.dim
        self.class_logits.build((None, width))
        self.box_deltas.build((None, width))

    def call(self, features: Tensor, training: bool = False) -> tuple[Tensor, Tensor]:
        x, real = at_least_one(features), are_real(features)
        for conv in self.convs:
            x = conv(x, training=training, real=real)
        x = x[: ops.shape(features)[0]]
        if self.num_fcs:
            x = ops.reshape(x, (-1, x.shape[1] * x.shape[2] * x.shape[3]))
        else:
            x = ops.mean(x, axis=(1, 2))
        for fc in self.fcs:
            x = fc(x)
        logits = ops.cast(self.class_logits(x), "float32")
        deltas = ops.cast(self.box_deltas(x), "float32")
        return logits, ops.reshape(deltas, (-1, self.num_boxes, 4))

    def compute_output_spec(
        self, features: Any, training: bool = False
    ) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        # Not traced: in a graph of its own a synchronised norm cannot wait for other replicas.
        count = features.shape[0]
        return (
            keras.KerasTensor((count, self.num_classes + 1), "float32"),
            keras.KerasTensor((count, self.num_boxes, 4), "float32"),
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "num_convs": self.num_convs,
            "num_fcs": self.num_fcs,
            "dim": self.dim,
            "norm": self.norm,
            "class_agnostic": self.class_agnostic,
        }

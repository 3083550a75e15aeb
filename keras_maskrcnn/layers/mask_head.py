"""One mask per class for every RoI."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_maskrcnn.checks import one_of
from keras_maskrcnn.layers.conv_block import ConvBlock
from keras_maskrcnn.layers.mask_outputs import OUTPUTS, mask_channels, masks_of_classes
from keras_maskrcnn.layers.roi_selection import are_real, at_least_one

Tensor = Any

UPSAMPLINGS = ("deconv", "bilinear")


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class MaskHead(keras.layers.Layer):
    """A small fully convolutional network (Mask R-CNN figure 4).

    `num_convs` 3x3 convolutions, a 2x2 transposed convolution that doubles the side, and a 1x1
    convolution to the masks.

    Args:
        num_classes: `K`.
        num_convs: 3x3 convolutions; 0 on res5 features (C4 models).
        dim: channels.
        norm: of the convolutions, `None` or one of `layers.norms.NORMS`.
        upsampling: `"deconv"`, or `"bilinear"` interpolation in its place.
        output: of `mask_outputs.OUTPUTS`.

    Call arguments:
        features: `[P, p, p, C]` pooled features.
        classes: int32 `[P]`, the class whose mask is wanted.
        training: for trained statistics.

    Returns:
        float32 `[P, 2p, 2p]` logits of each RoI's own class; of a softmax `[P, 2p, 2p, 2]`, see
        `mask_outputs.masks_of_classes`.
    """

    def __init__(
        self,
        num_classes: int,
        num_convs: int = 4,
        dim: int = 256,
        norm: str | None = None,
        upsampling: str = "deconv",
        output: str = "sigmoid",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        one_of("upsampling", upsampling, UPSAMPLINGS)
        one_of("output", output, OUTPUTS)
        self.num_classes = num_classes
        self.num_convs = num_convs
        self.dim = dim
        self.norm = norm
        self.upsampling = upsampling
        self.output_form = output
        policy = self.dtype_policy
        # Reference implementations: He normal over the fan-out.
        initializer = keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
        self.convs = [
            ConvBlock(dim, norm=norm, initializer=initializer, dtype=policy, name=f"conv{i}")
            for i in range(1, num_convs + 1)
        ]
        self.enlarge = (
            keras.layers.Conv2DTranspose(
                dim,
                2,
                strides=2,
                activation="relu",
                kernel_initializer=initializer,
                dtype=policy,
                name="deconv",
            )
            if upsampling == "deconv"
            else keras.layers.UpSampling2D(2, interpolation="bilinear", dtype="float32")
        )
        self.mask_logits = keras.layers.Conv2D(
            mask_channels(output, num_classes),
            1,
            # Small, so that training starts at ln 2.
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.001),
            dtype=policy,
            name="mask_logits",
        )

    def build(self, features_shape: Any, classes_shape: Any) -> None:
        shape = tuple(features_shape)
        for conv in self.convs:
            conv.build(shape)
            shape = conv.compute_output_shape(shape)
        self.enlarge.build(shape)
        self.mask_logits.build(self.enlarge.compute_output_shape(shape))

    def call(self, features: Tensor, classes: Tensor, training: bool = False) -> Tensor:
        x, real = at_least_one(features), are_real(features)
        for conv in self.convs:
            x = conv(x, training=training, real=real)
        # A linear layer says between pixels what it says of the features between them: where these
        # are interpolated, the logits are, which are many times fewer.
        interpolates = self.upsampling == "bilinear"
        x = x if interpolates else self.enlarge(x)  # [P, 2p, 2p, C]
        if self.output_form != "sigmoid":
            maps = ops.cast(self.mask_logits(x), "float32")
            maps = self.enlarge(maps) if interpolates else maps
            return masks_of_classes(maps[: ops.shape(features)[0]], classes, self.output_form)
        x = x[: ops.shape(features)[0]]
        # Of `mask_logits` only each RoI's own class: all K of them are a 4 to 6 times longer way.
        # Chosen by a product, whose gradient adds in one order; that of a gather adds in any.
        chosen = ops.one_hot(classes, self.num_classes, dtype=x.dtype)  # [P, K]
        kernel = ops.transpose(ops.convert_to_tensor(self.mask_logits.kernel)[0, 0])
        own = ops.matmul(chosen, kernel)[:, None]  # [P, 1, C]
        bias = ops.matmul(chosen, self.mask_logits.bias[:, None])
        side = x.shape[1]
        pixels = ops.reshape(x, (-1, side * side, x.shape[-1]))
        # Not ops.matmul, which cannot read `pixels` transposed in place.
        logits = tf.matmul(own, pixels, transpose_b=True)[:, 0]  # [P, 2p * 2p]
        logits = ops.cast(logits, "float32") + ops.cast(bias, "float32")
        logits = ops.reshape(logits, (-1, side, side))
        if not interpolates:
            return logits
        return self.enlarge(at_least_one(logits[..., None]))[: ops.shape(features)[0], ..., 0]

    def compute_output_spec(
        self, features: Any, classes: Any, training: bool = False
    ) -> keras.KerasTensor:
        # Not traced: in a graph of its own a synchronised norm cannot wait for other replicas.
        count, side = features.shape[0], 2 * features.shape[1]
        parts = (2,) if self.output_form == "softmax" else ()
        return keras.KerasTensor((count, side, side, *parts), "float32")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "num_convs": self.num_convs,
            "dim": self.dim,
            "norm": self.norm,
            "upsampling": self.upsampling,
            "output": self.output_form,
        }

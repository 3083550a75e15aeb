"""What residual networks have in common: their stages, sums, and what of them does not train.

Layer names are part of the interface: `weights/` addresses them. The stem is `stem_conv`, and the
layers of a block `res3_block1_...`: its convolutions, the projection `res3_block1_shortcut`, and
what else there is. A convolution is a `ConvBlock`: a `kernel`, and a `norm` with its own variables.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_maskrcnn.layers.conv_block import ConvBlock

STAGES = ("stem", "res2", "res3", "res4", "res5")


class ResidualBuilder:
    """Adds the layers of a residual network to a Functional graph.

    A subclass gives `stem` and `stage`.

    Args:
        norm: one of `layers.norms.NORMS`.
        epsilon: added to the variance.
        freeze_at: how many of `STAGES` do not train.
        dtype: dtype policy of the layers; `None` for Keras' global one.
    """

    def __init__(self, norm: str, epsilon: float, freeze_at: int, dtype: Any) -> None:
        if not 0 <= freeze_at <= len(STAGES):
            raise ValueError(
                f"freeze_at must be between 0 and {len(STAGES)}. Received: freeze_at={freeze_at}"
            )
        self.norm = norm
        self.epsilon = epsilon
        self.frozen = STAGES[:freeze_at]
        self.dtype = dtype

    def stem(self, x: Any) -> Any:
        """From normalised pictures to what res2 takes."""
        raise NotImplementedError("a residual network defines stem")

    def stage(self, x: Any, stage: str) -> Any:
        """One of res2 to res5, whose results have strides 4 to 32."""
        raise NotImplementedError("a residual network defines stage")

    def network(self, name: str, outputs: Sequence[str], channels: int) -> keras.Model:
        """The network up to the last of `outputs`; nothing is built beyond.

        Args:
            name: of the model.
            outputs: which of C2..C5.
            channels: of the pictures.

        Returns:
            A model from normalised pictures `[B, H, W, channels]` to a dict of feature maps
            `[B, H / stride, W / stride, channels]`.
        """
        wanted = {_stage_of(output): output for output in outputs}
        if not wanted:
            raise ValueError(
                f"outputs must name at least one of C2..C5. Received: outputs={outputs}"
            )
        images = keras.Input((None, None, channels), name="images")
        x = self.stem(images)
        maps = {}
        for stage in STAGES[1:]:
            x = self.stage(x, stage)
            if stage in wanted:
                maps[wanted[stage]] = x
            if len(maps) == len(wanted):
                break
        return keras.Model(images, maps, name=name)

    def last_stage(self, channels: int) -> keras.Model:
        """res5 alone, the box head of a C4 model (He et al. 2017, figure 4 left).

        Args:
            channels: of C4.

        Returns:
            A model named `res5` from RoI features `[R, 2h, 2w, channels]` to
            `[R, h, w, channels of C5]`, whose layers are named as in the whole network.
        """
        features = keras.Input((None, None, channels), name="roi_features")
        return keras.Model(features, self.stage(features, "res5"), name="res5")

    def join(self, y: Any, x: Any, name: str, channels: int, stride: int) -> Any:
        """The end of a block: its input, projected where their shapes differ, is added."""
        if stride != 1 or x.shape[-1] != channels:
            x = self.conv(x, f"{name}_shortcut", channels, 1, stride=stride)
        x = keras.layers.Add(dtype=self.dtype, name=f"{name}_add")([y, x])
        return keras.layers.ReLU(dtype=self.dtype, name=f"{name}_out")(x)

    def conv(
        self,
        x: Any,
        name: str,
        filters: int,
        size: int,
        *,
        stride: int = 1,
        groups: int = 1,
        dilation: int = 1,
        relu: bool = False,
    ) -> Any:
        """Convolution, norm and maybe ReLU.

        Frozen in the stages that shall not train; but the kernel that sees pictures of more than
        three channels always trains: no weights know the further ones.
        """
        must_learn = name == "stem_conv" and x.shape[-1] > 3
        return ConvBlock(
            filters,
            size,
            strides=stride,
            groups=groups,
            dilation=dilation,
            norm=self.norm,
            norm_epsilon=self.epsilon,
            relu=relu,
            initializer=keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal"),
            trainable=must_learn or self.trains(name),
            dtype=self.dtype,
            name=name,
        )(x)

    def trains(self, name: str) -> bool:
        """Whether the layer of that name is of a stage that trains."""
        return name.split("_")[0] not in self.frozen


def _stage_of(output: str) -> str:
    if output not in ("C2", "C3", "C4", "C5"):
        raise ValueError(f"outputs must be among C2, C3, C4, C5. Received: output={output!r}")
    return f"res{output[1]}"

"""Residual networks: He et al. 2016 (arXiv 1512.03385), Xie et al. 2017 (arXiv 1611.05431).

A block's convolutions are `res3_block1_conv1`, `res3_block1_conv2` and so on, see `residual.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras

from keras_maskrcnn.backbones.base import BACKBONES, Backbone
from keras_maskrcnn.backbones.residual import STAGES, ResidualBuilder
from keras_maskrcnn.checks import one_of
from keras_maskrcnn.layers.norms import NORMS


@dataclasses.dataclass(frozen=True)
class ResNetSpec:
    """Shape of one member of the family.

    Args:
        blocks: residual blocks of res2..res5.
        bottleneck: 1x1, 3x3, 1x1 blocks (expansion 4) rather than two 3x3 convolutions.
        groups: groups of the 3x3 convolution.
        width: channels of res2's inner convolutions; doubles with every stage.
    """

    blocks: tuple[int, int, int, int]
    bottleneck: bool = True
    groups: int = 1
    width: int = 64

    def inner_channels(self, stage: str) -> int:
        return self.width * 2 ** (STAGES.index(stage) - 1)

    def output_channels(self, stage: str) -> int:
        if stage == "stem":
            return 64
        return (256 if self.bottleneck else 64) * 2 ** (STAGES.index(stage) - 1)


SPECS = {
    "resnet18": ResNetSpec((2, 2, 2, 2), bottleneck=False),
    "resnet34": ResNetSpec((3, 4, 6, 3), bottleneck=False),
    "resnet50": ResNetSpec((3, 4, 6, 3)),
    "resnet101": ResNetSpec((3, 4, 23, 3)),
    "resnet152": ResNetSpec((3, 8, 36, 3)),
    "resnext50_32x4d": ResNetSpec((3, 4, 6, 3), groups=32, width=128),
    "resnext101_32x8d": ResNetSpec((3, 4, 23, 3), groups=32, width=256),
    "resnext101_64x4d": ResNetSpec((3, 4, 23, 3), groups=64, width=256),
    # Zagoruyko and Komodakis 2016 (arXiv 1605.07146).
    "wide_resnet50_2": ResNetSpec((3, 4, 6, 3), width=128),
    "wide_resnet101_2": ResNetSpec((3, 4, 23, 3), width=128),
}


def resnet_spec(name: str) -> ResNetSpec:
    """The shape of the network `name`; `ValueError` for an unknown one."""
    one_of("backbone", name, tuple(SPECS))
    return SPECS[name]


@BACKBONES.register(*SPECS)
class ResNet(Backbone):
    """A residual network of `SPECS`.

    Args:
        name: which.
        stride_in_1x1: stage strides in the first 1x1 convolution (MSRA, keras.applications) rather
            than in the 3x3 (torchvision).
        stem_pool: padding of the stem's max pool: `"symmetric"`, or `"same"`: TensorFlow's, of an
            even side only at the bottom and right (Matterport).
        norm: `"frozen"`: statistics and affine constant; `"frozen_statistics"`: affine trains;
            `"batch"`, `"sync_batch"`, `"group"`: all trains.
        norm_epsilon: added to the variance.
        freeze_at: how many of stem, res2, res3, ... do not train. 2 is the reference's choice for
            ImageNet weights; a model without pre-trained weights wants 0. The kernel that sees
            pictures of more than three channels always trains: no weights know the further ones.
        preprocessing: see `Backbone`.
    """

    def __init__(
        self,
        *,
        name: str = "resnet50",
        stride_in_1x1: bool = False,
        stem_pool: str = "symmetric",
        norm: str = "frozen",
        norm_epsilon: float = 1e-5,
        freeze_at: int = 2,
        preprocessing: str = "torch",
    ) -> None:
        super().__init__(preprocessing=preprocessing)
        one_of("backbone", name, tuple(SPECS))
        one_of("norm", norm, NORMS)
        one_of("stem_pool", stem_pool, ("symmetric", "same"))
        one_of("freeze_at", freeze_at, range(len(STAGES) + 1))
        self.name = name
        self.stem_pool = stem_pool
        self.norm_epsilon = norm_epsilon
        self._residual: dict[str, Any] = {
            "stride_in_1x1": stride_in_1x1,
            "norm": norm,
            "norm_epsilon": norm_epsilon,
            "freeze_at": freeze_at,
        }

    def build_maps(self, outputs: Sequence[str] | None, dtype: Any) -> keras.Model:
        return build_resnet(
            self.name,
            stem_pool=self.stem_pool,
            outputs=outputs or ("C2", "C3", "C4", "C5"),
            channels=self.input_channels,
            dtype=dtype,
            **self._residual,
        )

    def build_last_stage(self, dtype: Any) -> keras.Model:
        return build_resnet_stage5(self.name, dtype=dtype, **self._residual)

    def build_dilated(self, dtype: Any) -> keras.Model:
        return build_resnet(
            self.name,
            stem_pool=self.stem_pool,
            outputs=("C5",),
            dilated=True,
            channels=self.input_channels,
            dtype=dtype,
            **self._residual,
        )


def build_resnet(
    name: str,
    *,
    dilated: bool = False,
    stride_in_1x1: bool = False,
    stem_pool: str = "symmetric",
    norm: str = "frozen",
    norm_epsilon: float = 1e-5,
    freeze_at: int = 0,
    outputs: Sequence[str] = ("C2", "C3", "C4", "C5"),
    channels: int = 3,
    dtype: Any = None,
) -> keras.Model:
    """Builds a residual network as a Functional model named `name`.

    Args:
        name: one of `SPECS`.
        dilated: whether the 3x3 convolutions of res5 are dilated by 2 rather than the first of
            them strided: C5 then has stride 16, too.
        stride_in_1x1: whether a bottleneck stage strides in its first 1x1 convolution (MSRA,
            keras.applications) rather than in the 3x3 (torchvision). Without effect on
            ResNet-18/34.
        stem_pool: padding of the stem's max pool: `"symmetric"`, or `"same"` (TensorFlow's).
        norm: one of `layers.norms.NORMS`.
        norm_epsilon: added to the variance.
        freeze_at: how many of stem, res2, res3, ... do not train; see `ResNet`.
        outputs: which of C2..C5 (strides 4..32); nothing is built beyond the last one.
        channels: of the pictures.
        dtype: dtype policy of the layers; `None` for Keras' global one.

    Returns:
        A model from normalised pictures `[B, H, W, channels]` to a dict of feature maps
        `[B, H / stride, W / stride, channels]`.
    """
    builder = _Builder(
        resnet_spec(name), stride_in_1x1, norm, norm_epsilon, freeze_at, dtype, stem_pool, dilated
    )
    return builder.network(name, outputs, channels)


def build_resnet_stage5(
    name: str,
    *,
    stride_in_1x1: bool = False,
    norm: str = "frozen",
    norm_epsilon: float = 1e-5,
    freeze_at: int = 0,
    dtype: Any = None,
) -> keras.Model:
    """Builds res5 alone, the box head of a C4 model (He et al. 2017, figure 4 left).

    Args: see `build_resnet`.

    Returns:
        A model named `res5` from RoI features `[R, 2h, 2w, channels of C4]` to
        `[R, h, w, channels of C5]`, whose layers are named as in the whole network.
    """
    spec = resnet_spec(name)
    builder = _Builder(spec, stride_in_1x1, norm, norm_epsilon, freeze_at, dtype)
    return builder.last_stage(spec.output_channels("res4"))


class _Builder(ResidualBuilder):
    """Adds layers to a Functional graph."""

    def __init__(
        self,
        spec: ResNetSpec,
        stride_in_1x1: bool,
        norm: str,
        epsilon: float,
        freeze_at: int,
        dtype: Any,
        stem_pool: str = "symmetric",
        dilated: bool = False,
    ) -> None:
        if dilated and spec.groups > 1:
            raise ValueError(
                "the last stage of a ResNeXt cannot be dilated: its convolutions are grouped. "
                f"Received: groups={spec.groups}"
            )
        super().__init__(norm, epsilon, freeze_at, dtype)
        self.spec = spec
        self.stride_in_1x1 = stride_in_1x1
        self.stem_pool = stem_pool
        self.dilated = ("res5",) if dilated else ()

    def stem(self, x: Any) -> Any:
        x = self.conv(x, "stem_conv", 64, 7, stride=2, relu=True)
        if self.stem_pool == "same":
            return keras.layers.MaxPooling2D(
                3, strides=2, padding="same", dtype=self.dtype, name="stem_pool"
            )(x)
        # Zeros pad the pool as minus infinity would: its input comes out of a ReLU.
        x = keras.layers.ZeroPadding2D(1, dtype=self.dtype, name="stem_pool_pad")(x)
        return keras.layers.MaxPooling2D(3, strides=2, dtype=self.dtype, name="stem_pool")(x)

    def stage(self, x: Any, stage: str) -> Any:
        block = self.bottleneck if self.spec.bottleneck else self.basic
        for i in range(self.spec.blocks[STAGES.index(stage) - 1]):
            stride = 2 if i == 0 and stage not in ("res2", *self.dilated) else 1
            x = block(x, f"{stage}_block{i + 1}", stage, stride)
        return x

    def bottleneck(self, x: Any, name: str, stage: str, stride: int) -> Any:
        inner, channels = self.spec.inner_channels(stage), self.spec.output_channels(stage)
        stride1, stride3 = (stride, 1) if self.stride_in_1x1 else (1, stride)
        y = self.conv(x, f"{name}_conv1", inner, 1, stride=stride1, relu=True)
        y = self.conv(
            y,
            f"{name}_conv2",
            inner,
            3,
            stride=stride3,
            groups=self.spec.groups,
            dilation=self.dilation(stage),
            relu=True,
        )
        y = self.conv(y, f"{name}_conv3", channels, 1)
        return self.join(y, x, name, channels, stride)

    def basic(self, x: Any, name: str, stage: str, stride: int) -> Any:
        channels = self.spec.output_channels(stage)
        dilation = self.dilation(stage)
        y = self.conv(x, f"{name}_conv1", channels, 3, stride=stride, dilation=dilation, relu=True)
        y = self.conv(y, f"{name}_conv2", channels, 3, dilation=dilation)
        return self.join(y, x, name, channels, stride)

    def dilation(self, stage: str) -> int:
        return 2 if stage in self.dilated else 1

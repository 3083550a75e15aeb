"""Residual networks: He et al. 2016 (arXiv 1512.03385), Xie et al. 2017 (arXiv 1611.05431).

Layer names are part of the interface: `weights/` addresses them. A stage `res3` consists of
`res3_block1_conv1`, `res3_block1_conv2`, ..., `res3_block1_shortcut`; the stem of `stem_conv`. Each
is a `ConvBlock`: a `kernel`, and a `norm` with its own variables.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras

from keras_maskrcnn.backbones.base import BACKBONES, Backbone
from keras_maskrcnn.checks import one_of
from keras_maskrcnn.layers.conv_block import ConvBlock
from keras_maskrcnn.layers.norms import NORMS

STAGES = ("stem", "res2", "res3", "res4", "res5")


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
    "resnext101_32x8d": ResNetSpec((3, 4, 23, 3), groups=32, width=256),
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


def build_resnet(
    name: str,
    *,
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
    spec = resnet_spec(name)
    wanted = {_stage_of(output): output for output in outputs}
    if not wanted:
        raise ValueError(f"outputs must name at least one of C2..C5. Received: outputs={outputs}")
    builder = _Builder(spec, stride_in_1x1, norm, norm_epsilon, freeze_at, dtype)
    images = keras.Input((None, None, channels), name="images")
    x = builder.stem(images, stem_pool)
    maps = {}
    for stage in STAGES[1:]:
        x = builder.stage(x, stage)
        if stage in wanted:
            maps[wanted[stage]] = x
        if len(maps) == len(wanted):
            break
    return keras.Model(images, maps, name=name)


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
    features = keras.Input((None, None, spec.output_channels("res4")), name="roi_features")
    return keras.Model(features, builder.stage(features, "res5"), name="res5")


def _stage_of(output: str) -> str:
    if output not in ("C2", "C3", "C4", "C5"):
        raise ValueError(f"outputs must be among C2, C3, C4, C5. Received: output={output!r}")
    return f"res{output[1]}"


class _Builder:
    """Adds layers to a Functional graph."""

    def __init__(
        self,
        spec: ResNetSpec,
        stride_in_1x1: bool,
        norm: str,
        epsilon: float,
        freeze_at: int,
        dtype: Any,
    ) -> None:
        if not 0 <= freeze_at <= len(STAGES):
            raise ValueError(
                f"freeze_at must be between 0 and {len(STAGES)}. Received: freeze_at={freeze_at}"
            )
        self.spec = spec
        self.stride_in_1x1 = stride_in_1x1
        self.norm = norm
        self.epsilon = epsilon
        self.frozen = STAGES[:freeze_at]
        self.dtype = dtype

    def stem(self, x: Any, pool: str) -> Any:
        must_learn = x.shape[-1] > 3
        x = self.conv(x, "stem_conv", 64, 7, stride=2, relu=True, must_learn=must_learn)
        if pool == "same":
            return keras.layers.MaxPooling2D(
                3, strides=2, padding="same", dtype=self.dtype, name="stem_pool"
            )(x)
        # Zeros pad the pool as minus infinity would: its input comes out of a ReLU.
        x = keras.layers.ZeroPadding2D(1, dtype=self.dtype, name="stem_pool_pad")(x)
        return keras.layers.MaxPooling2D(3, strides=2, dtype=self.dtype, name="stem_pool")(x)

    def stage(self, x: Any, stage: str) -> Any:
        block = self.bottleneck if self.spec.bottleneck else self.basic
        for i in range(self.spec.blocks[STAGES.index(stage) - 1]):
            stride = 2 if i == 0 and stage != "res2" else 1
            x = block(x, f"{stage}_block{i + 1}", stage, stride)
        return x

    def bottleneck(self, x: Any, name: str, stage: str, stride: int) -> Any:
        inner, channels = self.spec.inner_channels(stage), self.spec.output_channels(stage)
        stride1, stride3 = (stride, 1) if self.stride_in_1x1 else (1, stride)
        y = self.conv(x, f"{name}_conv1", inner, 1, stride=stride1, relu=True)
        y = self.conv(
            y, f"{name}_conv2", inner, 3, stride=stride3, groups=self.spec.groups, relu=True
        )
        y = self.conv(y, f"{name}_conv3", channels, 1)
        return self.join(y, x, name, channels, stride)

    def basic(self, x: Any, name: str, stage: str, stride: int) -> Any:
        channels = self.spec.output_channels(stage)
        y = self.conv(x, f"{name}_conv1", channels, 3, stride=stride, relu=True)
        y = self.conv(y, f"{name}_conv2", channels, 3)
        return self.join(y, x, name, channels, stride)

    def join(self, y: Any, x: Any, name: str, channels: int, stride: int) -> Any:
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
        relu: bool = False,
        must_learn: bool = False,
    ) -> Any:
        """Convolution, norm and maybe ReLU; frozen in the stages that shall not train, unless it
        must learn."""
        return ConvBlock(
            filters,
            size,
            strides=stride,
            groups=groups,
            norm=self.norm,
            norm_epsilon=self.epsilon,
            relu=relu,
            initializer=keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal"),
            trainable=must_learn or name.split("_")[0] not in self.frozen,
            dtype=self.dtype,
            name=name,
        )(x)

"""RegNets: Radosavovic et al. 2020 (arXiv 2003.13678).

A block's convolutions are `res3_block1_a`, `res3_block1_b` and `res3_block1_c`, as everybody calls
those of RegNets, and its squeeze-and-excitation is `res3_block1_se`; see `residual.py`.
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
from keras_maskrcnn.layers.squeeze_excite import SqueezeExcite

_STEM_WIDTH = 32
# Of the channels that a block reads.
_SQUEEZE = 0.25


@dataclasses.dataclass(frozen=True)
class RegNetSpec:
    """Shape of one member of the family.

    Args:
        blocks: of res2..res5.
        widths: channels of all convolutions of a stage.
        group_width: channels of each group of the 3x3 convolutions.
        squeeze_excite: whether blocks weigh the channels of their 3x3 convolution (RegNetY).
    """

    blocks: tuple[int, int, int, int]
    widths: tuple[int, int, int, int]
    group_width: int
    squeeze_excite: bool = False


# The paper's figures 16 and 17.
SPECS = {
    "regnetx_4gf": RegNetSpec((2, 5, 14, 2), (80, 240, 560, 1360), 40),
    "regnety_4gf": RegNetSpec((2, 6, 12, 2), (128, 192, 512, 1088), 64, squeeze_excite=True),
}


@BACKBONES.register(*SPECS)
class RegNet(Backbone):
    """A RegNet of `SPECS`; its bottleneck ratio is 1, and all four stages stride.

    Args:
        name: which.
        norm, norm_epsilon, freeze_at: see `ResNet`; `norm="group"`, in groups of a 32nd of the
            channels, suits the widths of `"regnety_4gf"` only.
        preprocessing: see `Backbone`.
    """

    def __init__(
        self,
        *,
        name: str = "regnetx_4gf",
        norm: str = "frozen",
        norm_epsilon: float = 1e-5,
        freeze_at: int = 2,
        preprocessing: str = "torch",
    ) -> None:
        super().__init__(preprocessing=preprocessing)
        one_of("backbone", name, tuple(SPECS))
        one_of("norm", norm, NORMS)
        one_of("freeze_at", freeze_at, range(len(STAGES) + 1))
        self.spec = SPECS[name]
        if norm == "group" and any(width % 32 for width in self.spec.widths):
            raise ValueError(
                f"norm='group' has 32 groups, which do not divide the widths {self.spec.widths} of "
                f"{name}. Received: norm={norm!r}"
            )
        self.name = name
        self._options = (norm, norm_epsilon, freeze_at)

    def build_maps(self, outputs: Sequence[str] | None, dtype: Any) -> keras.Model:
        builder = _Builder(self.spec, *self._options, dtype)
        return builder.network(self.name, outputs or ("C2", "C3", "C4", "C5"), self.input_channels)

    def build_last_stage(self, dtype: Any) -> keras.Model:
        return _Builder(self.spec, *self._options, dtype).last_stage(self.spec.widths[2])


class _Builder(ResidualBuilder):
    """Adds layers to a Functional graph."""

    def __init__(
        self, spec: RegNetSpec, norm: str, epsilon: float, freeze_at: int, dtype: Any
    ) -> None:
        super().__init__(norm, epsilon, freeze_at, dtype)
        self.spec = spec

    def stem(self, x: Any) -> Any:
        return self.conv(x, "stem_conv", _STEM_WIDTH, 3, stride=2, relu=True)

    def stage(self, x: Any, stage: str) -> Any:
        place = STAGES.index(stage) - 1
        for i in range(self.spec.blocks[place]):
            x = self.block(x, f"{stage}_block{i + 1}", self.spec.widths[place], 2 if i == 0 else 1)
        return x

    def block(self, x: Any, name: str, width: int, stride: int) -> Any:
        groups = width // self.spec.group_width
        y = self.conv(x, f"{name}_a", width, 1, relu=True)
        y = self.conv(y, f"{name}_b", width, 3, stride=stride, groups=groups, relu=True)
        if self.spec.squeeze_excite:
            y = SqueezeExcite(
                round(_SQUEEZE * x.shape[-1]),
                trainable=self.trains(name),
                dtype=self.dtype,
                name=f"{name}_se",
            )(y)
        y = self.conv(y, f"{name}_c", width, 1)
        return self.join(y, x, name, width, stride)

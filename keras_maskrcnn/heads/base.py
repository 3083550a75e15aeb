"""What a RoI head owes: its view of a RoI, targets, forward pass, losses, results.

Legend: `B` images, `P` RoIs with an object (in training) or detections (in inference), `N`
ground-truth objects, `p` side of the pooled grid, `K` classes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from keras_maskrcnn.checks import at_least, check_shape
from keras_maskrcnn.layers.roi_selection import TakeObjects
from keras_maskrcnn.losses import Total
from keras_maskrcnn.parts import Part, Registry
from keras_maskrcnn.poolers.base import RoIPooler, make_pooler

Tensor = Any
# Shape of one image's values (without `B`), and dtype.
Field = tuple[tuple[int | None, ...], str]

HEADS = Registry("head")


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeadContext:
    """What a head learns of the model that it is built into.

    Args:
        num_classes: `K`.
        roi_strides: of the maps that it pools from.
        roi_scale: how many times smaller the features it sees are than the pooled grid.
        pooler: the model's choice; a head may have one of its own.
        seed: of samplers.
        dtype: dtype policy of its layers.
    """

    num_classes: int
    roi_strides: tuple[int, ...]
    roi_scale: int = 1
    pooler: Any = "roi_align"
    seed: int = 0
    dtype: Any = None

    def make_pooler(self, choice: Any, size: int, name: str) -> RoIPooler:
        """A pooler of `size` bins per side; `choice` `None` takes the model's."""
        return make_pooler(choice or self.pooler, size, self.roi_strides, name)


@dataclasses.dataclass(frozen=True)
class MatchedRoIs:
    """RoIs of a training step with the objects that they lie on.

    Args:
        boxes: float32 `[P, 4]`, continuous pixels.
        images: int32 `[P]`.
        objects: int32 `[P]`, index among the image's objects.
        classes: int32 `[P]`.
    """

    boxes: Tensor
    images: Tensor
    objects: Tensor
    classes: Tensor

    def take(self, values: Tensor) -> Tensor:
        """Each RoI's own object's part of ground truth: `[B, N, ...]` to `[P, ...]`."""
        return TakeObjects()(values, self.images, self.objects)


class RoIHead(Part):
    """Base of the heads that describe boxes: masks, keypoints, or what else an object has.

    The RoIs of all images lie in one list without padding. In training these are sampled RoIs with
    an object; in inference detections, whose boxes are refined (Mask R-CNN, section 3.1).

    All methods but `losses` build a Functional graph: write them with Keras layers and `keras.ops`.

    Args:
        name: of the head: where its outputs and settings stand.
        pool_size: bins per side of the pooled grid.
        pooler: see `poolers.make_pooler`; `None` for the model's.

    Attributes:
        loss_names: keys of what `losses` returns.
    """

    loss_names: tuple[str, ...] = ()

    def __init__(self, *, name: str, pool_size: int = 14, pooler: Any = None) -> None:
        at_least(1, pool_size=pool_size)
        self.name = name
        self.pool_size = pool_size
        self._pooler_choice = pooler

    def build(self, context: HeadContext) -> None:
        """Makes the layers; a subclass extends it."""
        self.pooler = context.make_pooler(self._pooler_choice, self.pool_size, f"{self.name}_align")

    def layout(self, inputs: Mapping[str, Tensor]) -> Hashable:
        """Tells forms of ground truth apart that need graphs of their own, if there are several."""
        return None

    def truth(self, layout: Hashable) -> dict[str, Field]:
        """The ground truth that `targets` reads: shape without `B`, and dtype, by name."""
        raise NotImplementedError("a head defines truth")

    def check(self, truth: Mapping[str, np.ndarray], layout: Hashable, real: np.ndarray) -> None:
        """Refuses ground truth of a batch from which the head would learn nothing.

        Args:
            truth: arrays by name.
            layout: their form.
            real: bool `[B, N]`, which rows are objects.

        Raises:
            ValueError: when a shape is not that of `truth`; a subclass may look at values.
        """
        for name, (shape, _) in self.truth(layout).items():
            sides = ["side" if side is None else side for side in shape]
            if shape[0] is None:
                sides[0] = real.shape[1]
            check_shape(name, truth[name], (len(real), *sides))

    def forward(self, features: Tensor, classes: Tensor) -> Any:
        """What the head says.

        Args:
            features: `[P, p, p, C]`.
            classes: int32 `[P]`.
        """
        raise NotImplementedError("a head defines forward")

    def targets(self, rois: MatchedRoIs, truth: Mapping[str, Tensor], layout: Hashable) -> Any:
        """What it should say: a tensor, or a structure of tensors."""
        raise NotImplementedError("a head defines targets")

    def losses(
        self, predictions: Any, targets: Any, total: Total, real: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Scalars under `loss_names`; exactly 0, with a finite gradient, where `P` is 0.

        Args:
            predictions: of `forward`.
            targets: of `targets`.
            total: count over all replicas from the count on this one.
            real: bool `[P]`, which RoIs count; handed over only where XLA compiles the model, whose
                lists hold padding. A head that does not take it trains without XLA.
        """
        raise NotImplementedError("a head defines losses")

    def decode(self, predictions: Any, boxes: Tensor) -> dict[str, Tensor]:
        """Results by name, `[P, ...]` each.

        Args:
            predictions: of `forward`.
            boxes: float32 `[P, 4]`, continuous pixels.
        """
        raise NotImplementedError("a head defines decode")

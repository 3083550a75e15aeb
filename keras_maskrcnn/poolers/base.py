"""What every pooler does: find each box's level, read its region into a fixed grid."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_maskrcnn.checks import known_names
from keras_maskrcnn.layers.geometry import GeometryLayer
from keras_maskrcnn.ops.boxes import assign_levels
from keras_maskrcnn.parts import Registry

Tensor = Any

POOLERS = Registry("pooler")


class RoIPooler(GeometryLayer):
    """Base of the layers that pool feature maps inside boxes.

    A subclass gives `pool`; one that assigns levels or moves boxes in its own way gives `regions`.

    Args:
        output_size: bins per side, or (height, width).
        strides: image pixels per cell of each level, finest first, each twice the one before.
        backend: see `ops.roi_align.roi_align_backend`.

    Call arguments:
        features: list of `[B, H_l, W_l, C]`, finest level first.
        boxes: float32 `[B, R, 4]` image pixels; or `[P, 4]` with `images`.
        images: int32 `[P]` image of each box, for a list of boxes without padding.

    Returns:
        `[B, R, ph, pw, C]`, or `[P, ph, pw, C]`, in the dtype of the features.

    Raises:
        ValueError: for strides that are not those of a pyramid, or a list of boxes without images.

    Attributes:
        gathers: whether its backend `"gather"` is one that XLA can compile.
    """

    gathers: bool = True

    def __init__(
        self,
        output_size: int | tuple[int, int] = 7,
        strides: tuple[int, ...] = (4, 8, 16, 32),
        backend: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)  # features keep their dtype
        doubling = [strides[0] * 2**level for level in range(len(strides))]
        if list(strides) != doubling or strides[0].bit_count() != 1:
            raise ValueError(
                "strides must be powers of two, each twice the one before. "
                f"Received: strides={strides}"
            )
        if isinstance(output_size, int):
            output_size = (output_size, output_size)
        self.output_size = (output_size[0], output_size[1])
        self.strides = tuple(strides)
        self.backend = backend
        # XLA knows neither the compiled op nor TensorFlow's sparse product. Keras asks the layers
        # when a model is compiled with jit_compile="auto", the default.
        self.supports_jit = self.gathers and (backend or "auto") == "gather"

    def call(self, features: list[Tensor], boxes: Tensor, images: Tensor | None = None) -> Tensor:
        leading = ops.shape(boxes)[:-1]
        if images is None and len(boxes.shape) != 3:
            raise ValueError(
                "boxes must be [B, R, 4]; a list of boxes [P, 4] needs the images [P] that they "
                f"are in. Received: boxes of shape {boxes.shape}, images=None"
            )
        if images is None:
            images = ops.broadcast_to(ops.arange(leading[0], dtype="int32")[:, None], leading)
            images = ops.reshape(images, (-1,))
            boxes = ops.reshape(boxes, (-1, 4))
        regions, levels = self.regions(features, boxes)
        pooled = self.pool(features, regions, images, levels)
        return ops.reshape(pooled, (*leading, *self.output_size, features[0].shape[-1]))

    def regions(self, features: list[Tensor], boxes: Tensor) -> tuple[Tensor, Tensor]:
        """What to pool for each box `[P, 4]`, and its level `[P]` (FPN, equation 1), 0 the finest.

        Boxes come as a list: to reshape levels, being int32, would take a GPU's to the host.
        """
        lowest = self.strides[0].bit_length() - 1
        return boxes, assign_levels(boxes, lowest, lowest + len(self.strides) - 1)

    def pool(self, features: list[Tensor], boxes: Tensor, images: Tensor, levels: Tensor) -> Tensor:
        """Reads each box's grid.

        Args:
            features: as in the call.
            boxes: float32 `[P, 4]`.
            images: int32 `[P]`.
            levels: int32 `[P]`, index into `features`.

        Returns:
            `[P, ph, pw, C]`.
        """
        raise NotImplementedError("a pooler defines pool")

    @property
    def scales(self) -> list[float]:
        """Cells per image pixel, level by level."""
        return [1 / stride for stride in self.strides]

    def compute_output_spec(
        self, features: list[Any], boxes: Any, images: Any = None
    ) -> keras.KerasTensor:
        shape = (*boxes.shape[:-1], *self.output_size, features[0].shape[-1])
        return keras.KerasTensor(shape, features[0].dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "output_size": self.output_size,
            "strides": self.strides,
            "backend": self.backend,
        }


def make_pooler(
    choice: str | Mapping[str, Any] | RoIPooler,
    output_size: int,
    strides: tuple[int, ...],
    name: str,
    backend: str | None = None,
) -> RoIPooler:
    """A pooler of a given size from what a user may say.

    Args:
        choice: a name of `POOLERS`; a dict of settings with `name`; or a pooler, whose other
            settings are taken over.
        output_size, strides, name: of the pooler that is made.
        backend: likewise; `None` keeps the choice's.

    Raises:
        ValueError: for an unknown name or setting; the nearest right one is named.
    """
    given: dict[str, Any] = {"output_size": output_size, "strides": strides, "name": name}
    if backend is not None:
        given["backend"] = backend
    if isinstance(choice, RoIPooler):
        return type(choice).from_config({**choice.get_config(), **given})
    if isinstance(choice, str):
        choice = {"name": choice}
    settings = {key: value for key, value in choice.items() if key != "name"}
    kind = choice.get("name", "roi_align")
    cls = POOLERS.find(kind)
    known = [key for key in inspect.signature(cls).parameters if key != "kwargs"]
    known_names(f"pooler {kind!r}", settings, known)
    return cls(**{**settings, **given})

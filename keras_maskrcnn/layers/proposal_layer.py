"""From the RPN's outputs to proposals."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_maskrcnn.layers.geometry import GeometryLayer
from keras_maskrcnn.ops.boxes import clip_boxes, decode_boxes
from keras_maskrcnn.ops.gather import take, take_rows
from keras_maskrcnn.ops.gpu_forms import top_k
from keras_maskrcnn.ops.nms import batched_nms

Tensor = Any

# Sides below this are no boxes any more (torchvision).
_MIN_SIDE = 1e-3


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class ProposalLayer(GeometryLayer):
    """Decodes, clips, and keeps the best boxes (Faster R-CNN section 3.3, FPN section 4.1).

    Takes the best `pre_nms` anchors of each level, decodes and clips them, suppresses
    near-duplicates level by level, and keeps the best `num_proposals` of all levels. No gradient
    flows through it.

    Args:
        pre_nms_train, pre_nms_test: anchors kept per level before NMS.
        num_train, num_test: `R`, proposals per image.
        nms_iou: overlap from which the worse of two boxes is dropped.
        box_weights: scale of the deltas.
        per_level: `False` takes the best anchors, and suppresses, over all levels together.
        looped_nms: see `ops.nms.batched_nms`.

    Call arguments:
        logits: list of float32 `[B, A_l]` objectness.
        deltas: list of float32 `[B, A_l, 4]`.
        anchors: list of float32 `[1, A_l, 4]`.
        image_sizes: int32 `[B, 2]`.
        training: chooses between the `_train` and `_test` numbers.

    Returns:
        boxes float32 `[B, R, 4]` by falling score, 0 where padded; logits float32 `[B, R]`; and
        bool `[B, R]` which are not padding.
    """

    def __init__(
        self,
        pre_nms_train: int = 2000,
        pre_nms_test: int = 1000,
        num_train: int = 2000,
        num_test: int = 1000,
        nms_iou: float = 0.7,
        box_weights: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0),
        per_level: bool = True,
        looped_nms: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pre_nms_train = pre_nms_train
        self.pre_nms_test = pre_nms_test
        self.num_train = num_train
        self.num_test = num_test
        self.nms_iou = nms_iou
        self.box_weights = tuple(box_weights)
        self.per_level = per_level
        self.looped_nms = looped_nms

    def call(
        self,
        logits: list[Tensor],
        deltas: list[Tensor],
        anchors: list[Tensor],
        image_sizes: Tensor,
        training: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        pre_nms = self.pre_nms_train if training else self.pre_nms_test
        num_proposals = self.num_train if training else self.num_test
        if not self.per_level:
            logits, deltas, anchors = (
                [ops.concatenate(levels, axis=1)] for levels in (logits, deltas, anchors)
            )
        level_boxes, level_logits, level_ids = [], [], []
        for level, (score, delta, anchor) in enumerate(zip(logits, deltas, anchors, strict=True)):
            count = ops.minimum(ops.shape(score)[1], pre_nms)
            best, index = top_k(score, count)
            delta = take_rows(delta, index)
            anchor = take(anchor[0], index)
            level_boxes.append(decode_boxes(delta, anchor, self.box_weights))
            level_logits.append(best)
            level_ids.append(ops.full_like(best, level, dtype="int32"))
        boxes = clip_boxes(ops.concatenate(level_boxes, axis=1), image_sizes)
        scores = ops.concatenate(level_logits, axis=1)
        levels = ops.concatenate(level_ids, axis=1)

        sides = boxes[..., 2:] - boxes[..., :2]
        scores = ops.where(ops.all(sides >= _MIN_SIDE, axis=-1), scores, float("-inf"))
        index, counts = batched_nms(
            boxes, scores, levels, self.nms_iou, num_proposals, looped=self.looped_nms
        )
        # As floats: int32 is compared on the host.
        slots = ops.arange(num_proposals, dtype="float32")
        valid = slots < ops.cast(counts, "float32")[:, None]
        boxes = take_rows(boxes, index)
        scores = take_rows(scores, index)
        boxes = ops.where(ops.expand_dims(valid, -1), boxes, 0.0)
        scores = ops.where(valid, scores, 0.0)
        return ops.stop_gradient(boxes), ops.stop_gradient(scores), valid

    def compute_output_spec(
        self, logits: Any, deltas: Any, anchors: Any, image_sizes: Any, training: bool = False
    ) -> tuple[keras.KerasTensor, ...]:
        slots = (logits[0].shape[0], self.num_train if training else self.num_test)
        return (
            keras.KerasTensor((*slots, 4), "float32"),
            keras.KerasTensor(slots, "float32"),
            keras.KerasTensor(slots, "bool"),
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "pre_nms_train": self.pre_nms_train,
            "pre_nms_test": self.pre_nms_test,
            "num_train": self.num_train,
            "num_test": self.num_test,
            "nms_iou": self.nms_iou,
            "box_weights": self.box_weights,
            "per_level": self.per_level,
            "looped_nms": self.looped_nms,
        }

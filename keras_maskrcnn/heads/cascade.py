"""Box stages in a row: Cascade R-CNN (Cai and Vasconcelos 2018, arXiv 1712.00726).

Legend: `B` images, `S` RoIs of a stage, `D` detections, `K` classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from keras import ops

from keras_maskrcnn.checks import fraction
from keras_maskrcnn.heads.base import HeadContext
from keras_maskrcnn.heads.box import BOXES, Box, Pool, Sampled
from keras_maskrcnn.layers.cascade import RefineBoxes, RelabelRoIs, ScaleGradient
from keras_maskrcnn.layers.roi_lists import RoIList, RoILists
from keras_maskrcnn.losses import Total

Tensor = Any


@BOXES.register("cascade")
class Cascade(Box):
    """Stages that refine each other's boxes, each trained for boxes better than the one before.

    Boxes of one stage are the RoIs of the next. A score is the mean of all stages' probabilities;
    boxes are those of the last. In training the first stage samples, and the others label all its
    boxes anew by an IoU of their own; heads that describe boxes train on the first one's sample
    (detectron2).

    Args:
        ious: of each stage, see `Box.iou`.
        weights: of each stage, scales of the four box deltas, which are the same for all classes.
        beta: see `Box`.
        samples, positive_fraction, crowd_overlap, pool_size, pooler, convs, fcs, dim, norm: see
            `Box`.
        score_threshold, nms_iou, max_detections, one_class_per_roi, nms, soft_sigma: see `Box`.
    """

    def __init__(
        self,
        *,
        ious: Sequence[float] = (0.5, 0.6, 0.7),
        weights: Sequence[tuple[float, float, float, float]] = (
            (10.0, 10.0, 5.0, 5.0),
            (20.0, 20.0, 10.0, 10.0),
            (30.0, 30.0, 15.0, 15.0),
        ),
        samples: int = 512,
        positive_fraction: float = 0.25,
        crowd_overlap: float = 0.7,
        pool_size: int = 7,
        pooler: Any = None,
        convs: int = 0,
        fcs: int = 2,
        dim: int = 1024,
        norm: str | None = None,
        beta: float = 1.0 / 9.0,
        score_threshold: float = 0.05,
        nms_iou: float = 0.5,
        max_detections: int = 100,
        one_class_per_roi: bool = False,
        nms: str = "per_class",
        soft_sigma: float = 0.5,
    ) -> None:
        if not ious or len(ious) != len(weights):
            raise ValueError(
                "a cascade needs one or more ious and weights for each. "
                f"Received: ious={ious}, weights={weights}"
            )
        for stage, value in enumerate(ious):
            fraction(**{f"ious[{stage}]": value})
        super().__init__(
            samples=samples,
            positive_fraction=positive_fraction,
            iou=ious[0],
            crowd_overlap=crowd_overlap,
            pool_size=pool_size,
            pooler=pooler,
            convs=convs,
            fcs=fcs,
            dim=dim,
            norm=norm,
            class_agnostic=True,
            weights=weights[0],
            beta=beta,
            score_threshold=score_threshold,
            nms_iou=nms_iou,
            max_detections=max_detections,
            one_class_per_roi=one_class_per_roi,
            nms=nms,
            soft_sigma=soft_sigma,
        )
        self.ious, self.stage_weights = tuple(ious), tuple(weights)
        self.loss_names = tuple(
            f"{kind}_loss_{stage}" for stage in range(1, len(ious) + 1) for kind in ("class", "box")
        )

    @property
    def final_weights(self) -> tuple[float, float, float, float]:
        return self.stage_weights[-1]

    def make_layers(self, context: HeadContext) -> None:
        stages = range(1, len(self.ious) + 1)
        self.heads = [self.make_head(context, f"box_head_{stage}") for stage in stages]
        self.refine = [
            RefineBoxes(weights, name=f"refine_boxes_{stage}")
            for stage, weights in zip(stages, self.stage_weights[:-1], strict=False)
        ]
        self.relabel = [
            RelabelRoIs(
                context.num_classes, iou, weights, self.crowd_overlap, name=f"relabel_rois_{stage}"
            )
            for stage, iou, weights in zip(stages, self.ious, self.stage_weights, strict=True)
        ][1:]
        # Features get the gradients of all stages (detectron2).
        self.share_gradient = ScaleGradient(
            1.0 / len(self.heads), dtype=context.dtype, name="share_gradient"
        )

    def _inference(
        self, pool: Pool, rois: RoIList, limits: Tensor
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Boxes that each stage sees, its probabilities, and its deltas."""
        boxes = rois.boxes
        for stage, head in enumerate(self.heads):
            logits, deltas = head(pool(self.pooler, boxes, rois.owners))
            yield boxes, ops.softmax(logits, axis=-1), deltas
            if stage < len(self.refine):
                boxes = self.refine[stage](boxes, deltas, rois.owners, limits)

    def detect(self, pool: Pool, rois: RoIList, limits: Tensor) -> dict[str, Tensor]:
        boxes, probabilities, deltas = zip(*self._inference(pool, rois, limits), strict=True)
        mean = sum(probabilities) / len(probabilities)
        return self.detections(
            rois.restore(boxes[-1]),
            rois.chosen,
            # Whose softmax is the mean itself.
            rois.restore(ops.log(mean)),
            rois.restore(deltas[-1]),
            limits,
        )

    def classify(self, pool: Pool, rois: RoIList) -> Tensor:
        features = pool(self.pooler, rois.boxes, rois.owners)
        probabilities = [ops.softmax(head(features)[0], axis=-1) for head in self.heads]
        mean = sum(probabilities) / len(probabilities)
        return rois.restore(mean[..., : self.num_classes])

    def train(
        self,
        pool: Pool,
        lists: RoILists,
        rois: Tensor,
        valid: Tensor,
        boxes: Tensor,
        classes: Tensor,
        crowds: Tensor,
        limits: Tensor,
    ) -> tuple[dict[str, Any], Sampled]:
        slots, slot_classes, slot_deltas, slot_matched = self.targets(
            rois, valid, boxes, classes, crowds
        )
        outputs: dict[str, Any] = {}
        for stage, head in enumerate(self.heads):
            real = lists.select(slots, ops.cast(slot_classes, "float32") >= 0)
            features = pool(self.pooler, real.boxes, real.owners)
            logits, deltas = head(self.share_gradient(features))
            outputs[f"stage_{stage + 1}"] = {
                "class_logits": logits,  # [S, K + 1]
                "deltas": deltas,  # [S, 1, 4]
                "classes": real.take(slot_classes),
                "target_deltas": real.take(slot_deltas),
            }
            if stage == 0:
                sampled = Sampled(
                    real.boxes,
                    real.owners,
                    real.take(slot_classes),
                    real.take(slot_matched),
                    features,
                    real.real,
                )
            if stage < len(self.refine):
                slots = real.restore(self.refine[stage](real.boxes, deltas, real.owners, limits))
                slot_classes, slot_deltas = self.relabel[stage](
                    slots, real.chosen, boxes, classes, crowds
                )
        return outputs, sampled

    def losses(self, outputs: Mapping[str, Any], total: Total) -> dict[str, Tensor]:
        return {
            f"{name}_{stage}": value
            for stage in range(1, len(self.heads) + 1)
            for name, value in self.stage_losses(outputs[f"stage_{stage}"], total).items()
        }

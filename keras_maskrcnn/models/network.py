"""The two walks through a Mask R-CNN: from pictures to objects, and to what the losses compare.

Legend: `B` images, `C` channels, `R` proposals, `S` sampled RoIs, `P` RoIs with an object, `D`
detections, `N` ground-truth objects, `K` classes.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import keras
from keras import ops

from keras_maskrcnn.backbones.base import Backbone, check_input_channels
from keras_maskrcnn.heads.base import HeadContext, MatchedRoIs, RoIHead
from keras_maskrcnn.heads.box import Box
from keras_maskrcnn.heads.rpn import RPN, Proposed
from keras_maskrcnn.layers.box_limits import Coordinates
from keras_maskrcnn.layers.preprocessing import ImageNormalization
from keras_maskrcnn.layers.roi_lists import RoILists
from keras_maskrcnn.layers.roi_slots import RoISlots
from keras_maskrcnn.necks.base import Neck
from keras_maskrcnn.parts import Part
from keras_maskrcnn.poolers.base import RoIPooler, make_pooler

Tensor = Any


class Network:
    """Builds the layers of all parts once, and walks them for training and for inference.

    Every part is written once: the two walks differ in where the RoIs come from, sampled with
    their targets or refined into detections.

    Args:
        backbone, neck, rpn, box, heads: the parts, which belong to this network from here on.
        num_classes: `K`.
        pooler: for every head that has no choice of its own; see `poolers.make_pooler`.
        box_style: see `Coordinates`.
        seed: of the samplers.
        channels: of the pictures.
        pixel_mean, pixel_std: of their pixels, see `ImageNormalization`.
        dtype: dtype policy of the heavy layers.
    """

    def __init__(
        self,
        *,
        backbone: Backbone,
        neck: Neck,
        rpn: RPN,
        box: Box,
        heads: Sequence[RoIHead],
        num_classes: int,
        pooler: Any = "roi_align",
        box_style: str = "continuous",
        seed: int = 0,
        channels: int = 3,
        pixel_mean: Sequence[float] | None = None,
        pixel_std: Sequence[float] | None = None,
        dtype: Any = None,
    ) -> None:
        self.channels = channels
        self.neck, self.rpn, self.box, self.heads = neck, rpn, box, tuple(heads)
        self.parts: dict[str, Part] = {
            "backbone": backbone,
            "neck": neck,
            "rpn": rpn,
            "box": box,
            **{head.name: head for head in heads},
        }
        backbone.input_channels = channels
        backbone.is_normalized_outside = pixel_mean is not None
        self.preprocessing = backbone.preprocessing
        self.normalization = ImageNormalization(
            backbone.seen_preprocessing, pixel_mean, pixel_std, dtype=dtype, name="normalization"
        )
        neck.build(backbone, dtype)
        check_input_channels(neck.backbone, channels)
        rpn.build(neck.rpn_strides, neck.channels, seed, dtype)
        self.coordinates = Coordinates(box_style)
        context = HeadContext(
            num_classes=num_classes,
            roi_strides=neck.roi_strides,
            roi_scale=neck.roi_scale,
            pooler=pooler,
            seed=seed + 1,
            dtype=dtype,
        )
        box.build(context)
        for head in self.heads:
            head.build(context)
        self.lists = RoILists()

    @property
    def backbone(self) -> keras.Model:
        """The model from normalised pictures to feature maps."""
        return self.neck.backbone

    def features(self, images: Tensor, image_sizes: Tensor) -> list[Tensor]:
        """Feature maps, finest first; the RPN reads all, the heads those of `roi_strides`."""
        return self.neck.maps(self.normalization(images, image_sizes))

    def pool(self, maps: list[Tensor], pooler: RoIPooler, boxes: Tensor, owners: Tensor) -> Tensor:
        """What a head sees of boxes `[P, 4]` in the images `[P]` that own them."""
        return self.neck.roi_features(pooler(maps[: len(pooler.strides)], boxes, owners))

    def propose(
        self, images: Tensor, maps: list[Tensor], image_sizes: Tensor, *, training: bool
    ) -> Proposed:
        """Proposals of the RPN."""
        limits, _ = self.coordinates.limits(images, image_sizes)
        return self.rpn.propose(images, maps, limits, self.coordinates, training=training)

    def find(self, images: Tensor, maps: list[Tensor], image_sizes: Tensor) -> dict[str, Tensor]:
        """First half of inference: boxes, classes and scores of the objects."""
        proposed = self.propose(images, maps, image_sizes, training=False)
        _, limits = self.coordinates.limits(images, image_sizes)
        rois = self.lists.select(proposed.boxes, proposed.valid)
        return self.box.detect(functools.partial(self.pool, maps), rois, limits)

    def describe(self, maps: list[Tensor], found: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Second half of inference: what the heads say about boxes, however they were found.

        Args:
            maps: feature maps.
            found: `boxes` float32 `[B, D, 4]` and `classes` int32 `[B, D]`, -1 where padded.

        Returns:
            `found` with continuous boxes, and each head's results `[B, D, ...]`, 0 where padded.
        """
        kept = ops.cast(found["classes"], "float32") >= 0  # int32 is compared on the host.
        # Heads read the refined boxes (section 3.1, Inference).
        rois = self.lists.select(found["boxes"], kept)
        classes = rois.take(found["classes"])
        outer = self.coordinates.to_outer(rois.boxes)
        results = dict(found)
        for head in self.heads:
            features = self.pool(maps, head.pooler, rois.boxes, rois.owners)
            for name, values in head.decode(head.forward(features, classes), outer).items():
                results[name] = rois.restore(values)
        if outer is not rois.boxes:
            results["boxes"] = rois.restore(outer)
        return results

    def inference(self, images: Tensor, image_sizes: Tensor) -> dict[str, Tensor]:
        """From pictures to objects, in pixels of the network's input."""
        maps = self.features(images, image_sizes)
        return self.describe(maps, self.find(images, maps, image_sizes))

    def description(
        self, images: Tensor, image_sizes: Tensor, boxes: Tensor, classes: Tensor
    ) -> dict[str, Tensor]:
        """What is in given boxes.

        Args:
            images: `[B, H, W, C]`.
            image_sizes: int32 `[B, 2]`.
            boxes: float32 `[B, D, 4]`, continuous.
            classes: int32 `[B, D]`: 0..K-1, `K` where the best class is wanted, -1 for padding.

        Returns:
            as `inference`; `scores` are those of the classes.
        """
        maps = self.features(images, image_sizes)
        inner = self.coordinates.to_inner(boxes)
        rois = self.lists.select(inner, classes >= 0)
        scores = self.box.classify(functools.partial(self.pool, maps), rois)  # [B, D, K]
        best = ops.cast(ops.argmax(scores, axis=-1), "int32")
        classes = ops.where(ops.equal(classes, self.box.num_classes), best, classes)
        own = ops.take_along_axis(scores, ops.maximum(classes, 0)[..., None], axis=-1)[..., 0]
        found = {
            "boxes": inner,
            "scores": ops.where(classes >= 0, own, 0.0),
            "classes": classes,
            "counts": ops.sum(ops.cast(classes >= 0, "int32"), axis=1),
        }
        return self.describe(maps, found)

    def training(
        self, images: Tensor, truth: Mapping[str, Tensor], layouts: tuple[Hashable, ...]
    ) -> dict[str, Any]:
        """From pictures and ground truth to what the losses compare, part by part.

        Args:
            images: `[B, H, W, C]`.
            truth: `image_sizes`, `boxes`, `classes`, `crowd_boxes`, and what the heads read.
            layouts: the form of each head's ground truth.
        """
        sizes, classes = truth["image_sizes"], truth["classes"]
        boxes, crowds = (self.coordinates.to_inner(truth[k]) for k in ("boxes", "crowd_boxes"))
        maps = self.features(images, sizes)
        pool = functools.partial(self.pool, maps)
        proposed = self.propose(images, maps, sizes, training=True)
        outputs: dict[str, Any] = {
            "rpn": self.rpn.training_outputs(proposed, boxes, classes, crowds)
        }
        _, limits = self.coordinates.limits(images, sizes)
        outputs["box"], sampled = self.box.train(
            pool, self.lists, proposed.boxes, proposed.valid, boxes, classes, crowds, limits
        )
        if not self.heads:
            return outputs
        own = sampled.with_objects(self.lists, self.box)
        matched = MatchedRoIs(
            self.coordinates.to_outer(own.rois), own.owners, own.matched, own.classes
        )
        for head, layout in zip(self.heads, layouts, strict=True):
            if self._sees_what_the_box_head_saw(head):
                features = own.features
            else:
                features = pool(head.pooler, own.rois, own.owners)
            outputs[head.name] = {
                "predictions": head.forward(features, own.classes),
                "targets": head.targets(matched, truth, layout),
            }
            if own.real is not None:
                outputs[head.name]["real"] = own.real
        return outputs

    def _sees_what_the_box_head_saw(self, head: RoIHead) -> bool:
        """Figure 4 left: res5 runs once for the RoIs that two heads pool alike."""
        return self.neck.shares_roi_features and _alike(head.pooler, self.box.pooler)

    def training_graph(self, layouts: tuple[Hashable, ...]) -> keras.Model:
        """The training walk as a Functional model over `images` and the ground truth it reads."""
        fields = {
            "image_sizes": ((2,), "int32"),
            "boxes": ((None, 4), "float32"),
            "classes": ((None,), "int32"),
            "crowd_boxes": ((None, 4), "float32"),
        }
        for head, layout in zip(self.heads, layouts, strict=True):
            fields.update(head.truth(layout))
        images = keras.Input((None, None, self.channels), name="images")
        truth = {k: keras.Input(s, dtype=d, name=k) for k, (s, d) in fields.items()}
        outputs = self.training(images, truth, layouts)
        return keras.Model({"images": images, **truth}, outputs, name="training")

    def inference_graph(self) -> keras.Model:
        """The walk of `inference` as a Functional model."""
        images = keras.Input((None, None, self.channels), name="images")
        image_sizes = keras.Input((2,), dtype="int32", name="image_sizes")
        outputs = self.inference(images, image_sizes)
        return keras.Model(
            {"images": images, "image_sizes": image_sizes}, outputs, name="inference"
        )

    def finding_graph(self) -> keras.Model:
        """The first half of inference as a Functional model; its boxes are continuous."""
        images = keras.Input((None, None, self.channels), name="images")
        image_sizes = keras.Input((2,), dtype="int32", name="image_sizes")
        found = self.find(images, self.features(images, image_sizes), image_sizes)
        outputs = {**found, "boxes": self.coordinates.to_outer(found["boxes"])}
        return keras.Model({"images": images, "image_sizes": image_sizes}, outputs, name="finding")

    def description_graph(self) -> keras.Model:
        """The walk of `description` as a Functional model."""
        inputs = {
            "images": keras.Input((None, None, self.channels), name="images"),
            "image_sizes": keras.Input((2,), dtype="int32", name="image_sizes"),
            "boxes": keras.Input((None, 4), name="boxes"),
            "classes": keras.Input((None,), dtype="int32", name="classes"),
        }
        return keras.Model(inputs, self.description(**inputs), name="description")

    def variant(
        self, *, backend: str | None = None, fixed_slots: bool = False, **thresholds: Any
    ) -> Network:
        """The same weights with other layers around them, which the original does not notice.

        Args:
            backend: of the poolers, see `ops.roi_align.roi_align_backend`.
            fixed_slots: shapes follow from those of the input alone, and NMS is a loop: for XLA.
            **thresholds: settings of the detection layer.
        """

        def with_backend(part: Any) -> Any:
            twin = copy.copy(part)
            pooler = part.pooler
            twin.pooler = make_pooler(
                pooler, pooler.output_size, pooler.strides, pooler.name, backend
            )
            return twin

        network = copy.copy(self)
        network.box = with_backend(self.box)
        if fixed_slots:
            network.lists = RoISlots()
            network.rpn = copy.copy(self.rpn)
            network.rpn.proposals = _with_settings(self.rpn.proposals, looped_nms=True)
            thresholds["looped_nms"] = True
        network.box.detections = _with_settings(self.box.detections, **thresholds)
        network.heads = tuple(with_backend(head) for head in self.heads)
        return network


def _with_settings(layer: Any, **settings: Any) -> Any:
    return type(layer).from_config({**layer.get_config(), **settings})


def _alike(one: RoIPooler, other: RoIPooler) -> bool:
    """Whether two poolers differ in nothing but their names."""
    configs = ({**pooler.get_config(), "name": None} for pooler in (one, other))
    return type(one) is type(other) and len({repr(config) for config in configs}) == 1

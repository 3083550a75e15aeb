"""What a training step needs beside the network: its data, taken apart, and its losses."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import keras
from keras import ops

from keras_maskrcnn import losses
from keras_maskrcnn.models.config import MaskRCNNConfig
from keras_maskrcnn.models.network import MASK_CROP_SIDE

Tensor = Any


def loss_names(config: MaskRCNNConfig) -> list[str]:
    """The losses of a model, as they appear in Keras' logs."""
    return [
        "rpn_class_loss",
        "rpn_box_loss",
        "class_loss",
        "box_loss",
        *(["mask_loss"] if config.predict_masks else []),
        *(["keypoint_loss"] if config.num_keypoints else []),
        "regularization_loss",
    ]


def loss_parts(
    config: MaskRCNNConfig,
    outputs: dict[str, Tensor],
    kernels: Iterable[Tensor],
    total: losses.Total = losses.only_replica,
) -> dict[str, Tensor]:
    """The losses of one batch, or a replica's share of them.

    Args:
        config: of the model.
        outputs: of `Network.training`.
        kernels: of all trained layers.
        total: count over all replicas from the count on this one.

    Returns:
        scalars under `loss_names`; their sum, over replicas too, is what training minimises.
    """
    images = total(ops.cast(ops.shape(outputs["rpn_labels"])[0], "float32"))
    rpn_class, rpn_box = losses.rpn_losses(
        outputs["rpn_logits"],
        outputs["rpn_deltas"],
        outputs["rpn_labels"],
        outputs["rpn_target_deltas"],
        config.rpn_samples * images,
        config.rpn_box_beta,
    )
    parts = {
        "rpn_class_loss": rpn_class,
        "rpn_box_loss": rpn_box,
        "class_loss": losses.class_loss(outputs["class_logits"], outputs["roi_classes"], total),
        "box_loss": losses.box_loss(
            outputs["box_deltas"],
            outputs["roi_classes"],
            outputs["roi_target_deltas"],
            config.num_classes,
            config.box_beta,
            total,
        ),
    }
    if config.predict_masks:
        parts["mask_loss"] = losses.mask_loss(
            outputs["mask_logits"], outputs["mask_targets"], total
        )
    if config.num_keypoints:
        parts["keypoint_loss"] = losses.keypoint_loss(
            outputs["keypoint_logits"], outputs["keypoint_cells"], outputs["keypoint_valid"], total
        )
    # The kernels are the same everywhere: each replica takes its share of their penalty.
    penalty = losses.weight_penalty(kernels, config.weight_decay)
    parts["regularization_loss"] = penalty / total(ops.ones(()))
    return parts


def require_outlines(config: MaskRCNNConfig, *datasets: Any) -> None:
    """Refuses to train masks on data that lacks some.

    Args:
        config: of the model.
        *datasets: a `DetectionData`, or what its `batches` made; of anything else nothing is known.

    Raises:
        ValueError: that counts the objects without outline, and names the first.
    """
    for dataset in datasets:
        missing = getattr(dataset, "missing_outlines", "")
        if config.predict_masks and missing:
            raise ValueError(
                f"a model with a mask head needs an outline of each object: {missing}. A model "
                "with predict_masks=False needs none. Received: predict_masks=True"
            )


def needed_targets(config: MaskRCNNConfig) -> set[str]:
    """Names of the ground truth that a model learns from."""
    return {
        *("image_sizes", "boxes", "classes", "crowd_boxes"),
        *(["masks"] if config.predict_masks else []),
        *(["keypoints"] if config.num_keypoints else []),
        *(["original_sizes"] if config.num_keypoints and config.keypoint_shift else []),
    }


def require_masks(config: MaskRCNNConfig, targets: Collection[str]) -> None:
    """Refuses targets that lack nothing but masks, and says how to come by them.

    Args:
        config: of the model.
        targets: their names.
    """
    if needed_targets(config) - set(targets) == {"masks"}:
        raise ValueError(
            "a model with a mask head needs 'masks' in the targets. DetectionData.batches gives "
            "them where every object has an outline; its argument masks=True tells which have "
            "none. A model with predict_masks=False needs none. "
            f"Received: targets with {sorted(targets)}"
        )


def join_targets(config: MaskRCNNConfig, data: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Moves the ground truth of a batch to the model's input: targets depend on the proposals.

    Args:
        config: of the model.
        data: `(images, targets)`.

    Returns:
        the model's input, and the targets.

    Raises:
        ValueError: when the data is of another form.
    """
    images, targets, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if sample_weight is not None:
        raise ValueError("MaskRCNN does not weight samples. Received: a data set of three parts")
    needed = needed_targets(config)
    if isinstance(targets, dict):
        require_masks(config, targets)
    if not isinstance(targets, dict) or not needed <= set(targets):
        raise ValueError(
            "training needs a data set of (images, targets), targets a dict with "
            f"{sorted(needed)}. Received: targets={type(targets).__name__}"
            + (f" with {sorted(targets)}" if isinstance(targets, dict) else "")
        )
    return {"images": images, **targets}, targets


def has_whole_masks(inputs: dict[str, Tensor]) -> bool:
    """Whether masks `[B, N, H, W]` cover the pictures rather than the boxes.

    Raises:
        ValueError: when they are neither of the crops' side nor of the pictures' size.
    """
    if "masks" not in inputs:
        return False
    side = tuple(inputs["masks"].shape[2:])
    picture = tuple(inputs["images"].shape[1:3])
    if side == (MASK_CROP_SIDE, MASK_CROP_SIDE):
        return False
    if None not in (*side, *picture) and side != picture:
        raise ValueError(
            f"masks must be crops of side {MASK_CROP_SIDE}, or as large as the pictures "
            f"{picture}. Received: masks of shape {tuple(inputs['masks'].shape)}"
        )
    return True

"""What a training step needs beside the network: its data, taken apart, and its losses."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import Any

import keras
from keras import ops

from keras_maskrcnn import losses
from keras_maskrcnn.models.network import Network

Tensor = Any


def loss_names(network: Network) -> list[str]:
    """The losses of a model, as they appear in Keras' logs."""
    own = [name for head in network.heads for name in head.loss_names]
    return [*network.rpn.loss_names, *network.box.loss_names, *own, "regularization_loss"]


def loss_parts(
    network: Network,
    outputs: Mapping[str, Any],
    kernels: Iterable[Tensor],
    weight_decay: float,
    total: losses.Total = losses.only_replica,
) -> dict[str, Tensor]:
    """The losses of one batch, or a replica's share of them.

    Args:
        network: of the model.
        outputs: of `Network.training`.
        kernels: of all trained layers.
        weight_decay: L2 penalty coefficient.
        total: count over all replicas from the count on this one.

    Returns:
        scalars under `loss_names`; their sum, over replicas too, is what training minimises.
    """
    parts = {
        **network.rpn.losses(outputs["rpn"], total),
        **network.box.losses(outputs["box"], total),
    }
    for head in network.heads:
        own = outputs[head.name]
        padding = {"real": own["real"]} if "real" in own else {}
        parts.update(head.losses(own["predictions"], own["targets"], total, **padding))
    # The kernels are the same everywhere: each replica takes its share of their penalty.
    penalty = losses.weight_penalty(kernels, weight_decay)
    parts["regularization_loss"] = penalty / total(ops.ones(()))
    return parts


def needed_targets(network: Network) -> set[str]:
    """Names of the ground truth that a model learns from."""
    needed = {"image_sizes", "boxes", "classes", "crowd_boxes"}
    for head in network.heads:
        needed |= set(head.truth(None))
    return needed


def require_outlines(network: Network, *datasets: Any) -> None:
    """Refuses to train masks on data that lacks some.

    Args:
        network: of the model.
        *datasets: a `DetectionData`, or what its `batches` made; of anything else nothing is known.

    Raises:
        ValueError: that counts the objects without outline, and names the first.
    """
    for dataset in datasets:
        missing = getattr(dataset, "missing_outlines", "")
        if missing and "masks" in needed_targets(network):
            raise ValueError(
                f"a model with a mask head needs an outline of each object: {missing}. A model "
                f"with heads=[] needs none. Received: heads {[h.name for h in network.heads]}"
            )


def require_masks(network: Network, targets: Collection[str]) -> None:
    """Refuses targets that lack nothing but masks, and says how to come by them.

    Args:
        network: of the model.
        targets: their names.
    """
    if needed_targets(network) - set(targets) == {"masks"}:
        raise ValueError(
            "a model with a mask head needs 'masks' in the targets. DetectionData.batches gives "
            "them where every object has an outline; its argument masks=True tells which have "
            "none. A model with heads=[] needs none. "
            f"Received: targets with {sorted(targets)}"
        )


def join_targets(network: Network, data: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Moves the ground truth of a batch to the model's input: targets depend on the proposals.

    Args:
        network: of the model.
        data: `(images, targets)`.

    Returns:
        the model's input, and the targets.

    Raises:
        ValueError: when the data is of another form.
    """
    images, targets, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if sample_weight is not None:
        raise ValueError("MaskRCNN does not weight samples. Received: a data set of three parts")
    needed = needed_targets(network)
    if isinstance(targets, dict):
        require_masks(network, targets)
    if not isinstance(targets, dict) or not needed <= set(targets):
        raise ValueError(
            "training needs a data set of (images, targets), targets a dict with "
            f"{sorted(needed)}. Received: targets={type(targets).__name__}"
            + (f" with {sorted(targets)}" if isinstance(targets, dict) else "")
        )
    return {"images": images, **targets}, targets


def layouts(network: Network, inputs: Mapping[str, Tensor]) -> tuple[Hashable, ...]:
    """The form of each head's ground truth."""
    return tuple(head.layout(inputs) for head in network.heads)

"""How the masks of the classes relate to each other, for every form of the mask head.

Legend: `P` RoIs, `M` mask side, `K` classes.
"""

from __future__ import annotations

from typing import Any

from keras import ops

Tensor = Any

# "sigmoid": a mask per class, which do not compete (Mask R-CNN, section 3).
# "softmax": at every pixel the classes and the background compete, as in FCN (table 2b).
# "class_agnostic": one mask, whatever the class (section 4.2, Class-Specific vs. Class-Agnostic).
OUTPUTS = ("sigmoid", "softmax", "class_agnostic")


def mask_channels(output: str, num_classes: int) -> int:
    """Channels of a mask head's last layer."""
    return {"sigmoid": num_classes, "softmax": num_classes + 1, "class_agnostic": 1}[output]


def masks_of_classes(maps: Tensor, classes: Tensor, output: str) -> Tensor:
    """What a head says about each RoI's own class.

    Args:
        maps: float32 `[P, M, M, mask_channels]`; of a softmax, background is last.
        classes: int32 `[P]`.
        output: of `OUTPUTS`.

    Returns:
        float32 logits `[P, M, M]`; of a softmax, log probabilities `[P, M, M, 2]` of background and
        the own class.
    """
    if output == "class_agnostic":
        return maps[..., 0]
    # Chosen by a product, whose gradient adds in one order; that of a gather adds in any.
    if output == "sigmoid":
        return _chosen(maps, classes)
    maps = ops.log_softmax(maps, axis=-1)
    return ops.stack([maps[..., -1], _chosen(maps[..., :-1], classes)], axis=-1)


def _chosen(maps: Tensor, classes: Tensor) -> Tensor:
    own = ops.one_hot(classes, maps.shape[-1], dtype=maps.dtype)
    return ops.sum(maps * own[:, None, None], axis=-1)

"""The losses of Mask R-CNN: pure functions, all in float32.

Denominators are counts, passed in or taken from the labels; without any positive a loss is exactly
0 and its gradient finite. Where a batch is spread over replicas, `total` makes the counts of all
replicas from those of one, and the losses of the replicas add up to the loss of the batch.
Legend: `A` anchors, `S` sampled RoIs, `P` RoIs with an object, `K` classes, `M` mask side,
`J` keypoints; `...` any leading axes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from keras import ops

Tensor = Any
Total = Callable[[Tensor], Tensor]


def only_replica(count: Tensor) -> Tensor:
    """The count over all replicas, where there is one."""
    return count


def smooth_l1(difference: Tensor, beta: float) -> Tensor:
    """`.5 x^2 / beta` below `beta`, `|x| - .5 beta` above; `|x|` for 0 (Fast R-CNN, eq. 3)."""
    size = ops.abs(difference)
    if beta == 0.0:
        return size
    return ops.where(size < beta, 0.5 * ops.square(size) / beta, size - 0.5 * beta)


def binary_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Element-wise, stable for logits of any size."""
    return ops.maximum(logits, 0.0) - logits * targets + ops.log1p(ops.exp(-ops.abs(logits)))


def rpn_losses(
    logits: Tensor,
    deltas: Tensor,
    labels: Tensor,
    target_deltas: Tensor,
    normaliser: Tensor,
    beta: float,
) -> tuple[Tensor, Tensor]:
    """Objectness and box loss of the RPN (Faster R-CNN, equation 1).

    Args:
        logits: float32 `[..., A]`.
        deltas: float32 `[..., A, 4]`.
        labels: int32 `[..., A]`: 1 object, 0 background, -1 not sampled.
        target_deltas: float32 `[..., A, 4]`, read where the label is 1.
        normaliser: over all replicas, the number of anchors that images should sample (detectron2),
            or of those that they did (torchvision).
        beta: see `smooth_l1`.

    Returns:
        two scalars.
    """
    labels = ops.cast(labels, "float32")  # int32 is compared on the host.
    sampled = ops.cast(labels >= 0, "float32")
    positive = ops.cast(labels == 1, "float32")
    class_loss = ops.sum(binary_cross_entropy(logits, positive) * sampled)
    box_loss = ops.sum(smooth_l1(deltas - target_deltas, beta) * positive[..., None])
    return class_loss / normaliser, box_loss / normaliser


def class_loss(logits: Tensor, classes: Tensor, total: Total = only_replica) -> Tensor:
    """Softmax cross entropy over `K` classes and background, mean over sampled RoIs.

    Args:
        logits: float32 `[..., K + 1]`, background last.
        classes: int32 `[...]`: 0..K-1, K background, -1 not sampled.
        total: count over all replicas from the count here.

    Returns:
        a scalar.
    """
    classes = ops.cast(classes, "int64")  # int32 is compared and reshaped on the host.
    sampled = classes >= 0
    targets = ops.where(sampled, classes, 0)
    log_probabilities = ops.log_softmax(logits, axis=-1)
    chosen = ops.take_along_axis(log_probabilities, targets[..., None], axis=-1)[..., 0]
    count = ops.maximum(total(ops.sum(ops.cast(sampled, "float32"))), 1.0)
    return -ops.sum(ops.where(sampled, chosen, 0.0)) / count


def box_loss(
    deltas: Tensor,
    classes: Tensor,
    target_deltas: Tensor,
    num_classes: int,
    beta: float,
    total: Total = only_replica,
) -> Tensor:
    """Smooth L1 on the deltas of each positive RoI's own class, over all sampled RoIs.

    Args:
        deltas: float32 `[..., K, 4]`, or `[..., 1, 4]` for all classes.
        classes: int32 `[...]` as in `class_loss`.
        target_deltas: float32 `[..., 4]`.
        num_classes: `K`.
        beta: see `smooth_l1`.
        total: as in `class_loss`.

    Returns:
        a scalar.
    """
    classes = ops.cast(classes, "int64")  # As in `class_loss`.
    positive = (classes >= 0) & (classes < num_classes)
    if deltas.shape[-2] == 1:
        chosen = deltas[..., 0, :]
    else:
        own = ops.where(positive, classes, 0)[..., None, None]
        chosen = ops.take_along_axis(deltas, own, axis=-2)[..., 0, :]
    loss = ops.sum(smooth_l1(chosen - target_deltas, beta), axis=-1)
    count = ops.maximum(total(ops.sum(ops.cast(classes >= 0, "float32"))), 1.0)
    return ops.sum(ops.where(positive, loss, 0.0)) / count


def mask_loss(
    logits: Tensor, targets: Tensor, total: Total = only_replica, real: Tensor | None = None
) -> Tensor:
    """Mean binary cross entropy on the masks of the objects' own classes (section 3).

    Args:
        logits: float32 `[P, M, M]`; the other classes' masks take no part.
        targets: float32 `[P, M, M]` in 0..1.
        total: as in `class_loss`.
        real: bool `[P]`, which RoIs count; `None`: all.

    Returns:
        a scalar; 0 for `P = 0`.
    """
    return _mean_over_pixels(binary_cross_entropy(logits, targets), targets, total, real)


def softmax_mask_loss(
    log_probabilities: Tensor,
    targets: Tensor,
    total: Total = only_replica,
    real: Tensor | None = None,
) -> Tensor:
    """Mean cross entropy of pixels that are either the object's class or background (FCN).

    Args:
        log_probabilities: float32 `[P, M, M, 2]` of background and the object's own class.
        targets: float32 `[P, M, M]` in 0..1.
        total: as in `class_loss`.
        real: as in `mask_loss`.

    Returns:
        a scalar; 0 for `P = 0`.
    """
    shares = ops.stack([1.0 - targets, targets], axis=-1)
    return -_mean_over_pixels(shares * log_probabilities, targets, total, real)


def _mean_over_pixels(loss: Tensor, pixels: Tensor, total: Total, real: Tensor | None) -> Tensor:
    """Sum of `loss` `[P, M, M, ...]` by the number of `pixels` `[P, M, M]`, of real RoIs."""
    count = ops.cast(ops.prod(ops.shape(pixels)), "float32")
    if real is not None:
        loss = ops.sum(loss, axis=tuple(range(1, len(loss.shape))))
        loss = ops.where(real, loss, 0.0)
        count = ops.sum(ops.cast(real, "float32")) * (pixels.shape[1] * pixels.shape[2])
    return ops.sum(loss) / ops.maximum(total(count), 1.0)


def keypoint_loss(
    logits: Tensor, cells: Tensor, valid: Tensor, total: Total = only_replica
) -> Tensor:
    """Cross entropy over the `M * M` cells of each visible keypoint's map, mean over keypoints.

    Args:
        logits: float32 `[P, M, M, J]`.
        cells: int32 `[P, J]` target cell.
        valid: bool `[P, J]`.
        total: as in `class_loss`.

    Returns:
        a scalar; 0 without visible keypoints.
    """
    side, num_keypoints = logits.shape[1], logits.shape[3]
    flat = ops.reshape(ops.transpose(logits, (0, 3, 1, 2)), (-1, num_keypoints, side * side))
    log_probabilities = ops.log_softmax(flat, axis=-1)
    chosen = ops.take_along_axis(log_probabilities, cells[..., None], axis=-1)[..., 0]
    count = ops.maximum(total(ops.sum(ops.cast(valid, "float32"))), 1.0)
    return -ops.sum(ops.where(valid, chosen, 0.0)) / count


def weight_penalty(kernels: Iterable[Tensor], weight_decay: float) -> Tensor:
    """`weight_decay / 2` times the squared sum of all kernels: what SGD calls weight decay.

    Its gradient is clipped with the loss', where PyTorch's SGD adds it after clipping.
    """
    if weight_decay == 0:
        return ops.zeros(())  # The squares would be kept for a gradient of zero.
    squares = [ops.sum(ops.square(ops.cast(kernel, "float32"))) for kernel in kernels]
    return 0.5 * weight_decay * sum(squares, ops.zeros(()))

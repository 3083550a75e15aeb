"""Random choices per pass, and what a mirror does to boxes, masks and keypoints."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Pictures that are sorted by aspect ratio together, in batches: enough for batches of like
# shape, few enough that a batch is no fixed company.
SORTED_BATCHES = 16


def draw_augmentation(
    count: int, min_sizes: Sequence[int], augment: bool, seed: int, epoch: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draws what happens to each picture in one pass.

    The draws depend on nothing but the arguments, so a run can be repeated.

    Args:
        count: number of pictures in the data set.
        min_sizes: lengths from which each picture's shorter side is drawn.
        augment: whether pictures are mirrored with probability 1/2.
        seed: seed of the run.
        epoch: number of the pass.

    Returns:
        bool `[count]`: which pictures are mirrored; int32 `[count]`: length of the shorter side.
    """
    rng = np.random.default_rng([seed, epoch, 0])
    flip = rng.random(count) < 0.5 if augment else np.zeros(count, bool)
    sizes = np.asarray(min_sizes, np.int32)[rng.integers(len(min_sizes), size=count)]
    return flip, sizes


def draw_order(aspect_ratios: np.ndarray, batch_size: int, seed: int, epoch: int) -> np.ndarray:
    """Draws the order of pictures for one pass, so that a batch holds pictures of like shape.

    Landscape and portrait pictures are shuffled separately (the idea of torchvision's
    GroupedBatchSampler); within each, runs of `SORTED_BATCHES` batches are sorted by aspect
    ratio and cut into batches, and the order of the batches is shuffled. What fills no batch in
    its own group comes last, so that each picture appears once and the number of batches is
    that of plain batching.

    Args:
        aspect_ratios: `[count]` width / height.
        batch_size: pictures per batch.
        seed: seed of the run.
        epoch: number of the pass.

    Returns:
        int64 `[count]`: picture numbers; every `batch_size` of them make one batch.
    """
    rng = np.random.default_rng([seed, epoch, 1])
    batches: list[np.ndarray] = []
    rest: list[np.ndarray] = []
    for group in (aspect_ratios >= 1, aspect_ratios < 1):
        members = rng.permutation(np.flatnonzero(group))
        full = len(members) - len(members) % batch_size
        rest.append(members[full:])
        run = SORTED_BATCHES * batch_size
        for start in range(0, full, run):
            window = members[start : min(start + run, full)]
            window = window[np.argsort(aspect_ratios[window], kind="stable")]
            batches.extend(window.reshape(-1, batch_size))
    last = np.concatenate(rest)
    # The full batch among the leftovers goes in with the others, only the partial one is last.
    last = last[np.argsort(aspect_ratios[last], kind="stable")]
    if len(last) >= batch_size:
        batches.append(last[:batch_size])
        last = last[batch_size:]
    order = [batches[number] for number in rng.permutation(len(batches))]
    return np.concatenate([*order, last]).astype(np.int64)


def flip_boxes(boxes: np.ndarray, width: float) -> np.ndarray:
    """Mirrors boxes `[..., 4]` (x1, y1, x2, y2) left to right in a picture of that width."""
    flipped = boxes.copy()
    flipped[..., 0] = width - boxes[..., 2]
    flipped[..., 2] = width - boxes[..., 0]
    return flipped


def flip_keypoints(
    keypoints: np.ndarray, width: float, flip_pairs: Sequence[tuple[int, int]]
) -> np.ndarray:
    """Mirrors keypoints left to right; a left hand becomes a right hand.

    Args:
        keypoints: `[..., J, 3]` x, y (continuous pixels), visibility. Points of visibility 0
            stay 0, 0, 0.
        width: width of the picture.
        flip_pairs: pairs of indices that are exchanged.

    Returns:
        The mirrored keypoints, of the same shape.
    """
    order = np.arange(keypoints.shape[-2])
    for left, right in flip_pairs:
        order[left], order[right] = right, left
    flipped = keypoints[..., order, :].copy()
    flipped[..., 0] = np.where(flipped[..., 2] > 0, width - flipped[..., 0], 0.0)
    return flipped

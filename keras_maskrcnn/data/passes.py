"""Random choices of one pass over a data set: pictures, sizes and order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from keras_maskrcnn.data.detection_data import DetectionData

# Pictures of as many whole shards are shuffled together.
SHUFFLED_PICTURES = 4096
# Pictures that are sorted by aspect ratio together, in batches: enough for batches of like
# shape, few enough that a batch is no fixed company.
SORTED_BATCHES = 16


def pass_length(weights: np.ndarray) -> int:
    """How many pictures a pass has; see `draw_pictures`."""
    return round(float(weights.sum()))


def draw_pictures(
    weights: np.ndarray, seed: int, epoch: int, length: int | None = None
) -> np.ndarray:
    """Draws the pictures of one pass.

    Systematic sampling: a picture of weight 2.3 comes 2 or 3 times, and every pass has the same
    number of pictures.

    Args:
        weights: `[count]`: how often each picture comes on average.
        seed: seed of the run.
        epoch: number of the pass.
        length: how many are drawn, if not `pass_length(weights)`.

    Returns:
        int64 `[length]`: picture numbers in ascending order.
    """
    rng = np.random.default_rng([seed, epoch, 3])
    order = rng.permutation(len(weights))
    length = pass_length(weights) if length is None else length
    ends = np.cumsum(weights[order]) * (length / weights.sum())
    places = np.searchsorted(ends, np.arange(length) + rng.random(), side="right")
    return np.sort(order[np.minimum(places, len(order) - 1)])


def count_repeats(pictures: np.ndarray) -> np.ndarray:
    """How often each of the pictures, in ascending order, came before: 0, 1, ..."""
    return np.arange(len(pictures)) - np.searchsorted(pictures, pictures)


def describe_pass(data: DetectionData, pictures: np.ndarray, called: str = "pictures") -> str:
    """What the pictures of a pass hold, in one line."""
    shown = [data.records[index].objects for index in pictures]
    empty = sum(not found for found in shown)
    counts = Counter(o.category for found in shown for o in found)
    objects = ", ".join(f"{name} {counts[k]}" for k, name in enumerate(data.class_names))
    return f"{len(shown)} {called}, {empty} without objects; objects: {objects}"


def draw_sizes(count: int, min_sizes: Sequence[int], seed: int, epoch: int) -> np.ndarray:
    """Draws the length of each picture's shorter side for one pass.

    The draws depend on nothing but the arguments, so a run can be repeated.

    Args:
        count: number of pictures in the data set.
        min_sizes: lengths from which each is drawn.
        seed: seed of the run.
        epoch: number of the pass.

    Returns:
        int32 `[count]`.
    """
    rng = np.random.default_rng([seed, epoch, 0])
    return np.asarray(min_sizes, np.int32)[rng.integers(len(min_sizes), size=count)]


def draw_shard_order(
    shards: np.ndarray, aspect_ratios: np.ndarray, batch_size: int, seed: int, epoch: int
) -> np.ndarray:
    """Draws the order of pictures for one pass so that few shards are open at a time.

    The shards come in random order. Those that follow each other are taken together until they have
    `SHUFFLED_PICTURES`, and the pictures of these are drawn as `draw_order` does; what would leave
    its last batch partial goes on to the next. With less data, it is `draw_order`.

    Args:
        shards: `[count]`: the number of each picture's shard.
        aspect_ratios, batch_size, seed, epoch: as of `draw_order`.

    Returns:
        int64 `[count]`: picture numbers; every `batch_size` of them make one batch.
    """
    if len(shards) <= SHUFFLED_PICTURES:
        return draw_order(aspect_ratios, batch_size, seed, epoch)
    rng = np.random.default_rng([seed, epoch, 4])
    turns = rng.permutation(int(shards.max()) + 1)[shards]
    members = np.argsort(turns, kind="stable")
    # Where a shard ends, in whole batches.
    ends = np.flatnonzero(np.diff(turns[members])) + 1
    starts = [0]
    for end in (ends - ends % batch_size).tolist():
        if end - starts[-1] >= SHUFFLED_PICTURES:
            starts.append(end)
    groups = np.empty(len(shards), np.int64)
    groups[members] = np.searchsorted(starts, np.arange(len(shards)), "right") - 1
    return draw_order_of_groups(aspect_ratios, groups, batch_size, seed, epoch)


def draw_order(
    aspect_ratios: np.ndarray, batch_size: int, seed: int, epoch: int, part: int = 0
) -> np.ndarray:
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
        part: number of the part of a pass that these pictures are.

    Returns:
        int64 `[count]`: picture numbers; every `batch_size` of them make one batch.
    """
    # The first, as where there is one alone.
    rng = np.random.default_rng([seed, epoch, 1, *([part] if part else [])])
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


def draw_groups(sizes: np.ndarray, limit: int, seed: int, epoch: int) -> np.ndarray:
    """Draws which files are read at the same time in one pass.

    Args:
        sizes: `[files]`: what each takes in memory while it is read, in bytes; may be 0.
        limit: what those of a group take together at most; a larger one is alone with others of 0.
        seed: seed of the run.
        epoch: number of the pass.

    Returns:
        int64 `[files]`: the group of each; group 0 comes first.
    """
    order = np.random.default_rng([seed, epoch, 5]).permutation(len(sizes))
    groups = np.empty(len(sizes), np.int64)
    group, taken = 0, 0
    for file in order.tolist():
        size = int(sizes[file])
        if size and taken and taken + size > limit:
            group, taken = group + 1, 0
        groups[file] = group
        taken += size
    return groups


def draw_order_of_groups(
    aspect_ratios: np.ndarray, groups: np.ndarray, batch_size: int, seed: int, epoch: int
) -> np.ndarray:
    """As `draw_order`, group by group. A batch may hold the last of one and the first of the next.

    Args:
        aspect_ratios: `[count]` width / height.
        groups: `[count]`: group of each picture.
        batch_size, seed, epoch: as of `draw_order`.
    """
    order = []
    for group in np.unique(groups).tolist():
        members = np.flatnonzero(groups == group)
        own = draw_order(aspect_ratios[members], batch_size, seed, epoch, group)
        order.append(members[own])
    return np.concatenate(order)


def share_of_batches(order: np.ndarray, batch_size: int, part: int, parts: int) -> np.ndarray:
    """What one of several workers reads of a pass that they take together.

    Args:
        order: `[count]`: picture numbers; every `batch_size` of them make one batch.
        batch_size: pictures per batch, a multiple of `parts`.
        part: number of the worker, from 0.
        parts: how many workers there are.

    Returns:
        int64: its pictures, every `batch_size / parts` of them from one batch; those of a last
        batch that is not full are nobody's.
    """
    batches = order[: len(order) - len(order) % batch_size].reshape(-1, parts, batch_size // parts)
    return batches[:, part].ravel()

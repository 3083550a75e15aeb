"""Balanced random choice of positives and negatives, with static shapes.

Legend: `B` images, `A` candidates, `S` samples.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_maskrcnn.ops.gather import take_rows
from keras_maskrcnn.ops.gpu_forms import top_k
from keras_maskrcnn.ops.matching import IGNORED, NEGATIVE, POSITIVE

Tensor = Any

# Random bits of a float32 in [0, 1).
_FLOAT_BITS = 23


def random_priorities(shape: tuple[Any, ...], seed: keras.random.SeedGenerator) -> Tensor:
    """float32 in [0, 1): who is chosen first when there are too many."""
    # The floats of `keras.random.uniform` under TensorFlow, bit for bit; XLA makes others of the
    # same random bits, and a seed would choose other samples.
    bits = keras.random.randint(shape, 0, 1 << _FLOAT_BITS, seed=seed, dtype="int32")
    return ops.cast(bits, "float32") * 0.5**_FLOAT_BITS


def sample_labels(
    labels: Tensor, num_samples: int, positive_fraction: float, priorities: Tensor
) -> tuple[Tensor, Tensor]:
    """Chooses `num_samples` candidates, at most `positive_fraction` of them positive.

    Negatives fill what positives leave free, as in Faster R-CNN (section 3.1.3).

    Args:
        labels: int32 `[B, A]` of `POSITIVE`, `NEGATIVE`, `IGNORED`.
        num_samples: `S`.
        positive_fraction: share of `S` that positives may take.
        priorities: float32 `[B, A]` in [0, 1]; the highest are chosen.

    Returns:
        indices int32 `[B, S]`, positives first, then negatives, and
        their labels int32 `[B, S]`, `IGNORED` in slots for which no candidate was left.
    """
    # As float32, and places as int64: TensorFlow has int32 arithmetic on the host alone.
    labels = ops.cast(labels, "float32")
    padding = [[0, 0], [0, ops.maximum(num_samples - ops.shape(priorities)[1], 0)]]
    labels = ops.pad(labels, padding, constant_values=IGNORED)
    priorities = ops.pad(priorities, padding)

    max_positives = int(num_samples * positive_fraction)
    is_positive = labels == POSITIVE
    # Positives are ranked first among themselves, so that at most max_positives survive.
    _, top = top_k(ops.where(is_positive, priorities, -1.0), max_positives)
    found = take_rows(ops.cast(is_positive, "float32"), top)
    # Chosen positives rank above all negatives, everything else below them.
    rank = ops.where(labels == NEGATIVE, priorities, -1.0)
    negative_rank, negatives = top_k(rank, num_samples)
    slots = ops.concatenate([ops.cast(top, "int64"), ops.cast(negatives, "int64")], axis=1)
    slot_rank = ops.concatenate([ops.where(found > 0, 2.0, -1.0), negative_rank], axis=1)
    chosen_rank, order = ops.top_k(slot_rank, num_samples)  # The first of equals comes first.
    indices = ops.cast(take_rows(slots, order), "int32")
    chosen = ops.where(chosen_rank > 1.5, POSITIVE, ops.where(chosen_rank >= 0, NEGATIVE, IGNORED))
    return ops.where(chosen_rank < 0, 0, indices), ops.cast(chosen, "int32")


def scatter_labels(indices: Tensor, chosen: Tensor, shape: tuple[Any, Any]) -> Tensor:
    """Puts the labels of samples back in the candidates' places.

    Args:
        indices, chosen: int32 `[B, S]` from `sample_labels`.
        shape: `(B, A)`.

    Returns:
        int32 `[B, A]`, `IGNORED` where not sampled.
    """
    batch, candidates = shape
    first = ops.arange(batch, dtype="int32")[:, None] * ops.cast(candidates, "int32")
    flat = ops.reshape(ops.cast(indices, "int64") + ops.cast(first, "int64"), (-1, 1))
    # scatter adds onto zeros, so labels move up by one; an empty slot adds 0 to candidate 0.
    values = ops.reshape(ops.cast(chosen, "float32") - IGNORED, (-1,))
    labels = ops.scatter(ops.cast(flat, "int32"), values, (batch * candidates,)) + IGNORED
    return ops.cast(ops.reshape(labels, (batch, candidates)), "int32")

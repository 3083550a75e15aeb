"""How well anchors fit a data set's objects.

Legend: `N` objects, `a` anchors of a cell.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# A feature pyramid's finest level has cells of 4 pixels and anchors of 8 cells; below 2 cells
# features are too coarse. Steps of a quarter of an octave.
_SMALLEST, _LARGEST, _STEPS = 8.0, 128.0, 4
# The proposal must fit better than what there is by this much, on average.
_WORTH = 0.02
_ALIKE = 0.005


def anchor_sides(sizes: Sequence[float], ratios: Sequence[float]) -> np.ndarray:
    """Width and height of each anchor, float64 `[a, 2]`; see `ops.anchors.cell_anchors`."""
    root = np.sqrt(np.asarray(ratios, np.float64))
    side = np.asarray(sizes, np.float64)
    return np.stack([np.outer(side, 1 / root).ravel(), np.outer(side, root).ravel()], axis=1)


def best_overlaps(sides: np.ndarray, sizes: Sequence[float], ratios: Sequence[float]) -> np.ndarray:
    """The best intersection over union that an anchor centred on each object can have.

    Anchors stand on a grid, so training meets somewhat less.

    Args:
        sides: `[N, 2]`: width and height of the objects' boxes in the network, in pixels.
        sizes: square roots of the anchors' areas, all levels together.
        ratios: heights over widths.

    Returns:
        float64 `[N]`.
    """
    best = np.zeros(len(sides))
    for anchor in anchor_sides(sizes, ratios):
        shared = np.minimum(sides, anchor).prod(axis=1)
        union = sides.prod(axis=1) + anchor.prod() - shared
        best = np.maximum(best, shared / np.maximum(union, 1e-12))
    return best


def proposed_sizes(
    sides: np.ndarray, sizes: Sequence[float], ratios: Sequence[float]
) -> tuple[float, ...]:
    """One anchor size for each level that fits the objects best.

    Levels of a feature pyramid double their cells, so the sizes keep doubling: they are
    `s, 2 s, 4 s, ...`, as many as there are now, with `s` from 8 to 128 pixels in steps of a
    quarter of an octave, and whole pixels in the end. The best has the highest mean of
    `best_overlaps`; of those within .005 of it, the one whose `s` is nearest to the present one
    is taken, since cells and anchors belong together. Where it is not better than the present
    sizes by .02, those are kept.

    Args:
        sides, sizes, ratios: see `best_overlaps`.

    Returns:
        The sizes, from the finest level to the coarsest.
    """
    if not len(sides):
        return tuple(sizes)
    octaves = np.arange(0, np.log2(_LARGEST / _SMALLEST) + 1e-9, 1 / _STEPS)
    ladders = [
        tuple(float(_SMALLEST * 2 ** (octave + level)) for level in range(len(sizes)))
        for octave in octaves
    ]
    means = [float(best_overlaps(sides, ladder, ratios).mean()) for ladder in ladders]
    good = [k for k, mean in enumerate(means) if mean >= max(means) - _ALIKE]
    best = min(good, key=lambda k: abs(np.log(ladders[k][0] / min(sizes))))
    present = float(best_overlaps(sides, sizes, ratios).mean())
    if means[best] <= present + _WORTH:
        return tuple(sizes)
    return tuple(float(round(size)) for size in ladders[best])


def as_setting(sizes: Sequence[float]) -> str:
    """Sizes as the command line takes them, a list for each level."""
    levels = ", ".join(f"[{size:g}]" for size in sizes)
    return f'--set "rpn.anchor_sizes=[{levels}]"'

"""Anchor boxes of one pyramid level.

Legend: `h w` the level's grid, `a` anchors per cell, `A = h * w * a`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

Tensor = Any


def cell_anchors(
    sizes: tuple[float, ...], ratios: tuple[float, ...], style: str = "exact"
) -> np.ndarray:
    """Anchors of one cell, centred on the origin.

    Args:
        sizes: square roots of the areas, pixels.
        ratios: heights over widths.
        style: `"exact"`: size-major order, not rounded (the paper, detectron2); `"torchvision"`:
            ratio-major order, corners rounded half to even.

    Returns:
        float32 `[a, 4]`.
    """
    root = np.sqrt(np.asarray(ratios, np.float32))
    side = np.asarray(sizes, np.float32)
    if style == "torchvision":
        widths = np.outer(1.0 / root, side).ravel()
        heights = np.outer(root, side).ravel()
        return np.round(np.stack([-widths, -heights, widths, heights], axis=1) / 2)
    widths = np.outer(side, 1.0 / root).ravel()
    heights = np.outer(side, root).ravel()
    return np.stack([-widths, -heights, widths, heights], axis=1) / 2


def grid_anchors(
    cells: np.ndarray,
    grid_size: tuple[Any, Any],
    stride: tuple[Any, Any],
    offset: float = 0.0,
) -> Tensor:
    """Anchors of all cells of a grid, in the order y, x, anchor.

    Args:
        cells: `[a, 4]` from `cell_anchors`.
        grid_size: `(h, w)`; ints or scalar tensors.
        stride: pixels between neighbouring cells, `(y, x)`; ints or scalar tensors.
        offset: position of a cell's centre in strides: centre = (i + offset) * stride.

    Returns:
        float32 `[h * w * a, 4]`.
    """
    axes = [
        (ops.cast(ops.arange(n), "float32") + offset) * ops.cast(s, "float32")
        for n, s in zip(grid_size, stride, strict=True)
    ]
    y, x = ops.meshgrid(*axes, indexing="ij")
    centres = ops.reshape(ops.stack([x, y, x, y], axis=-1), (-1, 1, 4))
    return ops.reshape(centres + ops.convert_to_tensor(cells[None], "float32"), (-1, 4))

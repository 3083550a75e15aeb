"""Random weights under which a Mask R-CNN finds as much as trained ones would let it."""

from __future__ import annotations

import numpy as np

# Random weights whose scores spread: factors of kernels by part of their name.
GAINS = {
    "bn3.weight": 0.3,
    "fpn.": 0.5,
    "rpn.head.cls_logits": 0.3,
    "rpn.head.bbox_pred": 0.2,
    "bbox_pred": 0.5,
    "cls_score": 0.8,
}


def random_tensor(name: str, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """A value for a tensor of torchvision's state dict."""
    x = random.standard_normal(shape)
    gain = next((value for part, value in GAINS.items() if part in name), 1.0)
    if name.endswith("running_var"):
        return 1.0 + 0.2 * np.tanh(x)
    if name.endswith(("running_mean", "bias")):
        return 0.1 * gain * x
    if len(shape) == 1:
        return gain * (1.0 + 0.1 * np.tanh(x))
    fan = shape[0] if "conv5_mask" in name else np.prod(shape[1:])
    return gain * np.sqrt(2.0 / fan) * x

"""Weights of the recorded whole-model cases, regenerated from the names of their tensors."""

from __future__ import annotations

import math
import zlib

import numpy as np


def golden_tensors(info: dict, prefix: str = "") -> dict[str, np.ndarray]:
    """Tensors of a recorded case, in PyTorch's layout, checked against its checksums.

    Args:
        info: the case's `golden_info`.
        prefix: only tensors whose name starts so.
    """
    tensors = {}
    for name, shape, checksum in info["tensors"]:
        if name.startswith(prefix):
            tensors[name] = _tensor(name, tuple(shape), info["weight_gains"])
            if zlib.crc32(tensors[name].tobytes()) != checksum:
                raise ValueError(f"the rule does not reproduce {name}")
    return tensors


def _tensor(name: str, shape: tuple[int, ...], gains: list[tuple[str, float]]) -> np.ndarray:
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    x = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)
    gain = next((factor for part, factor in gains if part in name), 1.0)
    if name.endswith("running_var"):
        value = 1.0 + 0.2 * np.tanh(x)
    elif name.endswith("running_mean"):
        value = 0.1 * x
    elif name.endswith("weight") and len(shape) == 1:
        value = gain * (1.0 + 0.1 * np.tanh(x))
    elif name.endswith("bias"):
        value = 0.1 * gain * x
    else:
        if "mask_fcn5_mask" in name or "mask_head.deconv" in name:
            fan = shape[0]
        elif "kps_score_lowres" in name:
            fan = 4 * shape[0]
        else:
            fan = math.prod(shape[1:])
        value = gain * np.sqrt(2.0 / fan) * x
    return np.ascontiguousarray(value.astype(np.float32))

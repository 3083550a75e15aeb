"""RegNets in float64 and NumPy, from the paper's rule for their shape, by PyTorch's names.

Legend: `h w` cells, `C` channels, `g` groups.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

EPSILON = 1e-5
STEM = 32


@dataclasses.dataclass(frozen=True)
class Design:
    """The paper's parameters of a network (Radosavovic et al. 2020, section 3.3)."""

    depth: int
    w_0: int
    w_a: float
    w_m: float
    group_width: int
    squeeze_excite: bool


# The paper's figures 16 and 17, as torchvision and detectron2 build the networks.
DESIGNS = {
    "regnetx_4gf": Design(23, 96, 38.65, 2.43, 40, False),
    "regnety_4gf": Design(22, 96, 31.41, 2.24, 64, True),
}


def stages(design: Design) -> list[tuple[int, int]]:
    """Width and number of blocks of each stage: a line of widths, quantised (equations 2 to 4)."""
    line = design.w_0 + design.w_a * np.arange(design.depth)
    powers = np.round(np.log(line / design.w_0) / np.log(design.w_m))
    widths = np.round(design.w_0 * design.w_m**powers / 8) * 8
    # Then such that groups have their width.
    widths = (np.round(widths / design.group_width) * design.group_width).astype(int)
    return [(int(width), int(np.sum(widths == width))) for width in np.unique(widths)]


def blocks(design: Design) -> Iterator[tuple[int, int, int, int]]:
    """Stage, block (both from 1), channels that it reads, and its width."""
    channels = STEM
    for stage, (width, count) in enumerate(stages(design), 1):
        for block in range(1, count + 1):
            yield stage, block, channels, width
            channels = width


class Names:
    """What a library calls a network's modules."""

    def stem(self) -> tuple[str, str]:
        """Convolution and norm."""
        raise NotImplementedError

    def conv(self, stage: int, block: int, part: str) -> tuple[str, str]:
        """Convolution and norm of `a`, `b`, `c` or `proj`."""
        raise NotImplementedError

    def squeeze_excite(self, stage: int, block: int) -> tuple[str, str]:
        """The two layers."""
        raise NotImplementedError


class Torchvision(Names):
    def stem(self) -> tuple[str, str]:
        return "stem.0", "stem.1"

    def conv(self, stage: int, block: int, part: str) -> tuple[str, str]:
        module = f"trunk_output.block{stage}.block{stage}-{block - 1}."
        module += part if part == "proj" else f"f.{part}"
        return f"{module}.0", f"{module}.1"

    def squeeze_excite(self, stage: int, block: int) -> tuple[str, str]:
        module = f"trunk_output.block{stage}.block{stage}-{block - 1}.f.se"
        return f"{module}.fc1", f"{module}.fc2"


class Detectron2(Names):
    def stem(self) -> tuple[str, str]:
        return "stem.conv", "stem.bn"

    def conv(self, stage: int, block: int, part: str) -> tuple[str, str]:
        module = f"s{stage}.b{block}."
        if part == "proj":
            return f"{module}proj", f"{module}bn"
        return f"{module}f.{part}", f"{module}f.{part}_bn"

    def squeeze_excite(self, stage: int, block: int) -> tuple[str, str]:
        module = f"s{stage}.b{block}.f.se.f_ex"
        return f"{module}.0", f"{module}.2"


def random_tensors(design: Design, names: Names) -> dict[str, np.ndarray]:
    """A state dict of the network, float32, whose maps stay of the order of 1."""
    rng = np.random.default_rng(0)
    tensors = {}

    def conv(modules: tuple[str, str], outputs: int, inputs: int, size: int, gain: float) -> None:
        fan_in = inputs * size**2
        tensors[f"{modules[0]}.weight"] = (
            rng.normal(size=(outputs, inputs, size, size)) * (2 / fan_in) ** 0.5
        )
        tensors[f"{modules[1]}.weight"] = gain * rng.uniform(0.8, 1.2, outputs)
        tensors[f"{modules[1]}.bias"] = rng.normal(0, 0.1, outputs)
        tensors[f"{modules[1]}.running_mean"] = rng.normal(0, 0.1, outputs)
        tensors[f"{modules[1]}.running_var"] = rng.uniform(0.8, 1.2, outputs)
        tensors[f"{modules[1]}.num_batches_tracked"] = np.array(7)

    conv(names.stem(), STEM, 3, 3, 1.0)
    for stage, block, channels, width in blocks(design):
        if block == 1:
            conv(names.conv(stage, block, "proj"), width, channels, 1, 0.7)
        conv(names.conv(stage, block, "a"), width, channels, 1, 1.0)
        conv(names.conv(stage, block, "b"), width, design.group_width, 3, 1.0)
        if design.squeeze_excite:
            inner = round(0.25 * channels)
            reduce, expand = names.squeeze_excite(stage, block)
            tensors[f"{reduce}.weight"] = rng.normal(size=(inner, width, 1, 1)) / width**0.5
            tensors[f"{reduce}.bias"] = rng.normal(0, 0.1, inner)
            tensors[f"{expand}.weight"] = rng.normal(size=(width, inner, 1, 1)) / inner**0.5
            tensors[f"{expand}.bias"] = rng.normal(0, 1, width)
        conv(names.conv(stage, block, "c"), width, width, 1, 0.5)
    return {
        name: tensor if tensor.ndim == 0 else tensor.astype("float32")
        for name, tensor in tensors.items()
    }


def forward(
    design: Design, names: Names, tensors: dict[str, np.ndarray], images: np.ndarray
) -> dict[str, np.ndarray]:
    """Maps C2..C5 `[h, w, C]` of a picture `[H, W, 3]`."""

    def conv(x: np.ndarray, modules: tuple[str, str], stride: int = 1) -> np.ndarray:
        y = _convolve(x, tensors[f"{modules[0]}.weight"].astype("float64"), stride)
        gamma, beta, mean, variance = (
            tensors[f"{modules[1]}.{name}"].astype("float64")
            for name in ("weight", "bias", "running_mean", "running_var")
        )
        return (y - mean) / np.sqrt(variance + EPSILON) * gamma + beta

    def dense(x: np.ndarray, module: str) -> np.ndarray:
        weight, bias = (
            tensors[f"{module}.{name}"].astype("float64") for name in ("weight", "bias")
        )
        return weight[:, :, 0, 0] @ x + bias

    x = np.maximum(conv(images.astype("float64"), names.stem(), 2), 0)
    maps = {}
    for stage, block, channels, width in blocks(design):
        stride = 2 if block == 1 else 1
        y = np.maximum(conv(x, names.conv(stage, block, "a")), 0)
        y = np.maximum(conv(y, names.conv(stage, block, "b"), stride), 0)
        if design.squeeze_excite:
            reduce, expand = names.squeeze_excite(stage, block)
            excitation = dense(np.maximum(dense(y.mean(axis=(0, 1)), reduce), 0), expand)
            y = y / (1 + np.exp(-excitation))
        y = conv(y, names.conv(stage, block, "c"))
        if stride != 1 or channels != width:
            x = conv(x, names.conv(stage, block, "proj"), stride)
        x = maps[f"C{stage + 1}"] = np.maximum(x + y, 0)
    return maps


def _convolve(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """`[h, w, C]` by PyTorch's `[out, C / g, k, k]`, padded by `k // 2` on all sides."""
    outputs, inputs, size, _ = kernel.shape
    border = size // 2
    x = np.pad(x, ((border, border), (border, border), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), (0, 1))
    windows = windows[::stride, ::stride]  # [h, w, C, k, k]
    height, width, channels = windows.shape[:3]
    groups = channels // inputs
    columns = windows.reshape(height * width, groups, -1).transpose(1, 0, 2)
    kernels = kernel.reshape(groups, outputs // groups, -1).transpose(0, 2, 1)
    return (columns @ kernels).transpose(1, 0, 2).reshape(height, width, outputs)

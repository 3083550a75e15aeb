"""Names of RegNets' layers in torchvision's and detectron2's files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

import keras

# The two layers of a squeeze-and-excitation, by their places in the libraries' modules.
_SE = {
    "se/reduce": ("f.se.fc1", "f.se.f_ex.0"),
    "se/expand": ("f.se.fc2", "f.se.f_ex.2"),
}


class RegNetLayer(NamedTuple):
    """`res3_block1_b/norm` taken apart: the libraries' stage 2, block 1, part `b`, norm.

    The stem has stage 0, block 0 and part `conv`.
    """

    stage: int
    block: int
    part: str
    is_norm: bool


def is_regnet(variables: Iterable[keras.Variable]) -> bool:
    """Whether blocks of a RegNet are among layers of ours; by its name a stem does not tell."""
    return any(re.fullmatch(r"(?:.*/)?res\d_block\d+_a/kernel", v.path) for v in variables)


def parse_regnet_layer(path: str) -> RegNetLayer | None:
    """The RegNet layer that a path such as `"res3_block1_b/norm"` names, or `None`."""
    match = re.fullmatch(
        r"(?:.*/)?(?:stem_conv|res([2-5])_block(\d+)_([abc]|shortcut|se/\w+))(/norm)?", path
    )
    if match is None:
        return None
    stage, block, part, norm = match.groups()
    return RegNetLayer(int(stage or 1) - 1, int(block or 0), part or "conv", bool(norm))


def torchvision_module(layer: str) -> str | None:
    """Module of a layer: `"res2_block1_b/norm"` to `"trunk_output.block1.block1-0.f.b.1"`."""
    parsed = parse_regnet_layer(layer)
    if parsed is None:
        return None
    stage, block, part, is_norm = parsed
    if stage == 0:
        return f"stem.{int(is_norm)}"
    module = f"trunk_output.block{stage}.block{stage}-{block - 1}"
    if part in _SE:
        return f"{module}.{_SE[part][0]}"
    return f"{module}.{'proj' if part == 'shortcut' else f'f.{part}'}.{int(is_norm)}"


def detectron2_module(layer: str) -> str | None:
    """Module of a layer: `"res2_block1_b/norm"` to `"s1.b1.f.b_bn"`."""
    parsed = parse_regnet_layer(layer)
    if parsed is None:
        return None
    stage, block, part, is_norm = parsed
    if stage == 0:
        return "stem.bn" if is_norm else "stem.conv"
    module = f"s{stage}.b{block}"
    if part in _SE:
        return f"{module}.{_SE[part][1]}"
    if part == "shortcut":
        return f"{module}.bn" if is_norm else f"{module}.proj"
    return f"{module}.f.{part}_bn" if is_norm else f"{module}.f.{part}"

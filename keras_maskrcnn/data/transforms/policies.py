"""Augmentations by the name of what they are for: each a list of transforms, as `augment` takes it.

A policy suits pictures of any size and any number of channels, and pictures keep their shape.
"""

from __future__ import annotations

from typing import Any

_LARGE_JITTER = {"name": "scale_jitter", "scale": (0.1, 2.0)}
# Brightness and contrast alone: what a stain or a sensor's channel means lies in its colour.
_LIGHT = {"name": "color", "saturation": 0, "hue": 0, "contrast": 0.25}
# There is no upside of what is seen from above, or through a microscope.
_NO_UPSIDE = ("flip", "vertical_flip", "quarter_turn")

POLICIES: dict[str, tuple[Any, ...]] = {
    "none": (),
    # What the paper trains with, and all published models of 2017 to 2019.
    "flip": ("flip",),
    # Standard scale jitter: the reference of Ghiasi et al. 2021 (arXiv 2012.07177).
    "standard": ("flip", "scale_jitter"),
    # Large scale jitter, of the same: it needs long training.
    "lsj": ("flip", _LARGE_JITTER),
    # A few dozen photographs: the same objects turned, nearer, farther, in other light, and among
    # each other.
    "small_data": (
        {"name": "fused", "transforms": ("flip", "rotate", {"name": "scale_jitter"})},
        "copy_paste",
        "color",
    ),
    "microscopy": (*_NO_UPSIDE, "scale_jitter", _LIGHT),
    # Heights of flight differ by more than microscopes, which have a scale.
    "aerial": (*_NO_UPSIDE, {"name": "scale_jitter", "scale": (0.5, 2.0)}, "color"),
}

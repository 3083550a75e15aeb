"""Backbones: from pictures to feature maps. A file each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras

from keras_maskrcnn.backbones.applications import Application
from keras_maskrcnn.backbones.base import BACKBONES, Backbone
from keras_maskrcnn.backbones.functional import FunctionalBackbone
from keras_maskrcnn.backbones.regnet import RegNet
from keras_maskrcnn.backbones.resnet import ResNet

__all__ = [
    "BACKBONES",
    "Application",
    "Backbone",
    "FunctionalBackbone",
    "RegNet",
    "ResNet",
    "make_backbone",
]


def make_backbone(choice: Any, conventions: Callable[[str], Mapping[str, Any]]) -> Backbone:
    """A backbone from what a user may say.

    Args:
        choice: a name, a dict of settings, a `Backbone`, or a Keras model.
        conventions: settings that the weights to be loaded ask for, by the backbone's name.
    """
    if isinstance(choice, keras.Model):
        return FunctionalBackbone(model=choice)
    settings: Mapping[str, Any] = {}
    if not isinstance(choice, Backbone):
        settings = conventions(
            choice.get("name", "resnet50") if isinstance(choice, Mapping) else choice
        )
    return BACKBONES.make(choice, default="resnet50", settings=settings)

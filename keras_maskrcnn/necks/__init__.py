"""Necks: from a backbone's maps to those that the RPN and the heads read. A file each."""

from keras_maskrcnn.necks.base import NECKS, Neck
from keras_maskrcnn.necks.c4 import C4
from keras_maskrcnn.necks.c5 import C5, DC5
from keras_maskrcnn.necks.fpn import FPN

__all__ = ["C4", "C5", "DC5", "FPN", "NECKS", "Neck"]

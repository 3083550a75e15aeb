"""Models for servers and devices that know neither Python nor this package."""

from keras_maskrcnn.export.exporting import FORMATS, export_model
from keras_maskrcnn.export.int8 import Int8Report, export_int8

__all__ = ["FORMATS", "Int8Report", "export_int8", "export_model"]

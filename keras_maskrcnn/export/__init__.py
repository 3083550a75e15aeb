"""Models for servers and devices that know neither Python nor this package."""

from keras_maskrcnn.export.exporting import FORMATS, export_model

__all__ = ["FORMATS", "export_model"]

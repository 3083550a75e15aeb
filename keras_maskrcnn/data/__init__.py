"""Reading annotated pictures and making batches of them."""

from keras_maskrcnn.data.formats.coco import load_coco
from keras_maskrcnn.data.records import DetectionData, ImageRecord, Instance

__all__ = ["DetectionData", "ImageRecord", "Instance", "load_coco"]

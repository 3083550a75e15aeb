"""One reader for each annotation format; importing this registers them all."""

from keras_maskrcnn.data.formats import coco, cvat, labelme, via, via3, yolo
from keras_maskrcnn.data.formats.reader import FORMATS

__all__ = ["FORMATS", "coco", "cvat", "labelme", "via", "via3", "yolo"]

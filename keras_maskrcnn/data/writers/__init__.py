"""One writer for each annotation format; importing this registers them all."""

from keras_maskrcnn.data.writers import coco, cvat, label_studio, labelme, voc, yolo
from keras_maskrcnn.data.writers.base import WRITERS
from keras_maskrcnn.data.writers.saving import SavedData, save_dataset

__all__ = [
    "WRITERS",
    "SavedData",
    "coco",
    "cvat",
    "label_studio",
    "labelme",
    "save_dataset",
    "voc",
    "yolo",
]

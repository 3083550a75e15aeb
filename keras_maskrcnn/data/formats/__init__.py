"""One reader for each annotation format; importing this registers them all."""

from keras_maskrcnn.data.formats import (
    cityscapes,
    coco,
    coco_panoptic,
    cvat,
    id_pictures,
    label_studio,
    labelme,
    open_images,
    supervisely,
    tfrecord,
    via,
    via3,
    voc,
    yolo,
)
from keras_maskrcnn.data.formats.reader import FORMATS

__all__ = [
    "FORMATS",
    "cityscapes",
    "coco",
    "coco_panoptic",
    "cvat",
    "id_pictures",
    "label_studio",
    "labelme",
    "open_images",
    "supervisely",
    "tfrecord",
    "via",
    "via3",
    "voc",
    "yolo",
]

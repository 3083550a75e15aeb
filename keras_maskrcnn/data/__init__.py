"""Reading annotated pictures, writing them, and making batches of them."""

from keras_maskrcnn.data.datasets import dataset_splits, load_dataset
from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.formats import FORMATS
from keras_maskrcnn.data.formats.coco import load_coco
from keras_maskrcnn.data.formats.collector import Collector
from keras_maskrcnn.data.formats.problems import ItemError
from keras_maskrcnn.data.formats.reader import Reader
from keras_maskrcnn.data.formats.source import Source
from keras_maskrcnn.data.measuring import measure_pixels
from keras_maskrcnn.data.records import ImageRecord, Instance
from keras_maskrcnn.data.shards import load_shards, worker_part
from keras_maskrcnn.data.splits import load_splits, split_data
from keras_maskrcnn.data.writers import WRITERS, SavedData, save_dataset

__all__ = [
    "FORMATS",
    "WRITERS",
    "Collector",
    "DetectionData",
    "ImageRecord",
    "Instance",
    "ItemError",
    "Reader",
    "SavedData",
    "Source",
    "dataset_splits",
    "load_coco",
    "load_dataset",
    "load_shards",
    "load_splits",
    "measure_pixels",
    "save_dataset",
    "split_data",
    "worker_part",
]

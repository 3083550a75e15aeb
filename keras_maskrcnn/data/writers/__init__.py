"""One writer for each annotation format; importing this registers them all."""

import importlib

from keras_maskrcnn import names
from keras_maskrcnn.data.writers.base import WRITERS
from keras_maskrcnn.data.writers.saving import SavedData, save_dataset

__all__ = ["WRITERS", "SavedData", "save_dataset"]

for _name in names.WRITERS:
    importlib.import_module(f"{__name__}.{_name}")

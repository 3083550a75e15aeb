"""Reads Cityscapes' `*_instanceIds.png`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_maskrcnn.data.formats.collector import Collector
from keras_maskrcnn.data.formats.embedded import mask_file, one_channel
from keras_maskrcnn.data.formats.id_masks import fitted, masks_of
from keras_maskrcnn.data.formats.reader import FORMATS, SPLITS, Reader
from keras_maskrcnn.data.formats.source import Source

_END = "_instanceIds"
# The classes of its evaluation of objects, by the id of its labels.
_THINGS = {
    **{24: "person", 25: "rider", 26: "car", 27: "truck", 28: "bus", 31: "train"},
    **{32: "motorcycle", 33: "bicycle"},
}
_PER_CLASS = 1000


@FORMATS.register("cityscapes")
class Cityscapes(Reader):
    """16-bit values: class * 1000 + n for an object, the class alone for a group of objects.

    Objects of the eight classes of its evaluation are read, groups as crowd regions; all else,
    also caravans and trailers, is background. The picture of `a_gtFine_instanceIds.png` is
    `a_leftImg8bit.png`.
    """

    title = "Cityscapes"

    def finds(self, source: Source) -> bool:
        return any(file.stem.endswith(_END) for file in source.with_suffix(".png"))

    def splits(self, source: Source) -> dict[str, Source]:
        folders = {file.parent for file in source.with_suffix(".png") if file.stem.endswith(_END)}
        parts = {part for folder in folders for part in Path(source.name_of(folder)).parts}
        names = sorted(part for part in parts if part.lower() in SPLITS)
        return {name: source.part(source.path, name) for name in names}

    def read(self, source: Source, found: Collector) -> None:
        found.declare_classes(list(_THINGS.values()), list(_THINGS))
        for file in source.with_suffix(".png"):
            name = source.name_of(file)
            if not file.stem.endswith(_END) or source.split not in (None, *Path(name).parts):
                continue
            with found.item(name):
                # `aachen_000000_000019`, of `aachen_000000_000019_gtFine_instanceIds`.
                scene = file.stem.removesuffix(_END).rpartition("_")[0]
                image = found.picture(found.find_picture(f"{scene}_leftImg8bit.png"))
                ids = one_channel(mask_file(file)).astype(np.int64)
                image = fitted(image, ids, found)
                found.add_record(image)
                for value, mask in masks_of(ids):
                    is_group = value < _PER_CLASS
                    label = _THINGS.get(value if is_group else value // _PER_CLASS)
                    if label is not None:
                        with found.item(f"{name}, value {value}"):
                            found.add_object(image, label, parts=[mask], is_crowd=is_group)

"""Reads masks that are pictures: one of ids beside each picture, or one for each object."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np

from keras_maskrcnn.data.formats.collector import Collector
from keras_maskrcnn.data.formats.embedded import mask_bits, mask_file, one_channel
from keras_maskrcnn.data.formats.id_masks import fitted, masks_of
from keras_maskrcnn.data.formats.problems import ItemError
from keras_maskrcnn.data.formats.reader import FORMATS, Reader
from keras_maskrcnn.data.formats.source import Source
from keras_maskrcnn.data.records import ImageRecord
from keras_maskrcnn.outlines import Bitmap

# Ends that tools add to the name of a picture for its mask.
_ENDS = ("_mask", "_masks", "_instances", "_instance", "_ids", "-mask")


@FORMATS.register("masks")
class IdPictures(Reader):
    """Masks in a folder whose name has "mask" or "instance" in it; all are of one class.

    - `masks/a.png` or `masks/a_mask.png` of `images/a.jpg`: each value but 0 is an object, of 8 or
      16 bits; of a palette, the index counts.
    - `x/masks/*.png` beside `x/images/a.png` (one picture), or `masks/a/*.png`: a file for each
      object, which is where the file is not 0.
    """

    title = "masks as pictures"

    def finds(self, source: Source) -> bool:
        if not source.path.is_dir() or any("MaskPath" in head for head in source.heads(".csv")):
            return False
        masks, pictures = _sorted_out(source)
        return bool(masks) and bool(pictures)

    def read(self, source: Source, found: Collector) -> None:
        masks, pictures = _sorted_out(source)
        found.declare_classes([found.only_class])
        of_picture = _match(masks, pictures)
        for picture in pictures:
            with found.item(source.name_of(picture)):
                files, is_single = of_picture.get(picture, ([], True))
                if len(files) > 1 and is_single:
                    raise ItemError(
                        "picture has several masks of ids", f" ({files[0]}, {files[1]})"
                    )
                if not files and not _has_own_folder(picture):
                    raise ItemError("picture has no mask")
                image = found.picture(source.pictures.checked(picture))
                if is_single and files:
                    _add_ids(files[0], image, source.name_of(files[0]), found)
                    continue
                _add_files(files, image, source, found)
        used = {file for files, _ in of_picture.values() for file in files}
        for mask in masks:
            if mask not in used:
                found.problems.add(source.name_of(mask), ItemError("mask is of no picture"))


def _sorted_out(source: Source) -> tuple[list[Path], list[Path]]:
    """The masks and the pictures."""
    masks: list[Path] = []
    pictures: list[Path] = []
    is_mask: dict[Path, bool] = {}
    for file in source.pictures.pictures:
        folder = file.parent
        if folder not in is_mask:
            name = str(folder.relative_to(source.root)).casefold()
            is_mask[folder] = "mask" in name or "instance" in name
        (masks if is_mask[folder] else pictures).append(file)
    return masks, pictures


def _match(masks: list[Path], pictures: list[Path]) -> dict[Path, tuple[list[Path], bool]]:
    """The masks of each picture, and whether one file holds all objects."""
    by_stem: dict[str, list[Path]] = defaultdict(list)
    of_folder: dict[Path, list[Path]] = defaultdict(list)
    for picture in pictures:
        by_stem[picture.stem].append(picture)
        of_folder[picture.parent].append(picture)
    result: dict[Path, tuple[list[Path], bool]] = {}
    for mask in masks:
        alone = of_folder.get(mask.parent.parent / "images", [])
        stems = [mask.stem, *(mask.stem.removesuffix(e) for e in _ENDS if mask.stem.endswith(e))]
        fitting = [p for stem in stems for p in by_stem.get(stem, [])]
        is_single = True
        if len(alone) == 1 and mask.parent.parent.name == alone[0].stem:
            fitting, is_single = alone, False
        elif mask.parent.name in by_stem:
            fitting, is_single = by_stem[mask.parent.name], False
        if len(fitting) > 1:
            # Of several splits, the one that shares the most folders.
            shared = [len(set(p.parts) & set(mask.parts)) for p in fitting]
            best = max(shared)
            fitting = [p for p, n in zip(fitting, shared, strict=True) if n == best]
        if len(fitting) == 1:
            files, _ = result.setdefault(fitting[0], ([], is_single))
            files.append(mask)
    return result


def _has_own_folder(picture: Path) -> bool:
    """Whether it is of the layout `a/images/a.png`, in which one without masks has no objects."""
    return picture.parent.name == "images" and picture.parent.parent.name == picture.stem


def _add_files(files: list[Path], image: ImageRecord, source: Source, found: Collector) -> None:
    is_added = False
    for file in files:
        with found.item(source.name_of(file)):
            bits = mask_bits(mask_file(file))
            # The first tells which pixels they count; the others must have its size.
            image = fitted(image, bits, found)
            if not is_added:
                image, is_added = found.add_record(image), True
            found.add_object(image, found.only_class, parts=[Bitmap(bits)])
    if not is_added:
        found.add_record(image)


def _add_ids(file: Path, image: ImageRecord, name: str, found: Collector) -> None:
    ids = one_channel(mask_file(file))
    image = fitted(image, ids, found)
    values = np.unique(ids)
    if ids.dtype == bool or (set(values.tolist()) == {0, 255} and ids.dtype == np.uint8):
        raise ItemError("mask has one value alone for what is not background, so no ids")
    found.add_record(image)
    for number, mask in masks_of(ids):
        with found.item(f"{name}, object {number}"):
            found.add_object(image, found.only_class, parts=[mask])

"""All of one picture but its resized pixels: read, transform, draw.

Legend: `N` objects, `Nc` crowd regions, `J` keypoints, `M` mask side.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_maskrcnn.data.crops import CropRecord, Crops
from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.picture_files import read_picture_header
from keras_maskrcnn.data.reading import read_picture
from keras_maskrcnn.data.records import ImageRecord
from keras_maskrcnn.data.resizing import resize_image
from keras_maskrcnn.data.transforms.base import (
    Sample,
    Surroundings,
    Transform,
    transform_sample,
)
from keras_maskrcnn.data.windows import PictureWindows
from keras_maskrcnn.images.formats import named_format
from keras_maskrcnn.images.input_size import resize_shape
from keras_maskrcnn.outlines import MASK_SIDE
from keras_maskrcnn.outlines.raster import turn_cells

# Ends of the formats that may have more than 8 bits per channel; JSON may hold such a picture.
_DEEP = (
    *(end for name in ("PNG", "TIFF", "HEIC", "NumPy") for end in named_format(name).suffixes),
    ".json",
)


class PictureLoader:
    """Makes the fields of one picture, padded to the same lengths for all.

    Args:
        data: the pictures.
        transforms: what is done to each, in turn.
        seed: from which, with the numbers of the pass, of the picture, and of its turn within the
            pass, all random numbers follow: they do not depend on which picture is made first.
        max_objects: N.
        max_size: limit of the longer side after resizing.
        cache: whether read pictures, and masks that only turn with them, are kept.
        masks: whether masks are drawn.
        whole_masks: whether they are of whole pictures.
        crops: of the pictures, which are shown in their place, in the size that they have.

    Attributes:
        shapes: of each field by its name.
        dtypes: of each field, in the same order.
    """

    def __init__(
        self,
        data: DetectionData,
        transforms: Sequence[Transform],
        seed: int,
        max_objects: int,
        max_size: int,
        cache: bool,
        masks: bool,
        whole_masks: bool,
        crops: Crops | None = None,
    ) -> None:
        self.data = data
        self.transforms = transforms
        self.seed = seed
        self.max_objects = max_objects
        self.max_size = max_size
        self.whole_masks = whole_masks
        self.has_masks = masks
        self.crops = crops
        self.windows = PictureWindows(data.pixels, keeps_all=cache)
        # Of crops that shift, the pictures are kept: each crop comes once.
        self.cache = cache and not (crops and crops.shifts)
        self.max_crowds = crops.max_crowds if crops else data.max_crowds
        self.samples: dict[int, Sample] = {}
        self.masks: dict[int, np.ndarray] = {}
        gives_floats = any(t.gives_floats for t in transforms) or not data.pixels.keeps_bytes
        gives_floats = gives_floats or _has_depth(data) or bool(crops and crops.resizes)
        self.pixels = np.dtype(np.float32 if gives_floats else np.uint8)
        self.shapes: dict[str, list[int | None]] = {
            "images": [None, None, data.pixels.channels],
            "image_sizes": [2],
            "boxes": [max_objects, 4],
            "classes": [max_objects],
            "crowd_boxes": [self.max_crowds, 4],
            "image_ids": [],
            "original_sizes": [2],
        }
        dtypes: list[Any] = [self.pixels, np.int32, np.float32, np.int32, np.float32]
        dtypes += [np.int64, np.int32]
        if masks:
            sides = [None, None] if whole_masks else [MASK_SIDE, MASK_SIDE]
            self.shapes["masks"] = [max_objects, *sides]
            dtypes.append(np.uint8)
        if data.keypoint_names:
            self.shapes["keypoints"] = [max_objects, len(data.keypoint_names), 3]
            dtypes.append(np.float32)
        for name in data.attribute_names:
            if name in self.shapes:
                raise ValueError(
                    f"Expected attributes with names other than {sorted(self.shapes)}. "
                    f"Received: attribute {name!r}"
                )
            self.shapes[name] = [max_objects]
            dtypes.append(np.float32)
        self.dtypes = dtypes

    def __call__(self, index: int, epoch: int, min_size: int, repeat: int = 0) -> list[Any]:
        """The fields of a picture, in the order of `shapes`.

        Args:
            index: number of the picture.
            epoch: number of the pass.
            min_size: length of the shorter side after resizing.
            repeat: how often the picture came in this pass before.

        Raises:
            ValueError: if the picture cannot be read or transformed; the message names it.
        """
        record = self._records(int(epoch))[index]
        read = self.read(int(index), int(epoch))
        sample, turn = self._transformed(read, [int(n) for n in (index, epoch, min_size, repeat)])
        objects = sample.objects
        size = np.array(sample.input_size, np.int32)
        scale_y, scale_x = size / np.array(sample.size)
        scale = np.array([scale_x, scale_y, scale_x, scale_y])
        boxes = np.array([o.box for o in objects], np.float64).reshape(-1, 4)
        crowds = np.array([c.box for c in sample.crowds], np.float64).reshape(-1, 4)
        fields = [
            np.ascontiguousarray(sample.image, self.pixels),
            size,
            _padded(boxes * scale, self.max_objects, np.float32),
            _padded(np.array([o.category for o in objects]), self.max_objects, np.int32, fill=-1),
            _padded(crowds * scale, self.max_crowds, np.float32),
            np.int64(record.image_id),
            np.array([record.height, record.width], np.int32),
        ]
        if self.has_masks:
            try:
                masks = self._masks(int(index), read, sample, turn)
            except ValueError as error:
                raise ValueError(f"{record.named}: {error}") from error
            if self.whole_masks:
                # The pixel that torch's nearest neighbour takes: of the cell's corner.
                y, x = (np.arange(n) * m // n for n, m in zip(size, sample.size, strict=True))
                masks = masks[:, y[:, None], x]
            fields.append(_padded(masks, self.max_objects, np.uint8))
        if self.data.keypoint_names:
            points = np.zeros((len(objects), len(self.data.keypoint_names), 3))
            for row, instance in enumerate(objects):
                if instance.keypoints is not None:
                    points[row] = instance.keypoints
            points *= (scale_x, scale_y, 1)
            fields.append(_padded(points, self.max_objects, np.float32))
        for name in self.data.attribute_names:
            values = np.array([o.attributes.get(name, -1.0) for o in objects])
            fields.append(_padded(values, self.max_objects, np.float32, fill=-1))
        return fields

    def _transformed(
        self, read: Sample, numbers: Sequence[int]
    ) -> tuple[Sample, np.ndarray | None]:
        """The picture after the transforms, and the turn that they amount to."""
        index, epoch, min_size, repeat = numbers

        def input_shape(height: int, width: int) -> tuple[int, int]:
            if self.crops is not None:
                return height, width
            return resize_shape(height, width, min_size, self.max_size)

        records = self._records(epoch)
        around = Surroundings(input_shape, records, functools.partial(self.read, epoch=epoch))
        sample = dataclasses.replace(read, around=around)
        if not self.transforms:
            return sample, np.eye(2)
        # The first time, as in passes that have no repeats.
        rng = np.random.default_rng([self.seed, epoch, 2, index, *([repeat] if repeat else [])])
        where = records[index].named
        try:
            sample, _, turn = transform_sample(sample, self.transforms, rng)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        except Exception as error:  # Of a user's own transform, whatever it raises.
            raise ValueError(f"{where}: {type(error).__name__}: {error}") from error
        for name, found, most in (
            ("objects", sample.objects, self.max_objects),
            ("crowd regions", sample.crowds, self.max_crowds),
        ):
            if len(found) > most:
                raise ValueError(
                    f"{where}: expected at most {most} {name} after the transforms. "
                    f"Received: {len(found)}"
                )
        return sample, turn

    def _records(self, epoch: int) -> Sequence[ImageRecord]:
        return self.data.records if self.crops is None else self.crops.records(epoch)

    def read(self, index: int, epoch: int = 0) -> Sample:
        """A picture of the data set as it is stored, or a crop of one as it lies in a pass."""
        if index in self.samples:
            return self.samples[index]
        record = self._records(epoch)[index]
        if isinstance(record, CropRecord):
            image = read_crop(self.windows, record)
        else:
            image = read_picture(record, self.data.pixels)
        sample = Sample(image, record.instances, tuple(self.data.keypoint_flip_pairs))
        if self.cache:
            self.samples[index] = sample
        return sample

    def _masks(
        self, index: int, read: Sample, sample: Sample, turn: np.ndarray | None
    ) -> np.ndarray:
        """Of crops or whole pictures. Drawing takes more time than decoding: masks that only turn
        are kept with their picture."""
        if turn is None:
            return self._drawn(sample)
        masks = self.masks.get(index)
        if masks is None:
            masks = self._drawn(read)
            if self.cache:
                self.masks[index] = masks
        return turn_cells(masks, turn)

    def _drawn(self, sample: Sample) -> np.ndarray:
        outlines = [(o.outline, o.box) for o in sample.objects if o.outline is not None]
        if len(outlines) < len(sample.objects):
            # Else each mask would be taken for that of another object.
            raise ValueError(
                f"expected an outline for each of {len(sample.objects)} objects after the "
                f"transforms. Received: {len(outlines)}"
            )
        sides = sample.size if self.whole_masks else (MASK_SIDE, MASK_SIDE)
        masks = np.zeros((len(outlines), *sides), np.uint8)
        for row, (outline, box) in enumerate(outlines):
            masks[row] = outline.draw_whole(*sides) if self.whole_masks else outline.draw(box)
        return masks


def read_crop(windows: PictureWindows, crop: CropRecord) -> np.ndarray:
    """The pixels of a crop `[h, w, C]`, on the scale 0..255; resized as `predict` resizes tiles."""
    image = windows.read(crop.whole, crop.window)
    if image.shape[:2] == (crop.height, crop.width):
        return image
    return resize_image(image, (crop.height, crop.width)).numpy()


def _has_depth(data: DetectionData) -> bool:
    """Whether any picture has more than 8 bits; of formats that may, the headers are read."""
    for record in data.records:
        if record.bits is not None:
            if record.bits > 8:
                return True
        elif record.path.lower().endswith(_DEEP):
            try:
                if read_picture_header(record.path).bits > 8:
                    return True
            except (OSError, ValueError):
                continue  # It is told where the picture is read.
    return False


def _padded(values: np.ndarray, length: int, dtype: type, fill: int = 0) -> np.ndarray:
    """`values` as the first rows of an array of `length` rows."""
    result = np.full((length, *values.shape[1:]), fill, dtype)
    result[: len(values)] = values
    return result

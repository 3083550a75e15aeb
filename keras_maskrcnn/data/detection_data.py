"""A data set in memory: records of pictures, and what their classes are called."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_maskrcnn.data.records import ImageRecord, Instance
from keras_maskrcnn.images.pixels import PixelFormat

if TYPE_CHECKING:
    import tensorflow as tf
    from PIL import Image

    from keras_maskrcnn.images.tiling import Tiling


@dataclass(eq=False)
class DetectionData:
    """An annotated set of pictures. Pictures are opened only when they are needed.

    Indexing works as on a numpy array (`data[:5]`, `data[[2, 0]]`) and always gives a
    `DetectionData` again, of these pictures: `data[0]` and iteration give one of a single picture.

    Args:
        records: one entry per picture.
        class_names: name of class k, K entries.
        category_ids: id that the annotation file gives class k, K entries.
        keypoint_names: J names, empty when the data has no keypoints.
        keypoint_flip_pairs: pairs of keypoint indices that a mirror exchanges.
        warnings: one line for each item that the reader left out, with the reason.
        name: name of the data set.
        notes: what the reader decided where the files can be understood in two ways, and how to
            decide otherwise.
        pixels: channels of the pictures, and which values count as black and white.
    """

    records: list[ImageRecord]
    class_names: list[str]
    category_ids: list[int]
    keypoint_names: list[str] = field(default_factory=list)
    keypoint_flip_pairs: list[tuple[int, int]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    name: str = ""
    notes: list[str] = field(default_factory=list)
    pixels: PixelFormat = field(default_factory=PixelFormat)

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[DetectionData]:
        return (self[place] for place in range(len(self)))

    def __getitem__(self, index: Any) -> DetectionData:
        if isinstance(index, int | np.integer):
            if not -len(self) <= index < len(self):
                raise IndexError(f"index {index} is out of range for {len(self)} pictures")
            index = [index]
        places = np.arange(len(self))[index]
        return replace(self, records=[self.records[place] for place in places])

    def __repr__(self) -> str:
        objects = sum(len(record.objects) for record in self.records)
        crowds = sum(len(record.crowds) for record in self.records)
        return (
            f"DetectionData(name={self.name!r}, images={len(self)}, objects={objects}, "
            f"crowds={crowds}, classes={len(self.class_names)}, "
            f"keypoints={len(self.keypoint_names)}, boxes_only={len(self.boxes_only)}, "
            f"warnings={len(self.warnings)})"
        )

    def _repr_html_(self) -> str:
        from keras_maskrcnn.data.showing import data_html

        return data_html(self)

    def plot(
        self, count: int = 8, *, columns: int = 4, tile: int = 360, **options: Any
    ) -> Image.Image:
        """Draws pictures with their annotated objects on a page.

        Args:
            count: how many pictures at most; of more, some with objects are evenly chosen.
            columns: of the page.
            tile: length of a drawn picture's longer side in pixels.
            **options: of `visualize.draw_instances`: `color_by`, `boxes`, `labels`, `skeleton`.

        Returns:
            A picture of Pillow. One that cannot be read is grey, and its caption says why.

        Raises:
            ValueError: when there are no pictures, or for a number under 1.
        """
        from keras_maskrcnn.data.showing import plot_data

        return plot_data(self, count, columns, tile, options)

    def show(
        self, count: int = 8, *, columns: int = 4, tile: int | None = None, **options: Any
    ) -> None:
        """Shows what `plot` draws: in a notebook below the cell, else in a window of its own.

        Args:
            count, columns: as of `plot`.
            **options: as of `plot`.
            tile: as of `plot`; by default 360, and more where a row has fewer pictures.

        Raises:
            ValueError: as `plot`.
            RuntimeError: outside of a notebook, where no program shows pictures.

        Example:

        >>> data[[i for i, r in enumerate(data.records) if len(r.objects) > 50]].show()
        """
        from keras_maskrcnn.data.showing import show_data

        show_data(self, count, columns, tile, options)

    @cached_property
    def max_objects(self) -> int:
        """Largest count of objects on one picture, at least 1."""
        return max([1, *(len(record.objects) for record in self.records)])

    @cached_property
    def max_crowds(self) -> int:
        """Largest count of crowd regions on one picture, at least 1."""
        return max([1, *(len(record.crowds) for record in self.records)])

    @cached_property
    def attribute_names(self) -> tuple[str, ...]:
        """Attributes that any object has, in alphabetical order."""
        names = {n for record in self.records for o in record.objects for n in o.attributes}
        return tuple(sorted(names))

    @cached_property
    def boxes_only(self) -> tuple[Instance, ...]:
        """The objects that have no outline; crowd regions need none."""
        return tuple(
            instance
            for record in self.records
            for instance in record.objects
            if instance.outline is None
        )

    @cached_property
    def missing_outlines(self) -> str:
        """Says how many objects have no outline and names the first; empty when all have one."""
        if not self.boxes_only:
            return ""
        objects = sum(len(record.objects) for record in self.records)
        named = ", ".join(str(instance.annotation_id) for instance in self.boxes_only[:3])
        return (
            f"{len(self.boxes_only)} of {objects} objects of the data set {self.name!r} have no "
            f"outline, such as annotation ids {named}"
        )

    def batches(
        self,
        batch_size: int,
        *,
        model: Any = None,
        min_size: int | Sequence[int] | None = None,
        max_size: int | None = None,
        shuffle: bool = False,
        augment: Any = False,
        sampling: Any = None,
        seed: int | None = None,
        first_pass: int = 0,
        drop_remainder: bool = False,
        max_objects: int | None = None,
        size_divisor: int | None = None,
        cache: bool = False,
        masks: bool | None = None,
        whole_masks: bool = False,
        tile: int | Tiling | None = None,
        overlap: int | None = None,
        share: tuple[int, int] | None = None,
    ) -> tf.data.Dataset:
        """Makes the `tf.data.Dataset` that `fit`, `evaluate` and `predict` read.

        Every pass yields each picture exactly once, unless `sampling` says otherwise. Pictures are
        decoded, turned upright as their EXIF orientation says, resized bilinearly without
        antialiasing, and padded with zeros at the bottom and right.

        Args:
            batch_size: pictures per batch (B).
            model: a `MaskRCNN` whose input size and need of masks are taken over where no argument
                says otherwise, and whose pictures must be of the same `pixels`; without one, sizes
                are the defaults of `InputSize`: 800, 1333, 32.
            min_size: length of the shorter side after resizing, in pixels; with `augment`, a
                sequence of lengths from which one is drawn per picture and pass.
            max_size: limit of the longer side after resizing, in pixels.
            shuffle: whether each pass has its own random order, in which pictures of like
                aspect ratio share a batch, so that little is padded; those in shards are
                shuffled as `load_shards` tells. Without it, the order is that of `records`.
            augment: what happens to pictures and their objects: a policy, `"flip"` (as `True`),
                `"standard"`, `"lsj"`, `"small_data"`, `"microscopy"`, `"aerial"` or `"none"` (as
                `False`), see `data.transforms.POLICIES`; a name of `data.transforms.TRANSFORMS`, a
                dict of settings with `name`, a `Transform`, a stock Keras layer that changes
                pixels, a function `(image, instances, rng)` that returns the new image and
                instances, or a list of these, which happen in turn. Objects may leave the picture.
            sampling: how often each picture comes in a pass: `"all"` (each once, as `None`),
                `"repeat_factor"`, `"class_balanced"`, a dict of settings with `name`, or a
                `data.sampling.Sampling`. Settings of all are `empty_share` and `max_empty`, for
                pictures without objects.
            seed: non-negative integer from which order and augmentation of each pass follow;
                by default a random one.
            first_pass: number of the first pass over this data set: with the same seed, a run
                that goes on after `n` epochs gives `n`, and meets what it would have met.
            drop_remainder: whether to leave out the last batch when it is not full.
            max_objects: length N of the padded object lists; by default the largest count in
                the data, and what `augment` may add to it.
            size_divisor: height and width of a batch are multiples of this.
            cache: whether to keep decoded pictures in memory, and masks that only flip or turn with
                them, which suits data that fits there.
            masks: whether batches hold masks; by default where every object has an outline. A
                batch has masks for all its objects or none: an object without a mask would teach
                a model to draw nothing.
            whole_masks: whether `masks` are of whole pictures, as torchvision trains on: drawn by
                the COCO tools in the picture on disk (where more than flips and turns happens, in
                the transformed one) and enlarged with it by nearest neighbour.
                Targets made of them are less exact than those of crops, and they take `H W` bytes
                per object rather than 12,544.
            tile, overlap: show crops of the pictures in their own size, as `MaskRCNN.predict` looks
                at tiles of that side and overlap (a number, or a `Tiling` with scales), in place of
                whole pictures: every pass has all crops, or those that `sampling` draws. With
                `shuffle`, they shift from pass to pass; see `data.crops.Crops`, and `CropRecord`
                for what is left of objects that are cut. Of TIFF and `.npy` files the crop alone
                is read; other files are decoded once in a pass. `cache` keeps whole pictures.
            share: `(k, n)`: of each batch only part `k` of `n`, counted from 0, and read no other
                picture: for worker `k` of `n` that take their steps together. `batch_size` counts
                the pictures of all; needs `seed`, which the workers must have in common, and
                `drop_remainder`.

        Returns:
            A data set of known length that yields `(images, targets)`: images float32
            `[B, H, W, C]`, RGB or what `pixels` says, on the scale 0..255, and a dict with

            - `image_sizes` int32 `[B, 2]`: height and width of the picture within the padding
            - `boxes` float32 `[B, N, 4]`: x1, y1, x2, y2 in network-input pixels, padding 0
            - `classes` int32 `[B, N]`: 0..K-1, padding -1
            - `masks` uint8 `[B, N, 112, 112]`: coverage 0..255 within the object's own box; see
              the arguments; with `whole_masks` `[B, N, H, W]`, 0 or 255, in the images' pixels
            - `crowd_boxes` float32 `[B, Nc, 4]`: crowd regions, padding 0
            - `keypoints` float32 `[B, N, J, 3]`: x, y, visibility; only with keypoint data
            - each of `attribute_names` float32 `[B, N]`: -1 where padded or not known
            - `image_ids` int64 `[B]` and `original_sizes` int32 `[B, 2]` (height, width); of crops
              the id of their picture, and their own size

        Raises:
            ValueError: if the data set is empty, an argument is out of range, a batch has no `n`
                equal shares, the model's pictures are of other channels or another range, a picture
                has more than `max_objects` objects, with `masks=True` an object has no outline,
                `augment` or `sampling` is unknown, `tile` and `overlap` fit no tiling, or are given
                with `min_size` or `max_size`.
            TypeError: if `augment`, `sampling` or `tile` is something else.
        """
        from keras_maskrcnn.data.pipeline import make_batches
        from keras_maskrcnn.images.input_size import InputSize
        from keras_maskrcnn.images.tiling import as_tiling

        if model is not None:
            model.pixels.require_like(self.pixels, f"the data set {self.name!r}")
        tiling = as_tiling(tile, overlap)
        if tiling is not None and (min_size is not None or max_size is not None):
            raise ValueError(
                "tile shows pictures in their own size, or in the scales of a Tiling. "
                f"Received: tile={tile} with min_size={min_size}, max_size={max_size}"
            )
        size = InputSize() if model is None else model.input_size
        if masks is None and model is not None:
            masks = model.needs_masks

        return make_batches(
            self,
            batch_size,
            min_size=size.min_size if min_size is None else min_size,
            max_size=size.max_size if max_size is None else max_size,
            shuffle=shuffle,
            augment=augment,
            sampling=sampling,
            seed=seed,
            first_pass=first_pass,
            drop_remainder=drop_remainder,
            max_objects=max_objects,
            size_divisor=size.divisor if size_divisor is None else size_divisor,
            cache=cache,
            masks=masks,
            whole_masks=whole_masks,
            tiling=tiling,
            share=share,
        )

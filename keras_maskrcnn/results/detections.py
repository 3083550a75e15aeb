"""What the model found in one picture."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from keras_maskrcnn.images.georeference import Georeference
from keras_maskrcnn.outlines.raster import Raster
from keras_maskrcnn.results import (
    conversions,
    geojson,
    label_maps,
    padded,
    pixels,
    selections,
    showing,
    texts,
)
from keras_maskrcnn.results.picture import KnownPicture


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Detections:
    """The objects of one picture, best score first as the model gives them.

    Indexing works as on a numpy array (`d[:5]`, `d[d.scores > 0.5]`, `d[[2, 0]]`) and always gives
    `Detections` again: `d[0]` and iteration give `Detections` of length one.

    Legend: `D` objects, `M` mask side, `J` keypoints, `h w` picture size.

    Args:
        boxes: `[D, 4]` x1 y1 x2 y2 in pixels of the original picture, kept as float32.
        classes: `[D]` class indices `0..K-1`.
        scores: `[D]` in 0..1.
        mask_probabilities: `[D, M, M]` of each object's own class over its box, or `None`.
            A model without a mask head has none; of a picture that was predicted tile by tile,
            `outlines` has the masks.
        image_size: `(h, w)` of the original picture.
        class_names: `K` names; empty for `class_0 ...`.
        keypoints: `[D, J, 3]` x, y in continuous pixels of the original picture and a score, or
            `None`.
        outlines: `D` outlines of whole pixels (`outlines.Bitmap`, `outlines.RLE`), in place of
            probabilities, where a mask is more than a head's grid over its box; or `None`.
        extras: results `[D, ...]` of further heads by name, in the form in which the heads give
            them.
        picture: where the picture is, as `predict`, `describe` and `serving.Client` know it: what
            `plot` and `show` draw on. It holds a path, or a reference to the picture that they were
            given, which lives as long as the results; pickles and deep copies have `None` in its
            place.

    Raises:
        ValueError: when the arrays do not describe the same `D` objects.

    Example:

    >>> cats = detections[detections.names == "cat"]
    >>> cats.masks.any(axis=0).mean()  # Part of the picture that is cat.
    """

    boxes: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    mask_probabilities: np.ndarray | None
    image_size: tuple[int, int]
    class_names: Sequence[str] = ()
    keypoints: np.ndarray | None = None
    outlines: Sequence[Raster] | None = None
    extras: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    picture: KnownPicture | None = None

    def __post_init__(self) -> None:
        def keep(name: str, value: Any, dtype: str) -> np.ndarray:
            array = np.asarray(value, dtype)
            object.__setattr__(self, name, array)
            return array

        boxes = keep("boxes", np.reshape(self.boxes, (-1, 4)), "float32")
        shapes = {
            "classes": keep("classes", self.classes, "int32").shape == (len(boxes),),
            "scores": keep("scores", self.scores, "float32").shape == (len(boxes),),
        }
        if self.mask_probabilities is not None:
            masks = keep("mask_probabilities", self.mask_probabilities, "float32")
            shapes["mask_probabilities"] = masks.ndim == 3 and len(masks) == len(boxes)
        if self.keypoints is not None:
            points = keep("keypoints", self.keypoints, "float32")
            shapes["keypoints"] = (
                points.ndim == 3 and len(points) == len(boxes) and points.shape[-1] == 3
            )
        if self.outlines is not None:
            object.__setattr__(self, "outlines", tuple(self.outlines))
            if self.mask_probabilities is not None or len(self.outlines) != len(boxes):
                raise ValueError(
                    f"outlines must be one for each of the {len(boxes)} boxes, in place of "
                    f"mask_probabilities. Received: {len(self.outlines)} outlines"
                    + ("" if self.mask_probabilities is None else " beside mask_probabilities")
                )
        extras = {name: np.asarray(value) for name, value in self.extras.items()}
        object.__setattr__(self, "extras", extras)
        shapes |= {name: value.shape[:1] == (len(boxes),) for name, value in extras.items()}
        for name, fits in shapes.items():
            if not fits:
                received = extras[name] if name in extras else getattr(self, name)
                raise ValueError(
                    f"{name} must have one row for each of the {len(boxes)} boxes. "
                    f"Received: {name} of shape {received.shape}"
                )
        height, width = (int(v) for v in self.image_size)
        object.__setattr__(self, "image_size", (height, width))
        object.__setattr__(self, "class_names", tuple(self.class_names))

    @classmethod
    def from_padded(
        cls,
        outputs: Mapping[str, Any],
        row: int,
        *,
        image_size: Sequence[int],
        original_size: Sequence[int],
        class_names: Sequence[str] = (),
        keypoint_shift: float = 0.0,
    ) -> Detections:
        """One picture of the model's padded batch outputs, in pixels of the original picture.

        Each axis is scaled by its own ratio, since resizing rounds height and width apart. Boxes
        are clipped to the picture; those that keep no area are left out.

        Args:
            outputs: the model's outputs for `B` pictures: `boxes [B, D, 4]` in pixels of the
                network input, `classes [B, D]`, `scores [B, D]`, `counts [B]`, and where the model
                has those heads `masks [B, D, M, M]` and `keypoints [B, D, J, 3]`; what others give
                becomes `extras`.
            row: which of the `B` pictures.
            image_size: `(h, w)` of the picture in the network input, padding not counted.
            original_size: `(h, w)` of the picture as it was.
            class_names: `K` names.
            keypoint_shift: what makes the model's keypoints continuous, in pixels of the original
                picture: see `heads.Keypoint`.
        """
        return padded.from_padded(
            cls, outputs, row, image_size, original_size, class_names, keypoint_shift
        )

    def __len__(self) -> int:
        return len(self.boxes)

    def __iter__(self) -> Iterator[Detections]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> Detections:
        if isinstance(index, int | np.integer):
            if not -len(self) <= index < len(self):
                raise IndexError(f"index {index} is out of range for {len(self)} detections")
            index = [index]
        rows = np.arange(len(self))[_as_index(index)]
        return dataclasses.replace(
            self,
            boxes=self.boxes[rows],
            classes=self.classes[rows],
            scores=self.scores[rows],
            mask_probabilities=(
                None if self.mask_probabilities is None else self.mask_probabilities[rows]
            ),
            keypoints=None if self.keypoints is None else self.keypoints[rows],
            outlines=None if self.outlines is None else [self.outlines[row] for row in rows],
            extras={name: value[rows] for name, value in self.extras.items()},
        )

    @property
    def has_masks(self) -> bool:
        """Whether the model that found them tells masks."""
        return self.mask_probabilities is not None or self.outlines is not None

    @property
    def names(self) -> np.ndarray:
        """`[D]` class names as an array of str, so that `detections.names == "cat"` selects."""
        return np.array([self.name_of(k) for k in self.classes], dtype=str)

    def name_of(self, class_index: int) -> str:
        """Name of a class index; `class_7` where no name is known."""
        return texts.class_name(self.class_names, class_index)

    def with_classes(self, classes: np.ndarray, class_names: Sequence[str]) -> Detections:
        """The same objects under another numbering of the classes.

        Args:
            classes: int `[K]`, the new class of each old one; objects of class -1 are left out.
            class_names: of the new numbering.
        """
        renamed = dataclasses.replace(
            self, classes=np.asarray(classes, "int32")[self.classes], class_names=class_names
        )
        return renamed[renamed.classes >= 0]

    def above(self, thresholds: Mapping[str, float], default: float = 0.5) -> Detections:
        """Those whose score reaches the threshold of their class.

        Args:
            thresholds: lowest score by the name of the class.
            default: of all other classes.

        Raises:
            ValueError: for a name that is none of `class_names`.

        Example:

        >>> detections.above({"cat": 0.7, "dog": 0.6}, default=0.5)
        """
        return selections.above(self, thresholds, default)

    def mask_nms(self, iou: float = 0.5, across_classes: bool = False) -> Detections:
        """Those whose mask does not lie over the mask of a better one.

        The best comes first, and one is left out when the IoU of its pixels with those of one that
        stays is greater than `iou`; of equal scores the first stays. The order is kept.

        Args:
            iou: in 0..1.
            across_classes: whether objects of unlike classes are compared, too.

        Raises:
            ValueError: when the model has no mask head, or `iou` is out of range.
        """
        return selections.mask_nms(self, iou, across_classes)

    def counts(self) -> dict[str, int]:
        """How many objects there are of each class, in the order of `class_names`, 0 included."""
        return selections.counts(self)

    @functools.cached_property
    def masks(self) -> np.ndarray:
        """bool `[D, h, w]`, pasted into the whole picture on first use and kept.

        Takes `D * h * w` bytes; `rles()` holds the same pixels in a few kilobytes.

        Raises:
            ValueError: when the model has no mask head.
        """
        return pixels.whole_masks(self)

    def rles(self) -> list[dict[str, Any]]:
        """The masks as COCO compressed run-length encodings, made one at a time.

        Returns:
            One `{"size": [h, w], "counts": str}` per object.

        Raises:
            ValueError: when the model has no mask head.
        """
        return pixels.rles(self)

    def label_map(self) -> np.ndarray:
        """The masks as one picture without overlaps: a pixel is that of the best-scored object.

        Takes `h * w` numbers, however many objects there are.

        Returns:
            int32 `[h, w]`: 0 background, `i + 1` for object `i`.

        Raises:
            ValueError: when the model has no mask head.
        """
        return label_maps.label_map(self)

    def save_label_map(self, path: str | os.PathLike[str]) -> None:
        """Writes `label_map()` as a grey PNG file of 16 bits.

        Raises:
            ValueError: when the model has no mask head, or for more than 65,535 objects.
        """
        label_maps.save_label_map(self, path)

    def to_coco(self, image_id: int, category_ids: Sequence[int]) -> list[dict[str, Any]]:
        """The objects in COCO's results format, ready for `json.dump`.

        Args:
            image_id: id of the picture in the data set.
            category_ids: the data set's category id of each class index.

        Returns:
            One dict per object with `image_id`, `category_id`, `bbox` (x, y, width, height),
            `score`, and where known `segmentation` (RLE) and `keypoints` (x, y, score in turn;
            COCO counts from the centre of the first pixel, so x and y are half a pixel less).

        Raises:
            ValueError: when `category_ids` is too short.
        """
        return conversions.to_coco(self, image_id, category_ids)

    def to_table(self) -> dict[str, list[Any]]:
        """The objects as columns, which `pandas.DataFrame(...)` and its like take as they are.

        Plain lists, so that `json` and `csv` take them too, and no package is needed for it.

        Returns:
            `D` entries each of `name`, `class_index`, `score`, `x1`, `y1`, `x2`, `y2` and, where
            there are masks, `mask_pixels`: how many pixels the mask has.
        """
        return conversions.to_table(self)

    def to_supervision(self) -> Any:
        """The objects as `supervision.Detections`, with class names in `data["class_name"]`.

        Keypoints are left out: that class has no place for them.

        Raises:
            ImportError: where the package `supervision` is not installed.
        """
        return conversions.to_supervision(self)

    def to_labelme(self, image_path: str | os.PathLike[str]) -> dict[str, Any]:
        """The objects as the annotation of one picture that LabelMe opens, for `json.dump`.

        Each part of a mask is a polygon, drawn around holes by way of a slit; parts and keypoints
        of an object have its number as `group_id`. Objects without a mask are rectangles.

        Args:
            image_path: the picture, as seen from the folder of the JSON file.
        """
        return conversions.to_labelme(self, image_path)

    def to_geojson(
        self, georeference: Georeference | None = None, category_ids: Sequence[int] | None = None
    ) -> dict[str, Any]:
        """The objects as a GeoJSON FeatureCollection, ready for `json.dump`; see `results.geojson`.

        Args:
            georeference: of the picture, as `images.georeference.read_georeference` reads it; by
                default coordinates are pixels.
            category_ids: of each class index; by default counted from 1.

        Raises:
            ValueError: when `category_ids` is too short.
        """
        return geojson.to_geojson(self, georeference, category_ids)

    def plot(self, image: Any = None, **options: Any) -> Image.Image:
        """Draws the objects over their picture, in its own size.

        Args:
            image: the picture, as `MaskRCNN.predict` takes it; by default the one that was
                predicted. One in an array is drawn as it is now.
            **options: of `visualize.draw_detections`: `threshold`, the lowest score that is drawn,
                by default .5, or where none reaches that, the tenth best; `color_by`, `boxes`,
                `labels`, `scale`, `skeleton`.

        Returns:
            A picture of Pillow, which a notebook shows, `save` writes and `numpy.asarray` takes.

        Raises:
            ValueError: when the picture is not known, cannot be read, or is not the one that these
                results are of.
        """
        return showing.plot(self, image, options)

    def show(self, image: Any = None, **options: Any) -> None:
        """Shows what `plot` draws: in a notebook below the cell, else in a window of its own.

        In a notebook, a large picture is made smaller, and small ones are enlarged anywhere. A
        line is printed where some objects are not drawn, or no score reaches .5.

        Args:
            image: as of `plot`.
            **options: as of `plot`; `scale` by default as said.

        Raises:
            ValueError: as `plot`.
            RuntimeError: outside of a notebook, where no program shows pictures.

        Example:

        >>> found = model.predict("street.jpg")[0]
        >>> found[found.names == "car"].show(threshold=0.7)
        """
        showing.show(self, image, options)

    def __repr__(self) -> str:
        return texts.as_text(self)

    def _repr_html_(self) -> str:
        return showing.as_html(self)


def _as_index(index: Any) -> Any:
    """Numpy takes an empty list for floats; here it selects nothing."""
    if isinstance(index, slice):
        return index
    array = np.asarray(index)
    return array.astype(int) if array.size == 0 and array.dtype != bool else array

"""What every annotation format is read into: pictures by path, objects by outline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_maskrcnn.outlines import Outline

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, eq=False)
class Instance:
    """One annotated object (or crowd region) of a picture.

    Args:
        category: class, 0..K-1.
        box: `(x1, y1, x2, y2)` in pixels of the upright picture on disk, continuous, inside it.
        outline: what it covers, in the same pixels; None for an object that is known by its box
            only.
        is_crowd: whether this is a region of many objects, which is ignored in training.
        annotated_area: area in square pixels, where the annotations give one; see `area`.
        annotation_id: id in the annotation file.
        keypoints: float32 `[J, 3]`: x, y in continuous pixels (the centre of the top left pixel
            is .5, .5) and visibility 0, 1, 2; or None.
        attributes: numbers from 0 that heads of one's own learn, such as `{"ripe": 1}`.

    Raises:
        TypeError: if `outline` is no `Outline`; `outlines.outline_from_coco` makes one of COCO's
            `segmentation`.
    """

    category: int
    box: tuple[float, float, float, float]
    outline: Outline | None
    is_crowd: bool
    annotated_area: float | None
    annotation_id: int
    keypoints: np.ndarray | None = None
    attributes: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.outline is not None and not isinstance(self.outline, Outline):
            raise TypeError(
                "Expected outline to be an Outline, such as Polygons([[x, y, ...]]), or None. "
                f"Received: {self.outline!r:.200}"
            )

    @cached_property
    def area(self) -> float:
        """In square pixels: as annotated, or else the outline's, as it is drawn, and at most the
        box's. It is measured when first asked for: of 100,000 objects, that takes a minute."""
        if self.annotated_area is not None:
            return self.annotated_area
        x1, y1, x2, y2 = self.box
        whole = (x2 - x1) * (y2 - y1)
        return whole if self.outline is None else min(whole, self.outline.area())


class WithInstances:
    """What has annotated objects and crowd regions."""

    instances: tuple[Instance, ...]

    @property
    def objects(self) -> tuple[Instance, ...]:
        """The instances that are single objects."""
        return tuple(instance for instance in self.instances if not instance.is_crowd)

    @property
    def crowds(self) -> tuple[Instance, ...]:
        """The instances that are crowd regions."""
        return tuple(instance for instance in self.instances if instance.is_crowd)


@dataclass(frozen=True, eq=False, repr=False)
class ImageRecord(WithInstances):
    """One picture: where it lies, how large it is upright, and what is on it.

    It knows neither names of classes nor what its pixels mean: `data[3].show()` draws the picture
    `data.records[3]` with both.

    Args:
        image_id: id in the annotations.
        path: of the file; or an address within a shard, see `data.shard_files`.
        height, width: of the upright picture, in pixels.
        instances: its objects and crowd regions.
        bits: of each channel, where that is known without opening the file.
    """

    image_id: int
    path: str
    height: int
    width: int
    instances: tuple[Instance, ...] = ()
    bits: int | None = None

    @property
    def named(self) -> str:
        """What messages call it."""
        return f"Image id {self.image_id}"

    def plot(self, class_names: Sequence[str] = (), **options: Any) -> Image.Image:
        """Draws the annotated objects over the picture, in its own size.

        Args:
            class_names: `K` names; classes without one are `class_0 ...`.
            **options: of `visualize.draw_instances`: `color_by`, `boxes`, `labels`, `scale`,
                `skeleton`.

        Returns:
            A picture of Pillow.

        Raises:
            ValueError: when the picture cannot be read, or is not of the annotated size.
        """
        from keras_maskrcnn.data.showing import plot_record

        return plot_record(self, class_names, options)

    def show(self, class_names: Sequence[str] = (), **options: Any) -> None:
        """Shows what `plot` draws: in a notebook below the cell, else in a window of its own.

        Args:
            class_names: as of `plot`.
            **options: as of `plot`.

        Raises:
            ValueError: as `plot`.
            RuntimeError: outside of a notebook, where no program shows pictures.
        """
        from keras_maskrcnn.data.showing import show_record

        show_record(self, class_names, options)

    def __repr__(self) -> str:
        crowds = f", crowds={len(self.crowds)}" if self.crowds else ""
        return (
            f"ImageRecord(image_id={self.image_id}, path={self.path!r}, height={self.height}, "
            f"width={self.width}, objects={len(self.objects)}{crowds})"
        )

    def _repr_html_(self) -> str:
        from keras_maskrcnn.data.showing import record_html

        return record_html(self)

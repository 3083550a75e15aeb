"""Objects of another picture, pasted: more objects, more places, more that hide each other.

Legend: `H W` pixels of a picture, `h w` pixels of a window of it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from keras_maskrcnn.checks import at_least, fraction
from keras_maskrcnn.data.moving import InstanceMover
from keras_maskrcnn.data.records import Instance
from keras_maskrcnn.data.transforms.base import (
    TRANSFORMS,
    Action,
    Sample,
    Sometimes,
    Transform,
    make_transforms,
)
from keras_maskrcnn.data.transforms.blur import BlurAction
from keras_maskrcnn.data.transforms.later import Later, Window, apply_later
from keras_maskrcnn.data.transforms.pixels import rounded
from keras_maskrcnn.data.transforms.scale_jitter import ScaleJitterAction
from keras_maskrcnn.outlines import Bitmap

# How often a picture with objects is looked for, before nothing is pasted.
_TRIES = 20

# Of a picture, in 0..1: what no picture shows.
_NO_SHARE = 1e-6


@dataclasses.dataclass(frozen=True)
class CopyPasteAction(Action):
    """Pastes objects of another picture.

    Args:
        index: of the other picture in the data set.
        objects: which of its objects, by their place among them.
        actions: what is done to the other picture, in turn.
        shift: x and y by which it is then moved, in whole pixels.
        blend: standard deviation, in pixels, of the Gaussian that blends edges.
        min_visible: see `CopyPaste`.
        other: the other picture after the actions, with these objects alone, where it is at hand.
    """

    index: int
    objects: tuple[int, ...]
    actions: tuple[Action, ...]
    shift: tuple[int, int]
    blend: float
    min_visible: float
    other: Sample | None = dataclasses.field(default=None, repr=False, compare=False)

    def apply(self, sample: Sample) -> Sample:
        other = self._other(sample)
        x, y = self.shift
        matrix = np.array([[1.0, 0.0, x], [0.0, 1.0, y]])
        mover = InstanceMover(matrix, other.size, sample.size, self.min_visible)
        moved = mover.instances(other.instances, ())
        covered = np.zeros(sample.size, bool)
        pasted, windows = [], []
        for instance in moved:
            left, top, right, bottom = window = _window(instance, sample.size)
            pixels = _drawn(instance, window)
            covered[top:bottom, left:right] |= pixels
            # What covers no pixel cannot be seen.
            if pixels.any():
                pasted.append(instance)
                windows.append(window)
        if not pasted:
            return sample
        image = _blended(sample.image, other, covered, windows, self.shift, self.blend)
        left_over = _uncovered(sample.instances, covered, self.min_visible)
        return dataclasses.replace(sample, image=image, instances=(*left_over, *pasted))

    def describe(self) -> dict[str, Any]:
        described = super().describe()
        del described["other"]
        return {**described, "actions": [action.describe() for action in self.actions]}

    def _other(self, sample: Sample) -> Sample:
        if self.other is not None:
            return self.other
        other = _with_objects(sample.around.read(self.index), self.objects)
        for action in self.actions:
            other = apply_later(action, other)
        return other


def _blended(
    image: np.ndarray,
    other: Sample,
    covered: np.ndarray,
    windows: Sequence[Window],
    shift: tuple[int, int],
    sigma: float,
) -> np.ndarray:
    """The picture with another's pixels where these are covered.

    Args:
        image: `[H, W, C]`.
        other: the other picture.
        covered: bool `[H, W]`.
        windows: all that is covered lies in them.
        shift: x and y by which the other picture is moved.
        sigma: standard deviation of the Gaussian that blends edges.
    """
    x, y = shift
    around = int(4 * sigma + 0.5)
    # Edges blend with what the other picture has around them, as far as it goes.
    frame = max(0, x), max(0, y), x + other.size[1], y + other.size[0]
    frame = (*frame[:2], min(covered.shape[1], frame[2]), min(covered.shape[0], frame[3]))
    # Windows that lie over each other can be more to make than the whole picture.
    in_parts = sum((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in windows) < math.prod(other.size)
    new = image.copy()
    for window in windows:
        left, top, right, bottom = inner = _grown(window, around, frame)
        # What is beyond the window has its part in the blur.
        outer = _grown(inner, around, frame)
        share = covered[outer[1] : outer[3], outer[0] : outer[2], None].astype(np.float32)
        share = BlurAction(sigma).change(share)[..., 0]
        share = share[top - outer[1] : bottom - outer[1], left - outer[0] : right - outer[0]]
        below = image[top:bottom, left:right]
        there = left - x, top - y, right - x, bottom - y
        if in_parts and isinstance(other, Later):
            above = other.part(there)
        else:
            above = other.image[there[1] : there[3], there[0] : there[2]]
        # Away from edges there is nothing to compute.
        target, is_whole = new[top:bottom, left:right], share > 1 - _NO_SHARE
        # A mask that NumPy need not spread over the channels itself: three times as fast.
        np.copyto(target, above, where=np.repeat(is_whole[..., None], above.shape[2], axis=2))
        edge = np.nonzero((share > _NO_SHARE) & ~is_whole)
        step = share[edge][:, None] * (above[edge].astype(np.float32) - below[edge])
        target[edge] = rounded(below[edge] + step, image.dtype)
    return new


def _grown(window: Window, by: int, frame: Window) -> Window:
    """A window and what is around it, within a frame."""
    left, top, right, bottom = window
    return (
        max(frame[0], left - by),
        max(frame[1], top - by),
        min(frame[2], right + by),
        min(frame[3], bottom + by),
    )


@TRANSFORMS.register("copy_paste")
class CopyPaste(Sometimes):
    """Pastes objects of a random other picture of the data set (Ghiasi et al. 2021, arXiv
    2012.07177).

    As there, a random part of the other picture's objects is taken, what they hide is cut out of
    the outlines of the picture's own objects and crowd regions, those that vanish are dropped, and
    edges are blended by a Gaussian. Different from there, the objects are moved together to a place
    that is drawn uniformly: scale jitter leaves what it makes smaller in the top left corner. The
    other picture is brought to the scale at which the network sees it. Keypoints that are hidden
    count as labelled, not visible. Crowd regions and objects without outline are not pasted.

    Args:
        transforms: what is done to the other picture, as `augment` takes it: `"flip"` alone pastes
            without scale jitter, and the paper has a `scale` of `(0.1, 2)`, on both pictures.
        probability: with which something is pasted into a picture, in 0..1.
        object_probability: with which each object of the other picture is taken, in 0..1.
        max_pasted: how many objects are pasted at most; batches have room for as many more.
        blend: standard deviation, in pixels, of the Gaussian that blends edges; 0: sharp.
        min_visible: part of its area, in 0..1, that must be left of what is cut or hidden.

    Raises:
        ValueError: for a setting that is out of range, or a transform that is unknown.
    """

    def __init__(
        self,
        *,
        transforms: Any = ("flip", "scale_jitter"),
        probability: float = 1.0,
        object_probability: float = 0.5,
        max_pasted: int = 100,
        blend: float = 1.0,
        min_visible: float = 0.0,
    ) -> None:
        super().__init__(probability=probability)
        fraction(object_probability=object_probability, min_visible=min_visible)
        at_least(1, max_pasted=max_pasted)
        at_least(0, blend=blend)
        self.transforms: Sequence[Transform] = make_transforms(transforms)
        if any(transform.added_objects(1) for transform in self.transforms):
            raise ValueError(
                "transforms of copy_paste must add no objects of their own. "
                f"Received: transforms={transforms!r}"
            )
        self.object_probability = object_probability
        self.max_pasted = max_pasted
        self.blend = blend
        self.min_visible = min_visible

    def added_objects(self, most: int) -> int:
        return min(most, self.max_pasted)

    def draw_always(self, rng: np.random.Generator, sample: Sample) -> CopyPasteAction | None:
        index = self._drawn_picture(rng, sample)
        if index is None:
            return None
        read = sample.around.read(index)
        taken = [
            number
            for number, instance in enumerate(read.objects)
            if rng.random() < self.object_probability and instance.outline is not None
        ]
        if len(taken) > self.max_pasted:
            taken = sorted(rng.choice(taken, self.max_pasted, replace=False).tolist())
        other = dataclasses.replace(_with_objects(read, taken), around=sample.around)
        actions: list[Action] = []
        for transform in self.transforms:
            action = transform.draw(rng, other)
            if action is not None:
                other = apply_later(action, other)
                actions.append(action)
        fit = _fit(other, sample)
        if fit is not None:
            other = apply_later(fit, other)
            actions.append(fit)
        if not other.instances:
            return None
        return CopyPasteAction(
            index,
            tuple(taken),
            tuple(actions),
            _drawn_shift(rng, other, sample.size),
            self.blend,
            self.min_visible,
            other,
        )

    def _drawn_picture(self, rng: np.random.Generator, sample: Sample) -> int | None:
        """One that has an object with an outline."""
        pictures = sample.around.pictures
        for _ in range(_TRIES if pictures else 0):
            index = int(rng.integers(len(pictures)))
            if any(instance.outline is not None for instance in pictures[index].objects):
                return index
        return None

    def get_config(self) -> dict[str, Any]:
        described = [transform.get_config() for transform in self.transforms]
        return {**super().get_config(), "transforms": described}


def _with_objects(sample: Sample, numbers: Iterable[int]) -> Sample:
    objects = sample.objects
    return dataclasses.replace(sample, instances=tuple(objects[number] for number in numbers))


def _fit(other: Sample, sample: Sample) -> ScaleJitterAction | None:
    """Brings the other picture to the scale that the network sees it in, beside the sample."""
    seen = np.array(other.input_size) / other.size
    scale = seen / (np.array(sample.input_size) / sample.size)
    height, width = np.maximum(np.round(other.size * scale), 1).astype(int).tolist()
    if (height, width) == other.size:
        return None
    return ScaleJitterAction((height, width), (0, 0), (height, width))


def _drawn_shift(rng: np.random.Generator, other: Sample, size: tuple[int, int]) -> tuple[int, int]:
    """One that brings all objects into a picture of that size; or where they are larger, fills it
    with them."""
    boxes = np.array([instance.box for instance in other.instances])
    first = -np.floor(boxes[:, :2].min(axis=0)).astype(int)
    last = np.array(size[::-1]) - np.ceil(boxes[:, 2:].max(axis=0)).astype(int)
    x, y = rng.integers(np.minimum(first, last), np.maximum(first, last), endpoint=True).tolist()
    return x, y


def _window(instance: Instance, size: tuple[int, int]) -> Window:
    """Around all of an instance that is in a picture of that size."""
    outline = instance.outline
    bounds = np.array(instance.box if outline is None else outline.bounds())
    left, top = np.floor(bounds[:2]).astype(int).tolist()
    right, bottom = np.ceil(bounds[2:]).astype(int).tolist()
    return max(0, left), max(0, top), min(size[1], right), min(size[0], bottom)


def _drawn(instance: Instance, window: Window) -> np.ndarray:
    """bool `[h, w]`: the pixels of a window that an instance covers, as the COCO tools draw it;
    without an outline, all of them."""
    left, top, right, bottom = window
    size = max(0, bottom - top), max(0, right - left)
    if instance.outline is None:
        return np.ones(size, bool)
    matrix = np.array([[1.0, 0.0, -left], [0.0, 1.0, -top]])
    return instance.outline.transform(matrix).draw_whole(*size) > 0


def _uncovered(
    instances: Iterable[Instance], covered: np.ndarray, min_visible: float
) -> Iterable[Instance]:
    """What is left of instances, some of whose pixels are covered by others."""
    for instance in instances:
        left, top, right, bottom = window = _window(instance, covered.shape)
        hidden = covered[top:bottom, left:right]
        drawn = _drawn(instance, window) if hidden.any() else None
        if drawn is None or not (drawn & hidden).any():
            yield instance
            continue
        seen = drawn & ~hidden
        if not seen.any() or seen.sum() < min_visible * drawn.sum():
            continue
        left_over = dataclasses.replace(instance, keypoints=_points_left(instance, covered))
        if instance.outline is not None:
            cut = Bitmap(seen, left, top).bitmap()
            left_over = dataclasses.replace(
                left_over, outline=cut, box=cut.bounds(), annotated_area=None
            )
        yield left_over


def _points_left(instance: Instance, covered: np.ndarray) -> np.ndarray | None:
    """The keypoints, of which those that are covered are labelled, not visible."""
    if instance.keypoints is None:
        return None
    points = instance.keypoints.copy()
    last = np.array(covered.shape)[::-1] - 1
    x, y = np.clip(np.floor(points[:, :2]).astype(int), 0, last).T
    points[(points[:, 2] == 2) & covered[y, x], 2] = 1
    return points

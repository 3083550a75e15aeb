"""A function of the user's own, or of another library, as a transform."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from keras_maskrcnn.data.records import Instance
from keras_maskrcnn.data.transforms.base import TRANSFORMS, Action, Sample, Transform

Function = Callable[
    [np.ndarray, tuple[Instance, ...], np.random.Generator],
    tuple[np.ndarray, Sequence[Instance]],
]


@dataclasses.dataclass(frozen=True)
class FunctionAction(Action):
    """Calls a function.

    Args:
        function: see `FunctionTransform`.
        seed: of the generator that it is handed.
    """

    function: Function
    seed: int

    def apply(self, sample: Sample) -> Sample:
        name = _name(self.function)
        # What it is handed may be kept for the next pass: changes in place must not reach it.
        given = tuple(
            i if i.keypoints is None else dataclasses.replace(i, keypoints=i.keypoints.copy())
            for i in sample.instances
        )
        try:
            result = self.function(sample.image.copy(), given, np.random.default_rng(self.seed))
        except Exception as error:
            raise ValueError(
                f"the function {name} of augment failed: {type(error).__name__}: {error}"
            ) from error
        try:
            return _checked(result, sample)
        except ValueError as error:
            raise ValueError(f"the function {name} of augment must return {error}") from None

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "function": _name(self.function)}


@TRANSFORMS.register("function")
class FunctionTransform(Transform):
    """Changes pictures and what is on them by any function; `augment=[function]` makes one.

    So another library can be used, if it is installed and its licence suits. Pixels alone, by
    albumentations:

    ```python
    def fog(image, instances, rng):
        seed = int(rng.integers(2**31))
        change = albumentations.Compose([albumentations.RandomFog(p=0.3)], seed=seed)
        return change(image=image)["image"], instances

    train.batches(2, augment=["flip", fog], seed=0)
    ```

    One that moves, by way of masks; boxes follow from what is left of these:

    ```python
    def bend(image, instances, rng):
        seed = int(rng.integers(2**31))
        change = albumentations.Compose([albumentations.ElasticTransform(p=1)], seed=seed)
        drawn = [i.outline.draw_whole(*image.shape[:2]) for i in instances]
        bent = change(image=image, masks=drawn)
        left = []
        for instance, mask in zip(instances, bent["masks"]):
            outline = Bitmap(mask > 0).bitmap()
            if outline.area():
                left.append(dataclasses.replace(
                    instance, outline=outline, box=outline.bounds(), annotated_area=None
                ))
        return bent["image"], left
    ```

    Pictures are loaded by several threads: what holds a random state of its own is made within the
    function, as here, for the pass to be repeatable.

    Args:
        function: called with the picture, `[H, W, C]` uint8 or what transforms before it made, a
            tuple of its `Instance`s (objects and crowd regions), and a generator, which all its
            random numbers should come from. It returns a picture of the same type and number of
            channels, and a sequence of instances within it. Or where it is found, as
            `"package.module:name"`.

    Raises:
        TypeError: if it cannot be called so.
        ValueError: if nothing is found there; of a picture, if the function fails or returns
            anything else; of `get_config`, if the function is not found by a module and a name, as
            no lambda is.
    """

    def __init__(self, *, function: Function | str) -> None:
        self.function = _found(function) if isinstance(function, str) else function
        try:
            inspect.signature(self.function).bind("image", "instances", "rng")
        except (TypeError, ValueError):
            raise TypeError(
                "augment must be a name, a dict of settings, a Transform, a Keras layer, a "
                "function of (image, instances, rng), or a list of these. "
                f"Received: augment={function!r}"
            ) from None

    def draw(self, rng: np.random.Generator, sample: Sample) -> FunctionAction:
        return FunctionAction(self.function, int(rng.integers(2**32)))

    def get_config(self) -> dict[str, Any]:
        name = _name(self.function)
        try:
            found = _found(name)
        except ValueError:
            found = None
        if found is not self.function or name.startswith("__main__:"):
            raise ValueError(
                "a function of augment can only be written down by its module and name, from which "
                f"it must be found again. Received: function={self.function!r}, not found as {name}"
            )
        return {"name": TRANSFORMS.name_of(type(self)), "function": name}


def _name(function: Any) -> str:
    """`module:name`; of an object, the name of its class."""
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}:{named.__qualname__}"


def _found(name: str) -> Any:
    module, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"function must be found as 'package.module:name': {error}. Received: function={name!r}"
        ) from None
    return found


def _checked(result: Any, given: Sample) -> Sample:
    """What a function returned; `ValueError` says what it should have been."""
    if not (isinstance(result, tuple | list) and len(result) == 2):
        raise ValueError(f"a pair (image, instances). Received: {type(result).__name__}")
    image, instances = result
    before = given.image
    if not isinstance(image, np.ndarray) or image.dtype != before.dtype:
        kind = getattr(image, "dtype", type(image).__name__)
        raise ValueError(f"a picture of type {before.dtype}, as it was given. Received: {kind}")
    if image.ndim != 3 or image.shape[2] != before.shape[2] or not image.size:
        raise ValueError(
            f"a picture of shape (height, width, {before.shape[2]}). Received: shape {image.shape}"
        )
    if not isinstance(instances, tuple | list):
        raise ValueError(f"a list of instances. Received: {type(instances).__name__}")
    for instance in instances:
        if not isinstance(instance, Instance):
            raise ValueError(f"Instances alone. Received: {instance!r:.200}")
        _check_instance(instance, image, given)
    return dataclasses.replace(given, image=image, instances=tuple(instances))


def _check_instance(instance: Instance, image: np.ndarray, given: Sample) -> None:
    height, width = image.shape[:2]
    which = f"instance with annotation id {instance.annotation_id}"
    box = tuple(instance.box)
    if len(box) != 4 or not (0 <= box[0] < box[2] <= width and 0 <= box[1] < box[3] <= height):
        raise ValueError(
            f"boxes (x1, y1, x2, y2) within the picture, of width {width} and height {height}, and "
            f"not empty. Received: box={box} of the {which}"
        )
    if instance.is_crowd:
        return
    if instance.outline is None and all(o.outline is not None for o in given.objects):
        raise ValueError(f"an outline of each object. Received: outline=None of the {which}")
    if instance.keypoints is not None:
        shapes = {o.keypoints.shape for o in given.objects if o.keypoints is not None}
        if shapes and instance.keypoints.shape not in shapes:
            raise ValueError(
                f"keypoints of shape {min(shapes)}. Received: shape {instance.keypoints.shape} of "
                f"the {which}"
            )

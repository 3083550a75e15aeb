"""A transform draws its random numbers, which gives an action; an action is the same each time.

So what happened to a picture can be repeated, written down and shown.
"""

from __future__ import annotations

import abc
import dataclasses
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from keras_maskrcnn.checks import fraction, nearest
from keras_maskrcnn.data.records import Instance, WithInstances
from keras_maskrcnn.data.transforms.policies import POLICIES
from keras_maskrcnn.parts import DataRegistry, Part


def _none_is_known(index: int) -> Sample:
    raise ValueError(f"Expected a number of pictures. Received: picture {index} of none")


@dataclasses.dataclass(frozen=True, eq=False)
class Surroundings:
    """What a transform may know beside the picture.

    Args:
        input_shape: from height and width of a picture to those that the network will see of it.
        pictures: what is on each picture of the data set.
        read: gives one of them, by its number, as it is stored.
    """

    input_shape: Callable[[int, int], tuple[int, int]]
    pictures: Sequence[WithInstances] = ()
    read: Callable[[int], Sample] = _none_is_known


def _as_it_is(height: int, width: int) -> tuple[int, int]:
    return height, width


@dataclasses.dataclass(frozen=True, eq=False)
class Sample(WithInstances):
    """A picture and what is on it. Neither it nor what it holds is ever changed in place.

    Args:
        image: uint8 or float32 `[H, W, C]`, 0..255.
        instances: objects and crowd regions, in pixels of this picture.
        flip_pairs: pairs of keypoint indices that a mirror exchanges.
        around: what else is known; by default that the network sees pictures as they are.
    """

    image: np.ndarray
    instances: tuple[Instance, ...] = ()
    flip_pairs: tuple[tuple[int, int], ...] = ()
    around: Surroundings = Surroundings(_as_it_is)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.image.shape[0], self.image.shape[1]

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width that the network will see of it."""
        return self.around.input_shape(*self.size)


class Action(abc.ABC):
    """What one draw decided: a frozen dataclass, whose fields are values that JSON holds."""

    @abc.abstractmethod
    def apply(self, sample: Sample) -> Sample:
        """The sample after it; the given one stays as it is."""

    def turn(self, height: int, width: int) -> np.ndarray | None:
        """How drawn masks of the objects turn with a picture of that size.

        Returns:
            `[2, 2]`, each row and column one 1 or -1, where all objects stay and their masks are
            flipped or turned; `None` where they must be drawn anew.
        """
        return None

    def describe(self) -> dict[str, Any]:
        """Its name and fields."""
        fields = dataclasses.fields(self)  # type: ignore[arg-type]  # Subclasses are dataclasses.
        return {"action": type(self).__name__, **{f.name: getattr(self, f.name) for f in fields}}


class Transform(Part, abc.ABC):
    """Base of all transforms: its settings are the keywords of its constructor.

    Attributes:
        gives_floats: whether pictures become float32; uint8 ones stay so otherwise.
    """

    gives_floats: ClassVar[bool] = False

    def added_objects(self, most: int) -> int:
        """How many objects it may add to a picture of a data set whose pictures have up to
        `most`: memory is set aside for them."""
        return 0

    @abc.abstractmethod
    def draw(self, rng: np.random.Generator, sample: Sample) -> Action | None:
        """Decides what happens to a sample; `None`: nothing does.

        Args:
            rng: the only source of random numbers.
            sample: what it will happen to, such as the size that a crop must fit into.
        """

    def get_config(self) -> dict[str, Any]:
        """What `make_transforms` makes it from again: name and settings, as JSON holds them."""
        return {"name": TRANSFORMS.name_of(type(self)), **super().get_config()}


class Sometimes(Transform):
    """Base of transforms that happen to a part of the pictures.

    Args:
        probability: with which it happens to each picture, in 0..1.
    """

    def __init__(self, *, probability: float) -> None:
        fraction(probability=probability)
        self.probability = probability

    @abc.abstractmethod
    def draw_always(self, rng: np.random.Generator, sample: Sample) -> Action | None:
        """Decides what happens to a sample to which something does; as `draw`."""

    def draw(self, rng: np.random.Generator, sample: Sample) -> Action | None:
        return self.draw_always(rng, sample) if rng.random() < self.probability else None


TRANSFORMS = DataRegistry("augment")


def make_transforms(augment: Any) -> tuple[Transform, ...]:
    """The transforms that a user asks for.

    Args:
        augment: `None` or `False`: none; `True`: `"flip"`; a name of `TRANSFORMS` or `POLICIES`, a
            dict of settings with `name`, a `Transform`, a Keras layer that changes pixels alone
            (see `KerasLayerTransform`), a function of `(image, instances, rng)` (see
            `FunctionTransform`), or a sequence of these, which happen in turn.

    Raises:
        ValueError: for an unknown name or setting, with the nearest that is known.
        TypeError: for anything else.
    """
    if augment is None or augment is False:
        return ()
    if augment is True:
        augment = "flip"
    choices = list(_expanded(augment if isinstance(augment, list | tuple) else [augment]))
    made = tuple(TRANSFORMS.make(_wrapped(choice), default="") for choice in choices)
    for choice, transform in zip(choices, made, strict=True):
        if not isinstance(transform, Transform):
            raise TypeError(
                "augment must be True, a name, a dict of settings, a Transform, or a list of "
                f"these. Received: {choice!r}"
            )
    return made


def added_objects(transforms: Iterable[Transform], most: int) -> int:
    """How many objects transforms may add to one of pictures that have up to `most`."""
    return sum(transform.added_objects(most) for transform in transforms)


def _expanded(choices: Iterable[Any]) -> Iterable[Any]:
    """The choices, with what each policy stands for in its place."""
    for choice in choices:
        if not isinstance(choice, str):
            yield choice
        elif choice in POLICIES:
            yield from POLICIES[choice]
        elif choice in TRANSFORMS.names:
            yield choice
        else:
            names = sorted({*POLICIES, *TRANSFORMS.names})
            raise ValueError(
                f"augment must be one of {names}, or an object.{nearest(choice, names)} "
                f"Received: augment={choice!r}"
            )


def _wrapped(choice: Any) -> Any:
    """Settings of the transform that a Keras layer or a function is made into; else the choice."""
    # Only where Keras is imported can there be a layer.
    if "keras" in sys.modules and isinstance(choice, sys.modules["keras"].Layer):
        return {"name": "keras_layer", "layer": choice}
    if callable(choice) and not isinstance(choice, type | Transform):
        return {"name": "function", "function": choice}
    return choice


def transform_sample(
    sample: Sample, transforms: Sequence[Transform], rng: np.random.Generator
) -> tuple[Sample, list[Action], np.ndarray | None]:
    """Draws and applies each in turn; a later one sees what the earlier left.

    Returns:
        The sample after all, the actions that made it of the given one, and the turn that they
        amount to, as `Action.turn` tells it.
    """
    actions: list[Action] = []
    turn: np.ndarray | None = np.eye(2)
    for transform in transforms:
        action = transform.draw(rng, sample)
        if action is not None:
            own = action.turn(*sample.size)
            turn = None if turn is None or own is None else own @ turn
            sample = action.apply(sample)
            actions.append(action)
    return sample, actions, turn

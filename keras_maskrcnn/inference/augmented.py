"""Test-time augmentation: a picture in several sizes and mirrored, and one answer from all.

The rule is detectron2's `GeneralizedRCNNWithTTA`. What each input finds is mapped back to the
picture and put into one list; every detection keeps its score and class, and NMS class by class
leaves the best. Boxes are not averaged. The boxes that remain are described in every input, and the
mask is the mean of the probabilities.

Each input is seen twice, and forgotten in between: memory does not grow with their number.

Legend: `n` detections of all inputs, `D` those that remain, `M` mask side, `J` keypoints.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np

from keras_maskrcnn.checks import at_least
from keras_maskrcnn.images.input_size import InputSize
from keras_maskrcnn.inference.describe import describe_inputs
from keras_maskrcnn.inference.inputs import network_inputs
from keras_maskrcnn.ops.nms import batched_nms
from keras_maskrcnn.results import Detections

# detectron2's shorter sides, 400 to 1200 in steps of 100, and its limit of 4000 belong to models of
# 800: as eighths of the model's own, objects keep the sizes that the model knows.
_EIGHTHS = range(4, 13)
_LONGEST = 5
# Scores at or below it do not take part (detectron2).
_LEAST_SCORE = 1e-8
_NOT_DESCRIBED = ("boxes", "scores", "classes", "counts")


@dataclasses.dataclass(frozen=True)
class AugmentedInput:
    """One way in which the network sees a picture.

    Args:
        size: of the input.
        is_mirrored: whether left and right are exchanged, after resizing.
    """

    size: InputSize
    is_mirrored: bool

    def arrays(self, picture: np.ndarray) -> dict[str, np.ndarray]:
        """The picture `[h, w, C]` as `network_inputs` gives it, mirrored within its size."""
        inputs = network_inputs([picture], self.size)
        if self.is_mirrored:
            height, width = inputs["image_sizes"][0]
            pixels = inputs["images"][0, :height, :width]
            pixels[:] = pixels[:, ::-1].copy()
        return inputs


@dataclasses.dataclass(frozen=True)
class TestTimeAugmentation:
    """In which sizes `MaskRCNN.predict` looks at each picture.

    Args:
        min_sizes: shorter sides, in pixels; `None`: half to one and a half of the model's own
            `min_size` in nine steps, which are detectron2's 400 to 1200 for a model of 800.
        max_size: limit of the longer side; `None`: five times the model's `min_size`, which is
            detectron2's 4000.
        flip: whether each is seen mirrored, too.

    Raises:
        ValueError: for a size under 1, or none at all.
    """

    __test__ = False  # pytest takes classes of such a name for tests.

    min_sizes: tuple[int, ...] | None = None
    max_size: int | None = None
    flip: bool = True

    def __post_init__(self) -> None:
        if self.min_sizes is not None:
            object.__setattr__(self, "min_sizes", tuple(self.min_sizes))
            if not self.min_sizes:
                raise ValueError("min_sizes must hold a size or more. Received: min_sizes=()")
            for size in self.min_sizes:
                at_least(1, min_sizes=size)
        if self.max_size is not None:
            at_least(1, max_size=self.max_size)

    def inputs(self, own: InputSize) -> list[AugmentedInput]:
        """All inputs for a picture, by size, each before its mirror image.

        Args:
            own: the model's.
        """
        shorter = self.min_sizes or [round(n * own.min_size / 8) for n in _EIGHTHS]
        longest = self.max_size or _LONGEST * own.min_size
        return [
            AugmentedInput(InputSize(size, longest, own.divisor), is_mirrored)
            for size in shorter
            for is_mirrored in (False, True)[: 1 + self.flip]
        ]


def as_augmentation(choice: Any) -> TestTimeAugmentation | None:
    """What `predict` was given as `augment`; `None` for none.

    Raises:
        TypeError: for anything but a bool, `None` or a `TestTimeAugmentation`.
    """
    if isinstance(choice, TestTimeAugmentation):
        return choice
    if choice is not None and not isinstance(choice, bool):
        raise TypeError(
            "augment must be True, False or a keras_maskrcnn.TestTimeAugmentation. "
            f"Received: augment={choice!r}"
        )
    return TestTimeAugmentation() if choice else None


def predict_augmented(
    model: Any, picture: np.ndarray, augmentation: TestTimeAugmentation
) -> Detections:
    """`MaskRCNN.predict` for one picture that is read already.

    Masks and further results of floats are means over the inputs. Keypoints and integers are those
    of the unmirrored input nearest to the model's own size: a mirrored person's left is right, and
    of decoded points there is no mean. Of results other than masks none is mirrored back.

    Args:
        model: a `MaskRCNN`.
        picture: `[h, w, C]`, on the scale 0..255.
        augmentation: which inputs.
    """
    height, width = picture.shape[:2]
    inputs = augmentation.inputs(model.input_size)
    found = [find(model, picture, seen) for seen in inputs]
    boxes, scores, classes = (np.concatenate(values) for values in zip(*found, strict=True))
    boxes, scores, classes = merge(model.network.box, boxes, scores, classes, (height, width))
    outputs = {
        "boxes": boxes[None],
        "scores": scores[None],
        "classes": classes[None],
        "counts": np.array([len(boxes)]),
        **_describe(model, picture, inputs, boxes, classes),
    }
    return Detections.from_padded(
        outputs,
        0,
        image_size=(height, width),
        original_size=(height, width),
        class_names=model.class_names,
        keypoint_shift=model.keypoint_shift,
    )


def find(
    model: Any, picture: np.ndarray, seen: AugmentedInput
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes float64 `[n, 4]` in pixels of the picture, scores and classes of one input."""
    inputs = seen.arrays(picture)
    outputs = model.finding_graph().predict_on_batch(inputs)
    count = int(outputs["counts"][0])
    boxes, scores, classes = (outputs[k][0, :count] for k in ("boxes", "scores", "classes"))
    (size,) = inputs["image_sizes"]
    boxes = boxes.astype("float64")
    if seen.is_mirrored:
        boxes = _mirrored(boxes, size[1])
    return boxes / np.tile(_scale(size, picture), 2), scores, classes


def merge(
    box: Any,
    boxes: np.ndarray,
    scores: np.ndarray,
    classes: np.ndarray,
    image_size: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best of the detections of all inputs.

    A model of Soft-NMS merges by plain NMS, too: its scores would fall once more for each input.

    Args:
        box: the model's part; its `nms_iou`, `max_detections` and whether `nms` is across classes
            count.
        boxes, scores, classes: `[n, 4]` in pixels of the picture, `[n]`, `[n]`.
        image_size: `(h, w)` of the picture.

    Returns:
        boxes float32 `[D, 4]` within the picture, scores `[D]`, falling, and classes `[D]`.
    """
    height, width = image_size
    boxes = np.clip(boxes, 0.0, [width, height, width, height]).astype("float32")
    if not len(boxes):
        return boxes, scores, classes
    groups = np.zeros_like(classes) if box.nms == "cross_class" else classes
    index, counts = batched_nms(
        boxes[None], scores[None], groups[None], box.nms_iou, box.max_detections, _LEAST_SCORE
    )
    kept = np.asarray(index)[0, : int(counts[0])]
    return boxes[kept], scores[kept], classes[kept]


def _describe(
    model: Any,
    picture: np.ndarray,
    inputs: list[AugmentedInput],
    boxes: np.ndarray,
    classes: np.ndarray,
) -> dict[str, np.ndarray]:
    """What the heads say of boxes `[D, 4]` in pixels of the picture, `[1, D, ...]` by name."""
    upright = [seen for seen in inputs if not seen.is_mirrored]
    nearest = min(upright, key=lambda seen: abs(seen.size.min_size - model.input_size.min_size))
    results: dict[str, Any] = {}
    for seen in inputs:
        arrays = seen.arrays(picture)
        (size,) = arrays["image_sizes"]
        scale = _scale(size, picture)
        inner = boxes * np.tile(scale, 2)
        if seen.is_mirrored:
            inner = _mirrored(inner, size[1])
        outputs = describe_inputs(model, arrays, inner, classes)
        for name in set(outputs) - set(_NOT_DESCRIBED):
            values = outputs[name][:, : len(boxes)]
            if name == "masks" and seen.is_mirrored:
                values = values[..., ::-1]
            if name != "keypoints" and keras.backend.is_float_dtype(str(values.dtype)):
                share = np.asarray(values, "float32") / len(inputs)
                results[name] = results.get(name, 0.0) + share
            elif seen == nearest:
                results[name] = values
                if name == "keypoints":
                    results[name] = np.concatenate([values[..., :2] / scale, values[..., 2:]], -1)
    return results


def _scale(size: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Pixels of the input per pixel of the picture, `[x, y]`."""
    height, width = picture.shape[:2]
    return np.array([size[1] / width, size[0] / height])


def _mirrored(boxes: np.ndarray, width: int) -> np.ndarray:
    """Boxes `[n, 4]` of a mirrored picture."""
    x1, y1, x2, y2 = boxes.T
    return np.stack([width - x2, y1, width - x1, y2], axis=1)

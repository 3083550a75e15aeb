"""Annotations from what `predict` returns."""

from __future__ import annotations

import os
from collections.abc import Sequence

from keras_maskrcnn.checks import fraction
from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.records import ImageRecord, Instance
from keras_maskrcnn.data.writers.base import SCORE
from keras_maskrcnn.outlines import Polygons
from keras_maskrcnn.preannotations.ordering import places_in_order
from keras_maskrcnn.results import Detections
from keras_maskrcnn.results.conversions import to_polygons


def detections_to_data(
    pictures: Sequence[str | os.PathLike[str]],
    found: Sequence[Detections],
    *,
    threshold: float = 0.5,
    order: str = "given",
) -> DetectionData:
    """Makes annotations of what a model found, for `save_dataset`.

    Masks become polygons, which every tool lets people edit. Each object has its score as the
    attribute `score`; keypoints count as visible.

    Args:
        pictures: paths of the picture files.
        found: what is on each, with the same classes for all.
        threshold: lowest score that is kept.
        order: `"given"`, or `"uncertainty"` for the most uncertain pictures first, by the scores
            of all objects; see `uncertainty`.

    Returns:
        All pictures, also those without objects.

    Raises:
        ValueError: if there are not as many pictures as results, the classes or keypoints of
            results differ, or an argument is out of range.

    Example:
        found = [model.predict(path)[0] for path in paths]
        save_dataset(detections_to_data(paths, found, order="uncertainty"), "to_label", "cvat")
    """
    fraction(threshold=threshold)
    if len(pictures) != len(found):
        raise ValueError(
            "Expected as many results as pictures. "
            f"Received: {len(pictures)} pictures and {len(found)} results"
        )
    for what, values in (
        ("classes", {one.class_names for one in found}),
        ("number of keypoints", {_joints(one) for one in found}),
    ):
        if len(values) > 1:
            raise ValueError(f"Expected the same {what} in all results. Received: {values}")
    records = []
    count = 0
    for number, place in enumerate(places_in_order([one.scores for one in found], order), 1):
        kept = found[place][found[place].scores >= threshold]
        instances = _instances(kept, count)
        count += len(instances)
        height, width = kept.image_size
        path = os.fspath(pictures[place])
        records.append(ImageRecord(number, path, height, width, instances))
    names = _class_names(found)
    return DetectionData(
        records=records,
        class_names=names,
        category_ids=list(range(1, len(names) + 1)),
        keypoint_names=[f"keypoint_{j}" for j in range(max(map(_joints, found), default=0))],
        name="predictions",
    )


def _joints(found: Detections) -> int:
    return 0 if found.keypoints is None else found.keypoints.shape[1]


def _class_names(found: Sequence[Detections]) -> list[str]:
    """The classes; where they have no names, as many as occur."""
    if found and found[0].class_names:
        return list(found[0].class_names)
    highest = max((int(one.classes.max()) for one in found if len(one)), default=-1)
    return [found[0].name_of(k) for k in range(highest + 1)]


def _instances(found: Detections, count: int) -> tuple[Instance, ...]:
    """The objects of a picture, of which the ids go on after `count`."""
    instances = []
    for i, polygons in enumerate(to_polygons(found)):
        outline = Polygons(polygons) if polygons else None
        x1, y1, x2, y2 = box = tuple(found.boxes[i].tolist())
        area = (x2 - x1) * (y2 - y1) if outline is None else outline.area()
        keypoints = None
        if found.keypoints is not None:
            keypoints = found.keypoints[i].copy()
            keypoints[:, 2] = 2
        instances.append(
            Instance(
                category=int(found.classes[i]),
                box=box,
                outline=outline,
                is_crowd=False,
                annotated_area=area,
                annotation_id=count + i + 1,
                keypoints=keypoints,
                attributes={SCORE: float(found.scores[i])},
            )
        )
    return tuple(instances)

"""Collects what a reader finds, and makes a data set of it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.formats.checks import clip_box
from keras_maskrcnn.data.formats.frames import OTHER_SIZE, Frames
from keras_maskrcnn.data.formats.making import Part, bounds_of, made_outline
from keras_maskrcnn.data.formats.outlines import check_polygons
from keras_maskrcnn.data.formats.problems import ItemError, Problems, require_unique, shown
from keras_maskrcnn.data.records import ImageRecord, Instance
from keras_maskrcnn.outlines import Bitmap

Box = tuple[float, float, float, float]


class Collector:
    """The pictures, objects and problems that a reader has found so far.

    Args:
        file: the file or folder that is read, for messages.
        find: gives the path of a picture by the name that the annotations have, and the folders
            in which to look first.
        class_names: the classes in their order, where the caller says them; objects of others
            are items that cannot be used.
        orientation: which pixels annotations count where pictures have an EXIF orientation; see
            `Frames`.
    """

    def __init__(
        self,
        file: Path,
        find: Callable[..., str],
        class_names: Sequence[str] | None = None,
        orientation: str = "auto",
    ) -> None:
        self.file = file
        self.frames = Frames(orientation)
        self.problems = Problems(file)
        self.notes: list[str] = []
        self._find = find
        self._instances: dict[int, list[Instance]] = {}
        self._records: dict[int, ImageRecord] = {}
        self._paths: set[str] = set()
        self._annotation_ids: set[int] = set()
        self._next_annotation = 1
        self._classes: dict[str, int] = {}
        self._ids: list[int] | None = None
        self._is_declared = False
        self._keypoint_names: list[str] = []
        self._keypoint_pairs: list[tuple[int, int]] = []
        self._is_chosen = class_names is not None
        if class_names is not None:
            self.declare_classes(list(class_names))

    def declare_classes(self, names: Sequence[Any], ids: Sequence[int] | None = None) -> None:
        """Says the classes and their order; else they are those of the objects, by alphabet.

        Args:
            names: one for each class.
            ids: that the file gives them; by default 1, 2, ...

        Raises:
            ValueError: if a name is no text, or a name or id stands twice.
        """
        for name in names:
            if not isinstance(name, str):
                raise ValueError(
                    f"{self.file}: expected classes with a text as name. Received: {shown(name)}"
                )
        require_unique(list(names), "class names", self.file)
        if ids is not None:
            require_unique(list(ids), "class ids", self.file)
        if self._is_chosen and self._is_declared:
            known = dict(zip(names, ids or range(1, len(names) + 1), strict=True))
            free = max([0, *known.values()]) + 1
            chosen = [known.get(name) for name in self._classes]
            self._ids = [free + k if i is None else i for k, i in enumerate(chosen)]
            return
        self._classes = {name: index for index, name in enumerate(names)}
        self._ids = None if ids is None else list(ids)
        self._is_declared = True

    def category(self, label: Any) -> int:
        """The number of a class.

        Raises:
            ItemError: if the label is no text, empty, or none of the declared classes.
        """
        if not isinstance(label, str):
            raise ItemError("object has no class", f" ({shown(label)})")
        if label not in self._classes:
            if not label.strip():
                raise ItemError("object has no class")
            if self._is_declared:
                raise ItemError("unknown class", f" ({shown(label)})")
            self._classes[label] = len(self._classes)
        return self._classes[label]

    @property
    def only_class(self) -> str:
        """The class of formats that know one alone: the caller's, where it is one; `object`."""
        return (
            next(iter(self._classes)) if self._is_chosen and len(self._classes) == 1 else "object"
        )

    def declare_keypoints(self, names: list[str], flip_pairs: list[tuple[int, int]]) -> None:
        """Says what the keypoints of all objects are called, and which a mirror exchanges."""
        self._keypoint_names, self._keypoint_pairs = names, flip_pairs

    def note(self, text: str) -> None:
        """Tells the user what was decided about the data; see `DetectionData.notes`."""
        self.notes.append(text)

    def item(self, name: str | Callable[[], str], objects: int = 0) -> _Item:
        """A context in which an `ItemError` means: this item is left out, and its name noted.

        Args:
            name: of the file and the item, as messages have it, or what makes it when needed.
            objects: how many objects are lost with it.
        """
        return _Item(self.problems, name, objects)

    def find_picture(self, name: Any, near: Sequence[Path] = ()) -> str:
        """The path of a picture by the name that annotations have; `ItemError` without one.

        It is looked for in the folders of `near` first.
        """
        return self._find(name, near)

    def add_picture(
        self,
        path: str,
        *,
        annotated: tuple[int, int] | None = None,
        turned: bool = False,
        is_relative: bool = False,
    ) -> ImageRecord:
        """Adds a picture, of which the header is read.

        Args:
            path: see `find_picture`.
            annotated: height and width that the annotations give.
            turned: whether the tools of the format are known to show pictures as their EXIF
                orientation turns them.
            is_relative: whether annotations are parts of the sides of the picture that was shown.

        Raises:
            ItemError: if it cannot be read, has another size, or was added before.
        """
        return self.add_record(
            self.picture(path, annotated=annotated, turned=turned, is_relative=is_relative)
        )

    def picture(
        self,
        path: str,
        *,
        annotated: tuple[int, int] | None = None,
        turned: bool = False,
        is_relative: bool = False,
    ) -> ImageRecord:
        """The same without adding it, for annotations that must first be held against its size: a
        picture whose objects cannot be read is not one without objects."""
        if path in self._paths:
            raise ItemError("its picture was annotated before", f" ({shown(path)})")
        height, width = self.frames.size(
            path, annotated=annotated, by_tool=turned, is_relative=is_relative
        )
        return ImageRecord(len(self._records) + 1, path, height, width)

    def annotated(
        self, image: ImageRecord, size: tuple[int, int], reason: str = OTHER_SIZE
    ) -> ImageRecord:
        """A picture that is still to be added, as annotations of that height and width see it.

        Raises:
            ItemError: if it has another size.
        """
        size = self.frames.fit(image.path, (image.height, image.width), size, reason)
        return dataclasses.replace(image, height=size[0], width=size[1])

    def add_record(self, record: ImageRecord) -> ImageRecord:
        """Adds a picture of which all is known; its id is its own alone."""
        self._records[record.image_id] = record
        self._instances[record.image_id] = []
        self._paths.add(record.path)
        return record

    def add_object(
        self,
        image: ImageRecord,
        label: Any,
        *,
        parts: Sequence[Part] = (),
        box: Box | None = None,
        is_crowd: bool = False,
        attributes: Mapping[str, float] | None = None,
        item: str = "",
    ) -> Instance:
        """Adds an object, whose outline is the union of its parts.

        Args:
            image: its picture.
            label: name of its class.
            parts: polygons `[x, y, x, y, ...]` in continuous pixels of the picture as the
                annotations see it, which `height` and `width` of `image` tell, and cropped masks
                as `Bitmap`, which may reach out of it.
            box: `(x1, y1, x2, y2)` in the same pixels; by default the outline's.
            is_crowd: whether it is a region of many.
            attributes: numbers that heads of one's own learn.
            item: its name, for parts that are left out.

        Raises:
            ItemError: if it has neither outline nor box, or nothing of them lies in the picture.
        """
        category = self.category(label)
        size = image.height, image.width
        frame = (0.0, 0.0, float(image.width), float(image.height))
        # By their very type: of a class with abstract methods, `isinstance` takes longer than all
        # that follows.
        masks = [part for part in parts if type(part) is Bitmap]
        polygons = [part for part in parts if type(part) is not Bitmap] if masks else parts
        usable, bounds, bad = check_polygons(polygons, box or frame, "box" if box else "picture")
        cut = [mask.crop(frame) for mask in masks]
        inner = [mask for mask in cut if type(mask) is Bitmap]
        if bad and not usable and not inner:
            raise bad[0][1]
        if masks and not inner and not usable:
            raise ItemError("mask is empty")
        if box is None:
            box = bounds_of([*bounds, *(mask.bounds() for mask in inner)])
        if not all(map(math.isfinite, box)):
            raise ItemError("box is not four finite numbers", f" ({shown(list(box))})")
        x1, y1, x2, y2 = map(float, box)
        if x2 <= x1 or y2 <= y1:
            raise ItemError("box has no area")
        box = clip_box(x1, y1, x2, y2, image)
        outline = made_outline(usable, inner, size)
        instance = Instance(
            category, box, outline, is_crowd, None, self._next_annotation, None, attributes or {}
        )
        self._next_annotation += 1
        self.add_instance(image, instance)
        for number, problem in bad:
            self.problems.add(f"{item}, part {number}", problem)
        return instance

    def add_instance(self, image: ImageRecord, instance: Instance) -> None:
        """Adds an object of which all is known."""
        self._instances[image.image_id].append(instance)

    def require_pictures(self) -> None:
        """`ValueError` if no picture can be used so far."""
        if not self._records:
            raise ValueError(f"No picture of the data set can be used. {self.problems.summary()}")

    def claim_id(self, key: int) -> None:
        """Notes the id that a file gives an object; `ItemError` where it stands twice."""
        if key in self._annotation_ids:
            raise ItemError("its annotation id occurs twice")
        self._annotation_ids.add(key)

    def build(self, name: str) -> DetectionData:
        """The data set.

        Raises:
            ValueError: if no picture can be used, or there is no class.
        """
        self.require_pictures()
        names = list(self._classes)
        if not self._is_declared:
            names.sort()
        if not names:
            raise ValueError(
                f"{self.file}: expected at least one object, from which the classes follow, or "
                f"class_names. Received: {len(self._records)} pictures without objects. "
                f"{self.problems.summary() if self.problems.lines else ''}".rstrip()
            )
        place = {self._classes[label]: index for index, label in enumerate(names)}
        moved = any(old != new for old, new in place.items())
        records = [
            dataclasses.replace(
                record,
                instances=tuple(
                    dataclasses.replace(o, category=place[o.category]) if moved else o
                    for o in self._instances[key]
                ),
            )
            for key, record in self._records.items()
        ]
        records, decided = self.frames.brought_upright(records, self._keypoint_pairs)
        return DetectionData(
            records=records,
            class_names=names,
            category_ids=self._ids or list(range(1, len(names) + 1)),
            keypoint_names=self._keypoint_names,
            keypoint_flip_pairs=self._keypoint_pairs,
            warnings=self.problems.lines,
            notes=[*self.notes, *decided],
            name=name,
        )


class _Item:
    """See `Collector.item`."""

    def __init__(self, problems: Problems, name: str | Callable[[], str], objects: int) -> None:
        self._problems, self._name, self._objects = problems, name, objects

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if not isinstance(error, ItemError):
            return False
        name = self._name if isinstance(self._name, str) else self._name()
        self._problems.add(name, error)
        if self._objects:
            self._problems.extend(name, f", and with it its {self._objects} annotations")
        return True

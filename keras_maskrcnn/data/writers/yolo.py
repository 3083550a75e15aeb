"""Writes YOLO's text files, of outlines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath

from keras_maskrcnn.data.formats.problems import ItemError, Problems
from keras_maskrcnn.data.records import ImageRecord, Instance
from keras_maskrcnn.data.writers.base import UNDIVIDED, Part, Writer, item_of, register
from keras_maskrcnn.data.writers.regions import leave_out, one_polygon


@register("yolo")
class YoloWriter(Writer):
    """`images/` and `labels/`, with a folder for each split in both, and `data.yaml`.

    A line is `class x y x y ...`, or `class x y width height` of an object known by its box only.
    Every picture has a text file; one without objects has an empty one.
    """

    title = "YOLO text files"

    def picture_folder(self, split: str) -> PurePath:
        return PurePath("images", split)

    def write(self, folder: Path, parts: Sequence[Part], lost: Problems) -> None:
        import yaml

        settings: dict[str, object] = {}
        for part in parts:
            settings[_key(part.split or UNDIVIDED)] = self.picture_folder(part.split).as_posix()
            labels = folder / PurePath("labels", part.split)
            labels.mkdir(parents=True, exist_ok=True)
            for name, record in part.pictures():
                lines = [_line(o, record, item_of(name, o), lost) for o in record.instances]
                text = "".join(f"{line}\n" for line in lines if line)
                (labels / name).with_suffix(".txt").write_text(text, encoding="utf-8")
        settings["names"] = dict(enumerate(parts[0].data.class_names))
        text = yaml.safe_dump(settings, allow_unicode=True, sort_keys=False)
        (folder / "data.yaml").write_text(text, encoding="utf-8")


def _key(split: str) -> str:
    """What `data.yaml` calls a split."""
    return next(key for key in ("train", "val", "test") if split.lower().startswith(key))


def _line(o: Instance, record: ImageRecord, item: str, lost: Problems) -> str:
    """An object; empty where it is left out."""
    if leave_out(o, item, lost, attributes=tuple(o.attributes)):
        return ""
    width, height = record.width, record.height
    polygon = one_polygon(o, record, item, lost)
    if polygon is None:
        x1, y1, x2, y2 = o.box
        if o.outline is not None:
            lost.add(item, ItemError("outline covers nothing of its picture, so its box is kept"))
        values = [(x1 + x2) / 2 / width, (y1 + y2) / 2 / height]
        values += [(x2 - x1) / width, (y2 - y1) / height]
    else:
        values = [v / (height if k % 2 else width) for k, v in enumerate(polygon)]
    return " ".join([str(o.category), *(repr(float(v)) for v in values)])

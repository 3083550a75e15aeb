"""Broken annotation files in COCO's format."""

from __future__ import annotations

import copy
import json
import math
import os
import random
import shutil
import warnings
from pathlib import Path
from typing import Any

from PIL import Image

from fuzz import hostile_json
from fuzz.fuzzer import Fuzzer
from fuzz.mutations import mutate_bytes
from fuzz.verdicts import (
    ACCEPTED,
    LEFT_OUT,
    REFUSED,
    SilentError,
    UnclearError,
    check_refusal,
    check_words,
)

# Height and width; the file name is `FOLDER/name` below the folder of pictures.
PICTURES = {"a.png": (24, 32), "sub/b.png": (40, 30), "c.png": (16, 16)}
_SQUARE = [2, 3, 12, 3, 12, 13, 2, 13]
_RUNS = {"size": [24, 32], "counts": [24 * 4 + 2, 10, 14, 10, 14, 10, 24 * 32 - 24 * 7 + 12]}
# The same as a compressed string: 6 bits a character, differences from the fourth run on.
_COMPRESSED = {"size": [24, 32], "counts": "R3:>000fb0"}
_NAMES = ["nose", "left_eye", "right_eye"]


def _box(number: int, image: int, category: int = 4, **more: Any) -> dict[str, Any]:
    entry = {"id": number, "image_id": image, "category_id": category, "bbox": [2, 3, 10, 10]}
    return entry | {"area": 100.0, "iscrowd": 0, "segmentation": [_SQUARE]} | more


_DOCUMENT: dict[str, Any] = {
    "info": {"year": 2020},
    "images": [
        {"id": number, "file_name": name, "height": height, "width": width}
        for number, (name, (height, width)) in enumerate(PICTURES.items(), 1)
    ],
    "categories": [
        {"id": 4, "name": "cup"},
        {"id": 9, "name": "cat", "keypoints": _NAMES, "skeleton": [[1, 2]]},
    ],
    "annotations": [
        _box(1, 1),
        _box(2, 1, segmentation=[_SQUARE, [3, 4, 9.5, 4, 6, 11.25]]),
        _box(3, 1, segmentation=_RUNS, bbox=[4, 2, 3, 10]),
        _box(4, 1, segmentation=_COMPRESSED, bbox=[4, 2, 3, 10], iscrowd=1),
        _box(5, 2, 9, keypoints=[4, 5, 2, 6, 5, 1, 0, 0, 0], num_keypoints=2),
        _box(6, 2, bbox=[-3, 20, 15.5, 30], segmentation=[[0, 20, 12, 20, 6, 39.5]]),
        _box(7, 2),
        _box(8, 3, bbox=[0, 0, 16, 16], segmentation=[[0, 0, 16, 0, 16, 16, 0, 16]]),
    ],
}

_HOSTILE: dict[str, tuple] = {
    "file_name": (
        *("/dev/zero", "/etc/hostname", "../outside.png", "sub/../../outside.png", "pipe.png"),
        *("zero.png", "link_out.png", "link_in.png", "folder.png", "sub", ".", "..", "", "/"),
        *("large.png", "a.png\0", "\0", "a.png/", "./a.png", "A.PNG", "x" * 300, "sub\\b.png"),
        *("http://localhost/a.png", "file:///etc/hostname", "~/a.png", "missing.png", "sub/b.png"),
    ),
    "iscrowd": ("0", "false", "1", True, False, 2, -1, 0.0, 1.0, 0.5, [], [0], {}, None),
    "area": ("12", None, True, -5, 0, float("nan"), float("inf"), [1], 1e308, "@raw:ten_to_400@"),
    "bbox": (
        *([2, 3, 1e-12, 10], [2, 3, 10, 0], [20, 3, 1e-9, 10], [1e30, 3, 1, 1], [2, 3, 1e30, 1e30]),
        *(["2", "3", "10", "10"], [True, 3, 10, 10], [2, 3, -4, 10], [2, 3, 10], [2, 3, 10, 10, 1]),
        *("2310", {"0": 1, "1": 1, "2": 1, "3": 1}, [float("nan")] * 4, [-1e9, -1e9, 2e9, 2e9]),
    ),
    "segmentation": (
        *([], [[]], [[1, 2, 3, 4]], None, [[1e30, 1e30, -1e30, 1e30, 0, -1e30]], "R3:>000fb0"),
        *([[2, 3, 1e15, 3, 1e15, 13]], [["2", 3, 12, 3, 12, 13]], [[2, 3, 12, 3, 12, None]]),
        *({"size": [24, 32]}, {"counts": [1]}, {"size": [24, 32], "counts": []}, _RUNS),
        *({"size": [24, 32], "counts": [-5, 773]}, {"size": [24, 32], "counts": [0.5, 767.5]}),
        *({"size": [24, 32], "counts": [2**62, 2**62, 2**62, 2**62, 768]}, [_SQUARE * 2000]),
        *({"size": [24.0, 32], "counts": "R3:>000fb0"}, {"size": [24, 32], "counts": "o" * 20}),
        *({"size": [24, 32], "counts": "\u00ff"}, {"size": [24, 32], "counts": "PPPPPPPPPPPP0"}),
        *({"size": [10**9, 10**9], "counts": [10**18]}, [[True, False, 12, 3, 12, 13]]),
    ),
    "keypoints": (
        *([], [1, 2], [4, 5, 3] * 3, [4, 5, 0.5] * 3, ["4", 5, 2] * 3, [1e39, 5, 2] * 3, "nose"),
        *([[4, 5, 2]] * 3, [4, 5, True] * 3, [None] * 9, 9 * [2**70], ["nose"], [["nose"]], {}),
    ),
    "id": (True, "1", 1.0, None, [1], {}, 2**63, -1, 2**70, 0, 4, 9, "@raw:digits@"),
    "image_id": (True, "1", 1.0, None, [1], {}, 2**63, 99, 2, 3),
    "category_id": (True, "4", 4.0, None, [4], {}, 99, 9, 0),
    "height": (0, -1, 24.0, "24", 10**9, 2**63, True, 25),
    "width": (0, -1, 32.0, "32", 10**9, 2**63, True, 31),
    "images": ([], None, {}, [None], [1], [[]]),
    "annotations": ([], None, {}, [None], [1, "a"], [[]]),
    "categories": ([], None, {}, [None], [{"id": 4}], [{"id": 4, "name": None}]),
    "name": (None, 1, [], "", "cat"),
}


class AnnotationFuzzer(Fuzzer):
    """Annotation files beside a folder of pictures."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.pictures = folder / "pictures"
        (self.pictures / "sub").mkdir(parents=True)
        (self.pictures / "folder.png").mkdir()
        for name, (height, width) in PICTURES.items():
            Image.new("RGB", (width, height)).save(self.pictures / name)
        Image.new("RGB", (32, 24)).save(folder / "outside.png")
        os.mkfifo(self.pictures / "pipe.png")
        for name, target in (("zero", "/dev/zero"), ("link_out", "../outside.png")):
            (self.pictures / f"{name}.png").symlink_to(target)
        (self.pictures / "link_in.png").symlink_to("a.png")
        shutil.copy(self.pictures / "a.png", self.pictures / "large.png")
        os.truncate(self.pictures / "large.png", 3 << 30)  # takes no room on the disk

    def make(self, number: int) -> tuple[bytes, str]:
        return make(random.Random(f"annotations {number}"))

    def judge(self, number: int, case: bytes) -> str:
        file = self.folder / f"case{number}.json"
        file.write_bytes(case)
        return self._read(file, case)

    def _read(self, file: Path, content: bytes) -> str:
        from keras_maskrcnn.data import load_coco

        document = _parsed(content)
        try:
            with warnings.catch_warnings(record=True) as given:
                warnings.simplefilter("always")
                data = load_coco(file, self.pictures)
        except Exception as error:
            check_refusal(error, file.name)
            if document is not None and _has_a_sound_frame(document):
                raise UnclearError(f"one item stopped the whole file: {error}") from error
            return REFUSED
        for warning in given:
            if warning.category is not UserWarning:
                raise UnclearError(f"{warning.category.__name__}: {warning.message}")
            check_words(str(warning.message), file.name)
        # One that counts what was left out, and one for each decision.
        if len(given) != bool(data.warnings) + len(data.notes):
            raise SilentError(
                f"{len(data.warnings)} items left out and {len(data.notes)} decisions gave "
                f"{len(given)} warnings"
            )
        if document is None:
            raise SilentError("accepted what is no JSON document")
        _check_counts(data, document)
        for record in data.records:
            self._check_path(record.path)
            for instance in record.instances:
                _check_instance(instance, record, document, data)
        _check_use(data)
        return LEFT_OUT if data.warnings else ACCEPTED

    def _check_path(self, path: str) -> None:
        real = Path(path).resolve()
        if not (real.is_file() and real.is_relative_to(self.pictures.resolve())):
            raise SilentError(f"accepted the picture {path}, which is {real}")


def make(rng: random.Random) -> tuple[bytes, str]:
    """An annotation file and what was done to it."""
    document = copy.deepcopy(_DOCUMENT)
    way = rng.random()
    if way < 0.02:
        return json.dumps(document).encode(), "nothing"
    if way < 0.8:
        steps = [
            hostile_json.mutate_document(rng, document, _HOSTILE)
            for _ in range(rng.choice((1, 1, 1, 2, 3)))
        ]
        return hostile_json.write(document).encode(), "; ".join(steps)
    text = json.dumps(document)
    if way < 0.84:
        encoding = rng.choice(("utf-16", "utf-32", "utf-8-sig", "utf-16-le", "cp500"))
        return text.encode(encoding), encoding
    if way < 0.88:
        deep = rng.choice((50, 900, 5000, 100_000))
        opening, closing = rng.choice((("[", "]"), ('{"a":', "}")))
        nested = opening * deep + "1" + closing * deep
        return text.replace("2020", nested).encode(), f"{deep} levels of {opening}"
    return mutate_bytes(rng, text.encode())


def _parsed(content: bytes) -> Any:
    """The document, or `None` where it is no JSON, too deep, or lacks a part."""
    try:
        document = json.loads(content, parse_int=_whole_number)
    except (ValueError, RecursionError):
        return None
    parts = ("images", "annotations", "categories")
    if not isinstance(document, dict):
        return None
    return document if all(isinstance(document.get(part), list) for part in parts) else None


def _whole_number(digits: str) -> int:
    # Python reads no more than 4,300 digits; which number it is does not matter then.
    return int(digits) if len(digits) < 1000 else 10**999


def _has_a_sound_frame(document: dict[str, Any]) -> bool:
    """Whether no more than single annotations and pictures are broken, and a picture is sound."""
    if document["categories"] != _DOCUMENT["categories"]:
        return False
    entries = [e for e in document["images"] if isinstance(e, dict)]
    ids = [_shown_id(entry.get("id")) for entry in entries]
    sound = any(entry in _DOCUMENT["images"] for entry in entries)
    return sound and len(set(ids)) == len(ids)


def _shown_id(value: Any) -> str:
    # 1.0 is 1 in JSON.
    value = _number(value)
    return repr(int(value) if isinstance(value, float) and value.is_integer() else value)


def _check_counts(data: Any, document: dict[str, Any]) -> None:
    """Annotations that were taken and those reported are all that there are."""
    taken = sum(len(record.instances) for record in data.records)
    reported = sum(
        line.startswith("annotation") and ", part " not in line.partition(":")[0]
        for line in data.warnings
    )
    used = {record.image_id for record in data.records}
    unusable = [
        entry["id"]
        for entry in document["images"]
        if isinstance(entry, dict) and isinstance(entry.get("id"), int) and entry["id"] not in used
    ]
    # Those of a picture that is left out go with it.
    gone = sum(
        isinstance(entry, dict) and entry.get("image_id") in unusable
        for entry in document["annotations"]
    )
    total = len(document["annotations"])
    if not taken + reported <= total <= taken + reported + gone:
        raise SilentError(
            f"{total} annotations: {taken} taken, {reported} reported, {gone} of pictures that "
            f"are left out: {data.warnings[:3]}"
        )
    pictures = sum(line.startswith("image") for line in data.warnings)
    if len(data.records) + pictures < len(document["images"]):
        raise SilentError(f"{len(document['images'])} pictures, {len(data.records)} taken")


def _check_instance(instance: Any, record: Any, document: dict[str, Any], data: Any) -> None:
    """What was taken is what stands in the file."""
    number = instance.annotation_id
    if isinstance(number, bool) or not isinstance(number, int | str):
        raise SilentError(f"accepted annotation id {number!r}")
    # More than one where an id occurs twice, of which one is taken.
    problems = [
        _difference(entry, instance, record, data)
        for entry in document["annotations"]
        if isinstance(entry, dict) and _same(entry.get("id"), number)
    ]
    if all(problems):
        raise SilentError(f"annotation {number!r}: {'; '.join(map(str, problems))}")


def _difference(entry: dict[str, Any], instance: Any, record: Any, data: Any) -> str | None:
    image, category = entry.get("image_id"), entry.get("category_id")
    if not _same(image, record.image_id):
        return f"accepted image id {image!r}"
    if not _same(category, data.category_ids[instance.category]):
        return f"accepted category id {category!r}"
    crowd, area = entry.get("iscrowd") or 0, entry.get("area")
    if isinstance(crowd, str) or crowd not in (0, 1) or instance.is_crowd != bool(crowd):
        return f"iscrowd {crowd!r} became {instance.is_crowd}"
    if isinstance(area, str | bool) or not math.isfinite(instance.area):
        return f"area {area!r} became {instance.area!r}"
    if any(isinstance(value, str | bool) for value in entry["bbox"]):
        return f"accepted the box {entry['bbox']}"
    x, y, w, h = map(float, entry["bbox"])
    expected = (max(x, 0), max(y, 0), min(x + w, record.width), min(y + h, record.height))
    if tuple(instance.box) != expected:
        return f"the box {entry['bbox']} became {instance.box}"
    return None


def _same(value: Any, key: Any) -> bool:
    # 1.0 is 1 in JSON; true is not. VIA writes ids as text.
    return _number(value) == key and not isinstance(value, bool)


def _number(value: Any) -> Any:
    is_text = isinstance(value, str) and value.isascii() and value.isdecimal()
    return int(value) if is_text else value


def _check_use(data: Any) -> None:
    """What was taken can be trained on and scored, or is refused by name."""
    import numpy as np

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            batches = [targets for _, targets in data.batches(2, min_size=24, max_size=32)]
    except Exception as error:
        lines = [line for line in str(error).splitlines() if "ValueError: Image id" in line]
        if not lines:
            raise UnclearError(f"training stops: {type(error).__name__}: {error}") from error
        return
    for targets in batches:
        real = targets["classes"].numpy() >= 0
        x1, y1, x2, y2 = np.moveaxis(targets["boxes"].numpy()[real], -1, 0)
        if not ((x2 > x1) & (y2 > y1) & np.isfinite(x2 - x1) & np.isfinite(y2 - y1)).all():
            raise SilentError("boxes without area reach the training")
        if not np.isfinite(targets.get("keypoints", np.zeros(1))).all():
            raise SilentError("keypoints that are no numbers reach the training")
    if sum(int((t["classes"] >= 0).numpy().sum()) for t in batches) != sum(
        len(record.objects) for record in data.records
    ):
        raise SilentError("objects are lost on the way to the training")
    for record in data.records:
        for instance in record.instances:
            if instance.outline is not None:
                instance.outline.draw_whole(record.height, record.width)


FUZZER = AnnotationFuzzer

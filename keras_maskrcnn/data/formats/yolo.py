"""Reads YOLO's text files: a line for each object, in parts of the picture's sides."""

from __future__ import annotations

import math
import operator
import os
import re
import stat
from pathlib import Path
from typing import Any

from keras_maskrcnn.data.formats.collector import Collector
from keras_maskrcnn.data.formats.picture_tree import (
    listed_files,
    split_name,
    without_caches,
)
from keras_maskrcnn.data.formats.problems import ItemError, shown
from keras_maskrcnn.data.formats.reader import FORMATS, SPLITS, Reader
from keras_maskrcnn.data.formats.source import Source
from keras_maskrcnn.data.formats.yaml_file import read_yaml
from keras_maskrcnn.data.records import ImageRecord
from keras_maskrcnn.images.formats import is_picture_name

_SETTINGS = (".yaml", ".yml")
_LINE = re.compile(r"\d+( +-?[\d.]+(e-?\d+)?){4,}\s*$")
# As far beyond the picture as rounding takes a corner; further out, numbers are pixels.
_SLACK = 0.01
_LONGEST_FILE = 1 << 28
# So many text files are opened to tell the format.
_MOST_EMPTY = 100


@FORMATS.register("yolo")
class Yolo(Reader):
    """`images/` and `labels/` side by side, and `data.yaml` with the classes' `names`.

    A line is `class x y x y ...`: one polygon, in which parts and holes are joined by bridges of
    no width; of five numbers, `class x y width height`: a box alone. A picture without a text
    file, or with an empty one, has no objects. Numbers are parts of the sides of the picture as
    its EXIF orientation turns it.
    """

    title = "YOLO text files"

    def finds(self, source: Source) -> bool:
        if _settings_file(source) is not None:
            return True
        texts = [f for f in source.with_suffix(".txt") if "labels" in f.parent.parts]
        return bool(source.pictures.pictures) and _LINE.match(_first_line(texts)) is not None

    def splits(self, source: Source) -> dict[str, Source]:
        file = _settings_file(source)
        if file is None:
            # `images/train` or `train/images`.
            folders = {p.parent for p in source.pictures.pictures}
            names = {part for f in folders for part in _below(f, source) if part.lower() in SPLITS}
            return {name: source.part(source.path, name) for name in sorted(names)}
        settings = read_yaml(file)
        found = [name for name in ("train", "val", "test") if settings.get(name)]
        return {name: source.part(source.path, name) for name in found}

    def read(self, source: Source, found: Collector) -> None:
        names = _read_names(source)
        found.declare_classes(list(names.values()), list(names))
        start = os.path.join(source.root, "")
        used = set()
        for picture in _pictures(source, found):
            file = _label_file(str(picture))
            used.add(file)
            name = file.removeprefix(start)
            with found.item(name):
                lines = _lines(file, source.root)
                image = found.add_picture(source.pictures.checked(picture), turned=True)
                for number, line in enumerate(lines, 1):
                    item = f"{name}, line {number}"
                    with found.item(item):
                        _read_line(line, image, names, item, found)
        # Folders of labels alone: beside pictures, texts of any kind may lie.
        folders = {os.path.dirname(file) for file in used}
        for text in sorted(set(map(str, source.with_suffix(".txt"))) - used):
            folder = os.path.dirname(text)
            if folder in folders and "labels" in Path(folder).parts and not _is_names(text):
                problem = ItemError("label file is of no picture")
                found.problems.add(text.removeprefix(start), problem)


def _is_names(path: str) -> bool:
    return os.path.basename(path) == "classes.txt"


def _settings_file(source: Source) -> Path | None:
    """The one YAML file that names classes."""
    found = []
    for file in source.samples(*_SETTINGS):
        try:
            if "names" in read_yaml(file):
                found.append(file)
        except ValueError:
            continue
    return found[0] if len(found) == 1 else None


def _first_line(texts: list[Path]) -> str:
    """Of the first file that is not empty: those of pictures without objects may be."""
    for file in texts[:_MOST_EMPTY]:
        try:
            with open(file, "rb") as stream:
                line = stream.readline(1 << 20)
        except OSError:
            continue
        if line.strip():
            return line.decode("utf-8", "replace")
    return ""


def _read_names(source: Source) -> dict[int, str]:
    """Names of the classes by number: of `data.yaml` as list or dict, or of `classes.txt`."""
    file = _settings_file(source)
    if file is None and source.path.suffix.lower() in _SETTINGS:
        file = source.path
        if "names" not in read_yaml(file):
            raise ValueError(f"{file}: expected names of the classes. Received: none")
    if file is None:
        texts = [f for f in listed_files(source.root) if f.name == "classes.txt"]
        if len(texts) != 1:
            raise ValueError(
                f"{source.path}: expected one YAML file with the names of the classes, or one "
                f"classes.txt. Received: {', '.join(map(str, texts)) or 'neither'}"
            )
        lines = texts[0].read_text(encoding="utf-8", errors="replace").splitlines()
        return {k: line.strip() for k, line in enumerate(lines) if line.strip()}
    names = read_yaml(file)["names"]
    if isinstance(names, list):
        names = dict(enumerate(names))
    is_good = isinstance(names, dict) and all(
        type(key) is int and key >= 0 and isinstance(name, str | int) for key, name in names.items()
    )
    if not is_good or not names:
        raise ValueError(f"{file}: expected names as a list or by number. Received: {shown(names)}")
    return {key: str(names[key]) for key in sorted(names)}


def _pictures(source: Source, found: Collector) -> list[Path]:
    """The pictures of the split, or all that lie in a folder `images`."""
    file = _settings_file(source)
    if file is None or source.split is None:
        pictures = source.pictures.pictures
        if source.split is not None:
            pictures = [p for p in pictures if source.split in _below(p.parent, source)]
        return pictures
    settings = read_yaml(file)
    entry = settings.get(source.split)
    result: list[Path] = []
    for place in entry if isinstance(entry, list) else [entry]:
        target = _target(place, settings.get("path"), file, source)
        if target.is_dir():
            start = os.path.join(target, "")
            inside = [p for p in source.pictures.pictures if str(p).startswith(start)]
            # A link to a folder elsewhere below is not followed there.
            listed = [p for p in listed_files(target) if is_picture_name(p)]
            result += inside or without_caches(listed)
            continue
        for line in target.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.strip():
                with found.item(f"{target.name}, picture {shown(line.strip())}"):
                    result.append(Path(found.find_picture(line.strip(), [target.parent])))
    return result


def _target(place: Any, base: Any, file: Path, source: Source) -> Path:
    """The folder or text file that a split means.

    Paths are of the machine on which the data were made; so the longest end of one is taken that
    lies below the data set's folder, and nothing outside it is.
    """
    if not isinstance(place, str) or not isinstance(base, str | None):
        raise ValueError(
            f"{file}: expected a path for the split {source.split!r}. Received: {shown(place)}"
        )
    parts = (*split_name(base or ""), *split_name(place))
    for first in range(len(parts)):
        for root in (file.parent, source.root):
            target = root.joinpath(*parts[first:])
            if target.exists():
                return target
    raise ValueError(
        f"{file}: expected the folder or list of the split {source.split!r} below {source.root}. "
        f"Received: {shown(place)}, which is not there"
    )


def _below(folder: Path, source: Source) -> tuple[str, ...]:
    return folder.relative_to(source.root).parts if folder.is_relative_to(source.root) else ()


def _label_file(picture: str) -> str:
    """The last folder `images` of its path becomes `labels`; else it lies beside."""
    stem = os.path.splitext(picture)[0]
    before, images, after = stem.rpartition(f"{os.sep}images{os.sep}")
    return f"{before}{os.sep}labels{os.sep}{after}.txt" if images else f"{stem}.txt"


def _lines(file: str, root: Path) -> list[str]:
    """Of a text file; none of a file that is missing."""
    try:
        status = os.lstat(file)
    except OSError:
        return []
    if stat.S_ISLNK(status.st_mode):
        if not Path(file).resolve().is_relative_to(root.resolve()):
            raise ItemError("labels lead out of the folder", f" ({file})")
        status = os.stat(file)
    if not stat.S_ISREG(status.st_mode) or status.st_size > _LONGEST_FILE:
        raise ItemError("labels are no regular file, or too large", f" ({file})")
    try:
        with open(file, "rb") as stream:
            return stream.read().decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ItemError("labels cannot be read", f" ({error})") from None


def _read_line(
    line: str, image: ImageRecord, names: dict[int, str], item: str, found: Collector
) -> None:
    words = line.split()
    if not words:
        return
    try:
        key, *values = map(float, words)
    except ValueError:
        raise ItemError("line is not made of numbers", f" ({shown(line)})") from None
    if not math.isfinite(key + sum(values)):
        raise ItemError("line is not made of finite numbers", f" ({shown(line)})")
    if key not in names:
        raise ItemError("unknown class", f" ({shown(words[0])})")
    if len(values) < 4 or len(values) % 2:
        raise ItemError("line is neither a class and a box nor a class and x y x y ...")
    if min(values) < -_SLACK or max(values) > 1 + _SLACK:
        raise ItemError("numbers are not in 0..1", f" ({shown(line)})")
    width, height = image.width, image.height
    label = names[int(key)]
    if len(values) == 4:
        x, y, w, h = values[0] * width, values[1] * height, values[2] * width, values[3] * height
        found.add_object(image, label, box=(x - w / 2, y - h / 2, x + w / 2, y + h / 2))
        return
    scaled = list(map(operator.mul, values, [width, height] * (len(values) // 2)))
    found.add_object(image, label, parts=[scaled], item=item)

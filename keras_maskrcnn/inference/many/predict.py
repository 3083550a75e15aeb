"""`predict_many`: any number of pictures in the memory of a few batches and one part."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from keras_maskrcnn.checks import at_least, fraction, known_names
from keras_maskrcnn.inference.many.listing import list_pictures
from keras_maskrcnn.inference.many.parts import Parts, digest
from keras_maskrcnn.inference.many.reading import Read, Unread, in_batches, read_ahead
from keras_maskrcnn.inference.many.tables import Row
from keras_maskrcnn.inference.predict import predict_batch
from keras_maskrcnn.results import Detections

# Batches that are decoded ahead, among which pictures of like size are brought together.
_BATCHES_AHEAD = 4


@dataclasses.dataclass(frozen=True)
class Summary:
    """What a call of `predict_many` has done.

    Args:
        pictures: that were looked at.
        objects: that were found.
        unread: paths of pictures that could not be read, with the reason.
        there: pictures whose results were there already.
    """

    pictures: int
    objects: int
    unread: Mapping[str, str]
    there: int


def predict_many(
    model: Any,
    source: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    batch_size: int = 8,
    part_size: int = 1000,
    format: str = "jsonl",
    threshold: float = 0.05,
    class_thresholds: Mapping[str, float] | None = None,
    category_ids: Sequence[int] | None = None,
    threads: int | None = None,
    tell: Callable[[int, int], None] = lambda done, count: None,
) -> Summary:
    """Finds objects in an archive of pictures, and writes them part by part.

    Pictures are decoded while the model is at work. The memory that it takes does not grow with
    their number (but for their paths). Each part is written as a whole: the same call goes on
    where one ended or was killed, and each picture is in one part, once. A picture that cannot be
    read has a line that says why, and ends nothing.

    A part is a table of objects, `objects-00000.jsonl`, in COCO's results format with `file_name`
    and `category_name` added, and a table of pictures, `pictures-00000.jsonl`, with `id`,
    `file_name`, `height`, `width`, the number of `objects`, and `error`. Picture ids are their
    places in the list, from 1 on. Boxes and masks are in pixels of the upright picture.

    Args:
        model: a `MaskRCNN`.
        source: a folder (with those within), a text file of paths, a pattern, or paths; see
            `list_pictures`. In buckets too, such as `gs://`, where TensorFlow reads them.
        output: a folder, which is created.
        batch_size: pictures that the model sees side by side.
        part_size: pictures a part.
        format: `"jsonl"`, or `"parquet"` (`pip install "maskrcnn-keras[parquet]"`).
        threshold: lowest score that is written.
        class_thresholds: of classes by name, where it is another.
        category_ids: the data set's category id of each class; by default from 1 on.
        threads: that decode; by default one for each core.
        tell: called after each batch with the number of pictures that are done, and of all.

    Raises:
        ValueError: when there is no picture, an argument is out of range, or `output` has parts of
            another model, list or setting.
        ImportError: for Parquet, without `pyarrow`.

    Example:

    >>> predict_many(model, "archive/", "found/", format="parquet")
    """
    at_least(1, batch_size=batch_size, part_size=part_size)
    fraction(threshold=threshold)
    names = list(model.class_names)
    ids = list(range(1, len(names) + 1) if category_ids is None else category_ids)
    if len(ids) != len(names):
        raise ValueError(
            f"category_ids must hold an id for each of {len(names)} classes. "
            f"Received: category_ids={ids}"
        )
    limits = dict(class_thresholds or {})
    known_names("class_thresholds", limits, names)
    paths = list_pictures(source)
    job = {
        "pictures": len(paths),
        "list": digest(*paths),
        "model": digest(*(weight.numpy().tobytes() for weight in model.weights)),
        "classes": names,
        "category_ids": ids,
        "part_size": part_size,
        "threshold": threshold,
        "class_thresholds": limits,
    }
    parts = Parts(output, format, job)
    objects = there = 0
    unread: dict[str, str] = {}

    def tables(number: int, path: str, found: Detections) -> tuple[Row, list[Row]]:
        """A picture's row, and those of its objects."""
        found = found.above(limits, threshold)
        height, width = found.image_size
        rows = zip(found.to_coco(number, ids), found.names, strict=True)
        return (
            _picture(number, path, height=height, width=width, objects=len(found)),
            [{**row, "file_name": path, "category_name": str(name)} for row, name in rows],
        )

    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        for number, start in enumerate(range(0, len(paths), part_size)):
            own = list(enumerate(paths[start : start + part_size], start + 1))
            if parts.is_done(number):
                there += len(own)
            else:
                told = functools.partial(_tell_from, start, len(paths), tell)
                pictures, found, failed = _look(model, own, batch_size, pool, tables, told)
                parts.write(number, pictures, found)
                objects += len(found)
                unread |= failed
            tell(start + len(own), len(paths))
    return Summary(len(paths) - there, objects, unread, there)


def _tell_from(start: int, count: int, tell: Callable[[int, int], None], done: int) -> None:
    tell(start + done, count)


def _look(
    model: Any,
    numbered: Sequence[tuple[int, str]],
    batch_size: int,
    pool: ThreadPoolExecutor,
    tables: Callable[[int, str, Detections], tuple[Row, list[Row]]],
    tell: Callable[[int], None],
) -> tuple[list[Row], list[Row], dict[str, str]]:
    """Rows of pictures and of objects, in the pictures' order, and what could not be read."""
    window = _BATCHES_AHEAD * batch_size
    failed: list[Unread] = []
    made: list[Future[tuple[Row, list[Row]]]] = []
    pictures = _readable(read_ahead(numbered, model.pixels, pool, window), failed)
    for batch in in_batches(pictures, model.input_size, batch_size, window):
        results = predict_batch(model, [one.picture for one in batch])
        for one, found in zip(batch, results, strict=True):
            # Masks are encoded while the model is at work.
            made.append(pool.submit(tables, one.number, one.path, found))
        tell(len(made) + len(failed))
    rows: list[tuple[Row, list[Row]]] = [future.result() for future in made]
    rows += [(_picture(one.number, one.path, error=one.error), []) for one in failed]
    rows.sort(key=lambda row: row[0]["id"])
    return (
        [picture for picture, _ in rows],
        [one for _, objects in rows for one in objects],
        {one.path: one.error for one in failed},
    )


def _readable(pictures: Iterable[Read | Unread], failed: list[Unread]) -> Iterator[Read]:
    """Those that could be read; the others are gathered."""
    for one in pictures:
        if isinstance(one, Unread):
            failed.append(one)
        else:
            yield one


def _picture(number: int, path: str, **known: Any) -> Row:
    row = {"id": number, "file_name": path, "height": None, "width": None}
    return {**row, "objects": 0, "error": None, **known}

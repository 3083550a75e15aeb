"""What is done with a part of an archive, in whatever process: read, looked at, written."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from keras_maskrcnn.inference.many.parts import Parts
from keras_maskrcnn.inference.many.reading import Read, Unread, in_batches, read_ahead
from keras_maskrcnn.inference.many.tables import Row
from keras_maskrcnn.inference.predict import predict_batch
from keras_maskrcnn.results import Detections

# Batches that are decoded ahead, among which pictures of like size are brought together.
_BATCHES_AHEAD = 4
# Batches that are looked at side by side: a step of the model leaves cores idle now and then, and
# all of them while pictures are resized for it and its outputs unpacked.
_BATCHES_AT_ONCE = 2


class Part(NamedTuple):
    """Pictures whose results are written together.

    Args:
        number: of its files.
        first: id of its first picture.
        paths: of its pictures.
    """

    number: int
    first: int
    paths: Sequence[str]


class Report(NamedTuple):
    """What was done with a part.

    Args:
        number: of its files.
        pictures: that were looked at, or could not be read.
        objects: that were found.
        unread: paths of pictures that could not be read, with the reason.
    """

    number: int
    pictures: int
    objects: int
    unread: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Work:
    """How every part of a job is done.

    Args:
        parts: where the tables are written.
        category_ids: of each class.
        batch_size: pictures that the model sees side by side.
        threshold: lowest score that is written.
        class_thresholds: of classes by name, where it is another.
    """

    parts: Parts
    category_ids: Sequence[int]
    batch_size: int
    threshold: float
    class_thresholds: Mapping[str, float]

    def do(
        self,
        part: Part,
        model: Any,
        pool: ThreadPoolExecutor,
        tell: Callable[[int], None] = lambda done: None,
    ) -> Report:
        """Looks at a part's pictures and writes its tables.

        Args:
            part: to be done.
            model: a `MaskRCNN`.
            pool: where pictures are decoded and masks encoded.
            tell: called after each batch with the number of the part's pictures that are done.
        """
        window = _BATCHES_AHEAD * self.batch_size
        failed: list[Unread] = []
        made: list[Future[tuple[Row, list[Row]]]] = []
        numbered = enumerate(part.paths, part.first)
        pictures = _readable(read_ahead(numbered, model.pixels, pool, window), failed)
        batches = in_batches(pictures, model.input_size, self.batch_size, window)
        for batch, results in _looked_at(batches, model):
            for one, found in zip(batch, results, strict=True):
                # Masks are encoded while the model is at work.
                made.append(pool.submit(self._rows, one.number, one.path, found))
            tell(len(made) + len(failed))
        rows: list[tuple[Row, list[Row]]] = [future.result() for future in made]
        rows += [(_picture(one.number, one.path, error=one.error), []) for one in failed]
        rows.sort(key=lambda row: row[0]["id"])
        objects = [one for _, found in rows for one in found]
        self.parts.write(part.number, [picture for picture, _ in rows], objects)
        unread = {one.path: one.error for one in failed}
        return Report(part.number, len(rows), len(objects), unread)

    def _rows(self, number: int, path: str, found: Detections) -> tuple[Row, list[Row]]:
        """A picture's row, and those of its objects."""
        found = found.above(self.class_thresholds, self.threshold)
        height, width = found.image_size
        rows = zip(found.to_coco(number, self.category_ids), found.names, strict=True)
        return (
            _picture(number, path, height=height, width=width, objects=len(found)),
            [{**row, "file_name": path, "category_name": str(name)} for row, name in rows],
        )


def _looked_at(
    batches: Iterable[list[Read]], model: Any
) -> Iterator[tuple[list[Read], list[Detections]]]:
    """Batches, in their order, with what is found; the first alone, since it traces the model."""
    waiting: deque[tuple[list[Read], Future[list[Detections]]]] = deque()
    with ThreadPoolExecutor(_BATCHES_AT_ONCE) as threads:
        for number, batch in enumerate(batches):
            pictures = [one.picture for one in batch]
            waiting.append((batch, threads.submit(predict_batch, model, pictures)))
            if number == 0 or len(waiting) == _BATCHES_AT_ONCE:
                done, found = waiting.popleft()
                yield done, found.result()
        for done, found in waiting:
            yield done, found.result()


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

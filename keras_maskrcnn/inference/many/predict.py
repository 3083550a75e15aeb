"""`predict_many`: any number of pictures in the memory of a few batches and one part."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from keras_maskrcnn.checks import at_least, fraction, known_names
from keras_maskrcnn.inference.many.listing import list_pictures
from keras_maskrcnn.inference.many.on_ray import do_on_ray, import_ray
from keras_maskrcnn.inference.many.parts import Parts, digest
from keras_maskrcnn.inference.many.work import Part, Report, Work


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
    ray_workers: int | None = None,
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
        batch_size: pictures that the model sees side by side; two batches are in work at once.
        part_size: pictures a part.
        format: `"jsonl"`, or `"parquet"` (`pip install "maskrcnn-keras[parquet]"`).
        threshold: lowest score that is written.
        class_thresholds: of classes by name, where it is another.
        category_ids: the data set's category id of each class; by default from 1 on.
        threads: that decode; by default one for each core, of which workers have equal shares.
        ray_workers: so many workers of Ray Data do parts side by side, each with the model, in the
            place of this process (`pip install "maskrcnn-keras[ray]"`): on the cluster where Ray
            runs already or that `RAY_ADDRESS` names, else on this machine. They must see pictures
            and `output` under the same paths. A part whose worker was lost is done by another. The
            tables are the same, and one may go on where the other ended.
        tell: called after each batch (with `ray_workers`, each part) with the number of pictures
            that are done, and of all.

    Raises:
        ValueError: when there is no picture, an argument is out of range, or `output` has parts of
            another model, list or setting.
        ImportError: for Parquet, without `pyarrow`; for `ray_workers`, without `ray`.
        OSError: when workers of Ray cannot start, or are lost again and again with the same part.

    Example:

    >>> predict_many(model, "archive/", "found/", format="parquet")
    """
    at_least(1, batch_size=batch_size, part_size=part_size)
    fraction(threshold=threshold)
    if ray_workers is not None:
        at_least(1, ray_workers=ray_workers)
        import_ray()
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
    work = Work(Parts(output, format, job), ids, batch_size, threshold, limits)
    starts = enumerate(range(0, len(paths), part_size))
    todo = [
        Part(number, start + 1, paths[start : start + part_size])
        for number, start in starts
        if not work.parts.is_done(number)
    ]
    there = len(paths) - sum(len(part.paths) for part in todo)
    done = there
    objects = 0
    unread: dict[str, str] = {}
    tell(done, len(paths))
    if ray_workers is None:
        # Called while `done` is that of the parts before.
        reports = _do_here(work, todo, model, threads, lambda of: tell(done + of, len(paths)))
    else:
        reports = do_on_ray(work, todo, model, ray_workers, threads)
    for report in reports:
        done += report.pictures
        objects += report.objects
        unread |= report.unread
        tell(done, len(paths))
    return Summary(done - there, objects, unread, there)


def _do_here(
    work: Work,
    todo: Iterable[Part],
    model: Any,
    threads: int | None,
    tell: Callable[[int], None],
) -> Iterator[Report]:
    """Part by part in this process."""
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        for part in todo:
            yield work.do(part, model, pool, tell)

"""Scores results group of pictures by group, in one process or in several.

What is in memory at a time are the annotations and results of one group for each process; of all
others where they stand in their files, and what counting needs of them.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

import numpy as np

from keras_maskrcnn.evaluation.compared import Compared
from keras_maskrcnn.evaluation.counting import count
from keras_maskrcnn.evaluation.flags import Flags, flags_of, joined
from keras_maskrcnn.evaluation.metrics import CocoMetrics, summarize
from keras_maskrcnn.evaluation.result_source import ResultSource, source_of
from keras_maskrcnn.evaluation.truth_file import AnnotationFile

# The most pictures of a group, and the most annotations and results, if one picture has not more.
_PICTURES = 500
_ROWS = 20_000


@dataclass(frozen=True)
class Job:
    """What is compared.

    Args:
        truth, sources: both sides.
        iou_types: all comparisons, of which the sources have results.
        max_detections: best results of a picture and class that count.
    """

    truth: AnnotationFile
    sources: Sequence[ResultSource]
    iou_types: Sequence[str]
    max_detections: int


@dataclass(frozen=True)
class _Group:
    """Pictures by their ids, rows of their annotations, and of their results in each source."""

    image_ids: np.ndarray
    truth: np.ndarray
    found: Sequence[np.ndarray]


def score_in_groups(job: Job, jobs: int) -> CocoMetrics:
    """COCO's numbers.

    Args:
        job: what is compared.
        jobs: processes that match, at least 1.

    Raises:
        ValueError: for what is malformed in the files.
        RuntimeError: when a process ended early.
    """
    groups = list(_groups(job))
    parts: list[dict[str, Flags]]
    if jobs == 1 or len(groups) == 1:
        parts = [_match(job, group) for group in groups]
    else:
        # A process that is forked from one with TensorFlow's threads may wait for ever.
        context = multiprocessing.get_context("spawn")
        workers = min(jobs, len(groups))
        try:
            with ProcessPoolExecutor(workers, context, _start, (job,)) as pool:
                parts = list(pool.map(_match_started, groups))
        except BrokenProcessPool as error:
            raise RuntimeError(
                "A process that scores results ended early; fewer of them take less memory. "
                f"Received: jobs={jobs}"
            ) from error
    truth = job.truth
    scores = {
        name: count(
            joined([part.pop(name) for part in parts]),
            truth.category_ids,
            name,
            job.max_detections,
        )
        for name in job.iou_types
    }
    return summarize(scores, truth.class_names, truth.category_ids)


def _groups(job: Job) -> Iterator[_Group]:
    """All pictures, in the order of their first results: rows of a group stand near each other."""
    image_ids = np.array(sorted(job.truth.sizes), np.int64)
    found_ids = [source.image_ids for source in job.sources]
    sides = [np.searchsorted(image_ids, ids) for ids in (job.truth.image_ids, *found_ids)]
    first = np.full(len(image_ids), np.iinfo(np.int64).max)
    for places in sides[:0:-1]:  # The first source's order counts most.
        seen, rows = np.unique(places, return_index=True)
        first[seen] = rows
    ordered = np.argsort(first, kind="stable")
    turn = np.empty(len(image_ids), np.int64)
    turn[ordered] = np.arange(len(image_ids))
    sorted_rows = [np.argsort(turn[places], kind="stable") for places in sides]
    ends = [
        np.concatenate([[0], np.cumsum(np.bincount(turn[places], minlength=len(image_ids)))])
        for places in sides
    ]
    rows_before = np.sum(ends, axis=0)
    low = 0
    while low < len(image_ids):
        most = int(np.searchsorted(rows_before, rows_before[low] + _ROWS, side="right")) - 1
        high = min(max(most, low + 1), low + _PICTURES, len(image_ids))
        truth, *found = (
            rows[end[low] : end[high]] for rows, end in zip(sorted_rows, ends, strict=True)
        )
        yield _Group(image_ids[ordered[low:high]], truth, found)
        low = high


def _match(job: Job, group: _Group) -> dict[str, Flags]:
    flags = {}
    for name in job.iou_types:
        source = source_of(job.sources, name)
        rows = group.found[list(job.sources).index(source)]
        compared = Compared(
            class_names=job.truth.class_names,
            category_ids=job.truth.category_ids,
            sizes={image_id: job.truth.sizes[image_id] for image_id in group.image_ids.tolist()},
            truth={name: job.truth.annotations(name, group.truth)},
            found={name: source.prepare(name, job.truth, rows)},
            max_detections=job.max_detections,
        )
        flags[name] = flags_of(compared, name)
    return flags


# Of a process that matches.
_jobs: list[Job] = []


def _start(job: Job) -> None:
    _jobs[:] = [job]


def _match_started(group: _Group) -> dict[str, Flags]:
    return _match(_jobs[0], group)

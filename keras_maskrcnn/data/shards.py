"""Data in TFRecord shards: reading it, and a part of it for each worker."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from keras_maskrcnn.checks import at_least
from keras_maskrcnn.data.datasets import load_dataset
from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.shard_files import shard_numbers


def load_shards(
    path: str | os.PathLike[str], split: str | None = None, **options: Any
) -> DetectionData:
    """Reads data that `save_dataset(..., format="tfrecord")` or `maskrcnn convert` wrote.

    Only the index is read: annotations are in memory, and pictures are opened where their batch is
    made. All that other data can do, this can too, and without shuffling its batches are the same,
    number for number. A shuffled pass goes through the shards in random order: those that follow
    each other are opened together until they have some 4000 pictures, which are shuffled. Each
    picture comes exactly once, and equal seeds give equal orders on any machine. Less data than
    that has the very order that it has as files.

    Of a bucket, a shard is brought as a whole when the first of its pictures is needed, into the
    folder that the environment variable `KERAS_MASKRCNN_SHARD_CACHE` names, or a temporary one that
    goes with the process. Where the disk is nearly full, the shards that were not used for longest
    make room.

    Args:
        path: the folder, also in a bucket that the installed TensorFlow reads (`gs://`; `s3://`
            with `tensorflow-io`); or an index on this machine.
        split: which part to read where there are several, such as `"train"`.
        **options: of `load_dataset`: `class_names`, `on_error`, `channels`, `value_range`,
            `display`.

    Returns:
        The pictures, in the order in which they were written.

    Raises:
        ValueError: as `load_dataset`; if the index is missing or damaged, or a shard is missing or
            of another size than it was written with. A record that is damaged is told, by shard and
            record, where its picture is read.

    Example:
        save_dataset(data, "photos_shards", "tfrecord", shards=16)
        train = load_shards("photos_shards")
    """
    return load_dataset(path, "tfrecord", split=split, **{"verbose": False, **options})


def worker_part(data: DetectionData, worker: int, workers: int) -> DetectionData:
    """The pictures of every `workers`-th shard, so that no other worker opens the same files.

    Where the number of shards is a multiple of the workers', the parts differ by one picture at
    most.

    Args:
        data: of `load_shards`.
        worker: number of this one, from 0.
        workers: how many there are.

    Raises:
        ValueError: if the data lies in no shards, or in fewer than there are workers, or the number
            is none of a worker.

    Example:
        def batches(context):
            part = worker_part(data, context.input_pipeline_id, context.num_input_pipelines)
            return part.batches(2, shuffle=True, seed=0, drop_remainder=True)

        strategy.distribute_datasets_from_function(batches)
    """
    at_least(1, workers=workers)
    if not 0 <= worker < workers:
        raise ValueError(f"Expected worker to be in 0..{workers - 1}. Received: worker={worker}")
    numbers = shard_numbers(data.records)
    if numbers is None:
        raise ValueError(
            f"Expected data in shards, of load_shards. Received: {data.name!r}, of which pictures "
            "are files of their own"
        )
    count = int(numbers.max(initial=-1)) + 1
    if count < workers:
        raise ValueError(
            f"Expected at least one shard for each of {workers} workers. Received: {count} shards "
            f"of {data.name!r}"
        )
    return data[np.flatnonzero(numbers % workers == worker)]

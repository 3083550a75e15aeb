"""`maskrcnn train` on several machines: who takes part, by the environment's `TF_CONFIG`.

That is how every program of `tf.distribute` is told of its workers, and what cluster managers set
(Kubeflow, Vertex AI, Ray Train): an option beside it could only contradict it.
"""

from __future__ import annotations

import dataclasses
import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

    from keras_maskrcnn.training import TrainingOptions
    from keras_maskrcnn.training.workers import Workers

_VARIABLE = "TF_CONFIG"
# Kinds of tasks that train, the one that writes files first.
_JOBS = ("chief", "worker")


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The processes that run the same command.

    Args:
        addresses: `host:port` of each, the first one's first.
        index: which of them this is.
    """

    addresses: tuple[str, ...]
    index: int

    @property
    def is_first(self) -> bool:
        """Whether this one writes files."""
        return self.index == 0

    def __str__(self) -> str:
        return f"worker {self.index + 1} of {len(self.addresses)} ({', '.join(self.addresses)})"

    def check(self, options: TrainingOptions, find_learning_rate: bool) -> None:
        """Refuses what several workers cannot do, before they wait for each other.

        Raises:
            ValueError: which names the option.
        """
        count = len(self.addresses)
        if options.batch_size % count:
            raise ValueError(
                "Expected a --batch-size, the pictures of all workers, of equal shares. "
                f"Received: --batch-size {options.batch_size} for {count} workers"
            )
        refused = {
            "--minutes": options.minutes is not None,
            "--find-learning-rate": find_learning_rate,
        }
        for option, is_given in refused.items():
            if is_given:
                raise ValueError(
                    f"Expected {option} without the workers of {_VARIABLE}. "
                    f"Received: {option} with {count} workers"
                )


def read_cluster() -> Cluster | None:
    """The workers by `TF_CONFIG`; `None` where it is not set, or names this process alone.

    Raises:
        ValueError: for what it cannot be.
    """
    text = os.environ.get(_VARIABLE, "").strip()
    if not text:
        return None
    try:
        content = json.loads(text)
        jobs = content.get("cluster", {})
        task = content.get("task", {})
        others = sorted({*jobs, task.get("type", _JOBS[-1])} - {*_JOBS})
        addresses = [str(place) for job in _JOBS for place in jobs.get(job, [])]
        kind, index = task.get("type"), int(task.get("index", 0))
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"Expected {_VARIABLE} as JSON with cluster and task. Received: {text} ({error})"
        ) from error
    if others:
        raise ValueError(
            f"Expected tasks of the kinds {' and '.join(_JOBS)} in {_VARIABLE}. "
            f"Received: {', '.join(others)}"
        )
    if len(addresses) < 2:
        return None
    if kind not in jobs or not 0 <= index < len(jobs[kind]):
        raise ValueError(
            f"Expected a task of the cluster in {_VARIABLE}. "
            f"Received: task={json.dumps(task)} with cluster={json.dumps(jobs)}"
        )
    before = len(jobs.get(_JOBS[0], [])) if kind == _JOBS[1] else 0
    return Cluster(tuple(addresses), before + index)


def start_workers(cluster: Cluster | None) -> Workers:
    """Waits for all workers. Comes before any tensor is made."""
    import tensorflow as tf

    from keras_maskrcnn.training.workers import Workers

    if cluster is None:
        return Workers(tf.distribute.get_strategy())
    return Workers(tf.distribute.MultiWorkerMirroredStrategy())


def spread(model: keras.Model | None, workers: Workers) -> keras.Model:
    """The first worker's model as the model of all.

    Args:
        model: what the first worker has built or loaded; `None` on others.
        workers: all of them.

    Returns:
        a model that they train together; without others the model itself.
    """
    if model is not None and not workers.are_several:
        return model
    import keras

    from keras_maskrcnn import MaskRCNN

    config: dict[str, Any] = workers.from_chief(None if model is None else model.get_config())
    with workers.strategy.scope():
        common = MaskRCNN.from_config(config)
    if model is not None:
        for variable, built in zip(common.variables, model.variables, strict=True):
            variable.assign(keras.ops.convert_to_numpy(built))
    workers.share_variables(common.variables)
    return common


def lost_worker(error: Exception) -> str | None:
    """What happened when another worker ended in the middle of a run; `None` for other errors."""
    import tensorflow as tf

    ends = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)
    if not isinstance(error, ends):
        return None
    return "another worker has ended. To go on, start the same command again on all workers"

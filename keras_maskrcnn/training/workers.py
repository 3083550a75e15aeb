"""The processes that train one model together, and what they tell each other.

Under `tf.distribute.MultiWorkerMirroredStrategy` every process runs the same program and takes part
in every step. What only one of them can do, files and evaluation, is the first one's, the chief's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from keras_maskrcnn.data.digest import data_digest

if TYPE_CHECKING:
    from keras_maskrcnn.data.detection_data import DetectionData


# Whole numbers below are exact as float32, and so is how often a length holds it.
_WHOLE = 1 << 20


class Workers:
    """All processes of a strategy; without several of them this process alone, which is the chief.

    What a method tells others, it tells when all have called it: all must, in the same order.

    Args:
        strategy: under which a model was made.

    Attributes:
        count: of processes.
        is_chief: whether this one writes files.
    """

    def __init__(self, strategy: tf.distribute.Strategy) -> None:
        self.strategy = strategy
        self.count, self.is_chief = 1, True
        if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            resolver = strategy.cluster_resolver
            tasks = {job: resolver.cluster_spec().num_tasks(job) for job in _jobs(resolver)}
            self.count = max(1, sum(tasks.values()))
            first = "chief" if "chief" in tasks else "worker"
            self.is_chief = self.count == 1 or (resolver.task_type, resolver.task_id) == (first, 0)

    @property
    def are_several(self) -> bool:
        """Whether there are other processes."""
        return self.count > 1

    def require_equal_shares(self, batch_size: int) -> None:
        """Makes sure that every replica gets the same number of pictures.

        Raises:
            ValueError: when the batch cannot be divided so.
        """
        replicas = self.strategy.num_replicas_in_sync
        if self.are_several and batch_size % replicas:
            raise ValueError(
                f"Expected a batch_size of equal shares for {replicas} replicas on {self.count} "
                f"workers. Received: batch_size={batch_size}"
            )

    def batches(self, data: DetectionData, batch_size: int, **settings: Any) -> tuple[Any, int]:
        """Batches that `fit` takes, of which every process reads its own pictures only.

        Args:
            data: the pictures, the same in every process.
            batch_size: pictures of all processes per step.
            **settings: of `DetectionData.batches`, with `seed`.

        Returns:
            the data set, and how many batches a pass has; with several processes without a last
            batch that is not full, and the passes come without an end.

        Raises:
            ValueError: when the pictures do not fill a batch of several processes, or they are not
                the same in all, such as those of `worker_part`.
        """
        if not self.are_several:
            batches = data.batches(batch_size, **settings)
            return batches, len(batches)
        told = {"pictures": len(data), "digest of pictures and objects": data_digest(data)}
        self.require_same(told)
        settings |= {"drop_remainder": True}
        steps = len(data.batches(batch_size, **settings))
        if not steps:
            raise ValueError(
                f"Expected pictures for a whole batch on {self.count} workers. "
                f"Received: {len(data)} pictures of {data.name!r} and batch_size={batch_size}"
            )
        size = batch_size // self.strategy.num_replicas_in_sync

        def share(context: tf.distribute.InputContext) -> tf.data.Dataset:
            part = (context.input_pipeline_id, context.num_input_pipelines)
            batches = data.batches(batch_size, share=part, **settings)
            # Each replica of this process takes the next part of its share. With an end, all
            # would have to tell each other before every step whether there is another.
            return batches.rebatch(size).repeat()

        return self.strategy.distribute_datasets_from_function(share), steps

    def from_chief(self, value: Any) -> Any:
        """What the chief gives, on all processes; what others give does not matter.

        Args:
            value: what JSON can hold.
        """
        if not self.are_several:
            return value
        content = json.dumps(value).encode() if self.is_chief else b""
        # Numbers that every kind of collective adds exactly, where the others give zeros.
        high, low = self._sum(np.array(divmod(len(content), _WHOLE))).tolist()
        codes = np.frombuffer(content or bytes(int(high) * _WHOLE + int(low)), np.uint8)
        return json.loads(self._sum(codes).astype(np.uint8).tobytes())

    def require_same(self, values: Mapping[str, Any]) -> None:
        """Makes sure that all processes have the same values.

        Args:
            values: what JSON can hold, by names for the message.

        Raises:
            ValueError: on all processes, when one has another value than the chief.
        """
        expected = self.from_chief(values)
        own = json.loads(json.dumps(values))
        unlike = [name for name in own if own[name] != expected.get(name)]
        if not self._sum(np.array([len(unlike)])).any():
            return
        received = "another value on another worker, which tells it"
        if unlike:
            name = unlike[0]
            received = f"{name}={own[name]}, on the first worker {name}={expected.get(name)}"
        raise ValueError(f"Expected the same on all workers. Received: {received}")

    def share_variables(self, variables: Sequence[keras.Variable]) -> None:
        """Sets variables of all processes to what the chief's are, bit for bit."""
        if not self.are_several:
            return
        floats = [v for v in variables if keras.backend.standardize_dtype(v.dtype) == "float32"]
        others = [v for v in variables if keras.backend.standardize_dtype(v.dtype) != "float32"]
        told = self.from_chief([keras.ops.convert_to_numpy(v).tolist() for v in others])
        for variable, value in zip(others, told, strict=True):
            if not self.is_chief:
                variable.assign(np.asarray(value, variable.dtype))
        for variable in floats:
            own = keras.ops.convert_to_numpy(variable)
            value = self._sum(own if self.is_chief else np.zeros_like(own))
            if not self.is_chief:  # The sum has no negative zeros, which the chief keeps.
                variable.assign(value)

    def _sum(self, value: np.ndarray) -> np.ndarray:
        """The float32 sum over all processes."""
        local = self.strategy.num_replicas_in_sync // self.count

        def of_replica(context: tf.distribute.experimental.ValueContext) -> tf.Tensor:
            is_first = context.replica_id_in_sync_group % local == 0
            return tf.constant(value if is_first else np.zeros_like(value), tf.float32)

        values = self.strategy.experimental_distribute_values_from_function(of_replica)
        return self.strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None).numpy()


def _jobs(resolver: tf.distribute.cluster_resolver.ClusterResolver) -> list[str]:
    """Kinds of tasks that train."""
    return [job for job in resolver.cluster_spec().jobs if job in ("chief", "worker")]

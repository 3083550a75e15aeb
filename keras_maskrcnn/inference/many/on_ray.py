"""An archive's parts, done side by side by workers of Ray Data.

A row of the data set is a part, and a worker (an actor, which holds the model) maps it to a report,
having written its tables. So everything that is right of one process stays right of many: a part is
there as a whole or not at all, it is the same whoever did it, and done twice it replaces itself.
When a worker is lost, Ray starts another and gives it the part again, for ever; how often is too
often is counted here. Had pictures been the rows,
their results would come back in some other order and in blocks of some other sizes, and to make
the parts of them again would be a program of its own.
"""

from __future__ import annotations

import logging
import math
import os
import pickle
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from keras_maskrcnn.data.remote_files import is_remote
from keras_maskrcnn.inference.many.work import Part, Report, Work
from keras_maskrcnn.optional import needed_for

# How often a part is begun: what it holds may be what ends its workers, such as a picture too large
# for their memory.
_ATTEMPTS = 4


def import_ray() -> Any:
    """The package `ray`, with its `ray.data`.

    Raises:
        ImportError: where it is not installed.
    """
    with needed_for("A job on Ray", "maskrcnn-keras[ray]"):
        import ray
        import ray.data
    return ray


def do_on_ray(
    work: Work, todo: Sequence[Part], model: Any, workers: int, threads: int | None
) -> Iterator[Report]:
    """Reports of parts, as they are done.

    Args:
        work: what is done with each.
        todo: parts that are not there.
        model: a `MaskRCNN`, of which each worker has a copy.
        workers: how many, at most: no more than there are parts.
        threads: of each, that decode; by default its share of its machine.

    Raises:
        OSError: when a part has ended its workers again and again, or workers cannot start.
        ValueError, OSError: of a worker, as this process would raise it.
    """
    ray = import_ray()
    if not todo:
        return
    workers = min(workers, len(todo))
    is_ours = not ray.is_initialized()
    if is_ours:
        _start(ray, workers)
    try:
        # Names that keep both alive.
        shared = ray.put(model)
        attempts = _count_attempts(ray)
        for row in _mapped(ray, work, todo, shared, attempts, workers, threads).iter_rows():
            report = pickle.loads(row["report"])
            if isinstance(report, Exception):
                raise report
            yield report
    except ray.exceptions.RayActorError as error:
        raise OSError(f"Workers of Ray cannot start: {error}") from error
    finally:
        if is_ours:
            ray.shutdown()


def _start(ray: Any, workers: int) -> None:
    """Joins the cluster that `RAY_ADDRESS` names, or makes one on this machine.

    Ray would also join what another program has made here, and end with it.
    """
    quiet = {"log_to_driver": False, "logging_level": logging.WARNING}
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    if os.environ.get("RAY_ADDRESS"):
        ray.init(**quiet)
    else:
        # Ray counts what processors are said to be there: all workers shall find a place.
        cores = max(workers, os.cpu_count() or 1)
        ray.init(address="local", num_cpus=cores, include_dashboard=False, **quiet)


def _mapped(
    ray: Any,
    work: Work,
    todo: Sequence[Part],
    model: Any,
    attempts: Any,
    workers: int,
    threads: int | None,
) -> Any:
    machines = sum(node["Alive"] for node in ray.nodes())
    # What is not absolute is meant from where this process is.
    is_absolute = all(
        is_remote(path) or os.path.isabs(path) for part in todo for path in part.paths
    )
    parts = ray.data.from_items(
        # As bytes: a table would make its own types of numbers and lists, and take no path that is
        # not UTF-8.
        [{"part": pickle.dumps(part)} for part in todo],
        override_num_blocks=len(todo),  # What a worker is given, and given again, is a block.
    )
    parts.context.enable_progress_bars = False
    return parts.map(
        Worker,
        fn_constructor_args=(
            work,
            model,
            attempts,
            (workers, machines),
            threads,
            None if is_absolute else os.getcwd(),
        ),
        compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
        num_cpus=1,
        num_gpus=gpus_each(ray.cluster_resources().get("GPU", 0), workers),
    )


def _count_attempts(ray: Any) -> Any:
    """An actor that counts for all workers how often parts are begun."""

    # A class of this module would bring it, and with it TensorFlow, into the actor's process.
    class Attempts:
        def __init__(self) -> None:
            self.begun: dict[int, int] = {}

        def begin(self, number: int) -> int:
            self.begun[number] = self.begun.get(number, 0) + 1
            return self.begun[number]

    return ray.remote(num_cpus=0)(Attempts).remote()


class Worker:
    """Does parts, one after the other.

    Args:
        work: what is done with each.
        model: where Ray keeps it.
        attempts: the actor that counts them.
        shares: workers and machines among which they are spread.
        threads: that decode.
        folder: from which paths are meant, unless all are absolute.
    """

    def __init__(
        self,
        work: Work,
        model: Any,
        attempts: Any,
        shares: tuple[int, int],
        threads: int | None,
        folder: str | None,
    ) -> None:
        import tensorflow as tf

        own = threads_each(os.cpu_count() or 1, *shares)
        # Before the model is there. Each worker would take all cores and all of a GPU's memory.
        tf.config.threading.set_intra_op_parallelism_threads(own)
        for device in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(device, True)
        if folder is not None:
            os.chdir(folder)
        self._work = work
        self._get = import_ray().get
        self._model = self._get(model)
        self._attempts = attempts
        self._pool = ThreadPoolExecutor(threads or own)

    def __call__(self, row: dict[str, bytes]) -> dict[str, bytes]:
        """From a row with a `Part` to one with its `Report`, or with the error that it ended in.

        As Ray raises errors they are of no class that says what was wrong.
        """
        part: Part = pickle.loads(row["part"])
        try:
            return {"report": pickle.dumps(self._do(part))}
        except (OSError, ValueError) as error:
            return {"report": pickle.dumps(error)}

    def _do(self, part: Part) -> Report:
        if self._get(self._attempts.begin.remote(part.number)) > _ATTEMPTS:
            raise OSError(
                f"Expected a part that does not end its worker. Received: part {part.number} "
                f"({part.paths[0]} to {part.paths[-1]}), in which {_ATTEMPTS} were lost"
            )
        self._work.parts.check_there()
        return self._work.do(part, self._model, self._pool)


def threads_each(cores: int, workers: int, machines: int) -> int:
    """The share of a machine's cores that a worker has, at least one."""
    return max(1, min(cores, cores * machines // workers))


def gpus_each(gpus: float, workers: int) -> float:
    """What a worker asks for: a GPU, or where there are fewer, the part of one that lets all in."""
    return 1 / math.ceil(workers / gpus) if gpus >= 1 else 0

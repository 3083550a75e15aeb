"""Gathers pictures of several requests into one call of the model."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from keras_maskrcnn.serving.model import BrokenPictureError

Outputs = dict[str, np.ndarray]


@dataclasses.dataclass(eq=False)
class _Job:
    """The pictures of one request, which stay together."""

    signature: str
    key: Hashable
    rows: Sequence[Any]
    arrived: float
    answer: asyncio.Future[Outputs]


class Batcher:
    """One worker thread calls the model; what waits meanwhile shares the next calls.

    Pictures share a call when their keys are equal. A request whose picture is broken leaves the
    call, and the others are called again without it.

    Args:
        run: `run(signature, rows)` as `ServedModel.run`.
        max_batch: pictures in a call; a request of more gets a call of its own.
        max_wait: seconds that an idle model waits for more than one request.
    """

    def __init__(
        self, run: Callable[[str, Sequence[Any]], Outputs], *, max_batch: int, max_wait: float
    ) -> None:
        self._run = run
        self._max_batch = max_batch
        self._max_wait = max_wait
        self._waiting: list[_Job] = []
        self._arrival = asyncio.Event()
        self._executor = ThreadPoolExecutor(1, "model")

    async def submit(self, signature: str, key: Hashable, rows: Sequence[Any]) -> Outputs:
        """Answers for some pictures; leaves the queue when cancelled.

        Raises:
            BrokenPictureError: with the picture's position among `rows`.
        """
        loop = asyncio.get_running_loop()
        job = _Job(signature, key, rows, loop.time(), loop.create_future())
        self._waiting.append(job)
        self._arrival.set()
        return await job.answer

    async def work(self) -> None:
        """Serves requests until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                jobs = await self._next_jobs()
                results = await loop.run_in_executor(self._executor, self._call, jobs)
                for job, result in results.items():
                    if job.answer.done():  # Its client gave up.
                        continue
                    if isinstance(result, Exception):
                        job.answer.set_exception(result)
                    else:
                        job.answer.set_result(result)
        finally:
            self._executor.shutdown()

    async def _next_jobs(self) -> list[_Job]:
        """Jobs for one call: the oldest, and those that may share it."""
        loop = asyncio.get_running_loop()
        while True:
            self._arrival.clear()
            jobs = self._sharing()
            left = None
            if jobs:
                left = jobs[0].arrived + self._max_wait - loop.time()
                if left <= 0 or sum(len(job.rows) for job in jobs) >= self._max_batch:
                    self._waiting = [job for job in self._waiting if job not in jobs]
                    return jobs
            try:
                await asyncio.wait_for(self._arrival.wait(), left)
            except TimeoutError:
                continue

    def _sharing(self) -> list[_Job]:
        self._waiting = [job for job in self._waiting if not job.answer.done()]
        jobs = self._waiting[:1]
        pictures = sum(len(job.rows) for job in jobs)
        for job in self._waiting[1:]:
            if job.key == jobs[0].key and pictures + len(job.rows) <= self._max_batch:
                jobs.append(job)
                pictures += len(job.rows)
        return jobs

    def _call(self, jobs: list[_Job]) -> dict[_Job, Outputs | Exception]:
        results: dict[_Job, Outputs | Exception] = {}
        while jobs:
            starts = np.cumsum([0, *(len(job.rows) for job in jobs)])
            try:
                outputs = self._run(jobs[0].signature, [row for job in jobs for row in job.rows])
            except BrokenPictureError as error:
                place = int(np.searchsorted(starts, error.position, "right")) - 1
                results[jobs[place]] = BrokenPictureError(error.position - int(starts[place]))
                jobs = jobs[:place] + jobs[place + 1 :]
            except Exception as error:
                if len(jobs) == 1:
                    return results | {jobs[0]: error}
                # Whoever it was, the others are not to suffer for it.
                for job in jobs:
                    results |= self._call([job])
                return results
            else:
                for job, start, end in zip(jobs, starts[:-1], starts[1:], strict=True):
                    results[job] = {name: value[start:end] for name, value in outputs.items()}
                return results
        return results

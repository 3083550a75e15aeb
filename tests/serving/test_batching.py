"""Who shares a call of the model, with a model of numbers."""

import asyncio
import contextlib
import time

import numpy as np
import pytest

from keras_maskrcnn.serving.batching import Batcher
from keras_maskrcnn.serving.model import BrokenPictureError

BROKEN, POISON = -1, -2


class Doubler:
    """Doubles numbers; keeps its calls."""

    def __init__(self, seconds=0.0):
        self.calls = []
        self.seconds = seconds

    def __call__(self, signature, rows):
        self.calls.append((signature, list(rows)))
        time.sleep(self.seconds)
        if BROKEN in rows:
            raise BrokenPictureError(list(rows).index(BROKEN))
        if POISON in rows:
            raise RuntimeError("out of memory")
        return {"double": 2 * np.array(rows)}


def run(model, *requests, max_batch=4, max_wait=0.05):
    """Sends `(key, rows)` at the same time; gives what each got."""

    async def main():
        batcher = Batcher(model, max_batch=max_batch, max_wait=max_wait)
        work = asyncio.create_task(batcher.work())
        answers = await asyncio.gather(
            *(batcher.submit("encoded", key, rows) for key, rows in requests),
            return_exceptions=True,
        )
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
        return [a if isinstance(a, Exception) else a["double"].tolist() for a in answers]

    return asyncio.run(main())


def test_one_call_for_several_requests():
    model = Doubler()
    assert run(model, ("a", [1]), ("a", [2, 3]), ("a", [4])) == [[2], [4, 6], [8]]
    assert model.calls == [("encoded", [1, 2, 3, 4])]


def test_unlike_keys_do_not_mix_and_the_oldest_is_first():
    model = Doubler()
    assert run(model, ("a", [1]), ("b", [2]), ("a", [3])) == [[2], [4], [6]]
    assert [rows for _, rows in model.calls] == [[1, 3], [2]]


def test_a_request_stays_whole():
    model = Doubler()
    requests = [("a", [1, 2, 3]), ("a", [4, 5]), ("a", [6]), ("a", [1, 2, 3, 4, 5])]
    assert run(model, *requests) == [[2 * row for row in rows] for _, rows in requests]
    assert [rows for _, rows in model.calls] == [[1, 2, 3, 6], [4, 5], [1, 2, 3, 4, 5]]


def test_a_full_call_does_not_wait():
    # A wait would take a year.
    assert run(Doubler(), ("a", [1]), ("a", [2]), max_batch=2, max_wait=3e7) == [[2], [4]]


def test_a_broken_picture_concerns_its_own_request_only():
    model = Doubler()
    requests = [("a", [1]), ("a", [2, BROKEN]), ("a", [3]), ("a", [BROKEN]), ("a", [4])]
    first, second, third, fourth, fifth = run(model, *requests, max_batch=8)
    assert (first, third, fifth) == ([2], [6], [8])
    assert (second.position, fourth.position) == (1, 0)
    assert [rows for _, rows in model.calls][-1] == [1, 3, 4]


def test_an_error_concerns_its_own_request_only():
    model = Doubler()
    first, second, third = run(model, ("a", [1]), ("a", [POISON]), ("a", [2]))
    assert (first, third) == ([2], [4])
    assert isinstance(second, RuntimeError)
    assert [rows for _, rows in model.calls] == [[1, POISON, 2], [1], [POISON], [2]]


def test_the_queue_forgets_who_gave_up_and_works_on():
    model = Doubler(seconds=0.2)

    async def main():
        batcher = Batcher(model, max_batch=1, max_wait=0)
        work = asyncio.create_task(batcher.work())
        running = asyncio.create_task(batcher.submit("encoded", "a", [1]))
        await asyncio.sleep(0.05)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(batcher.submit("encoded", "a", [2]), 0.05)
        running.cancel()  # While the model works for it.
        assert (await batcher.submit("encoded", "a", [3]))["double"].tolist() == [6]
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work

    asyncio.run(main())
    assert [rows for _, rows in model.calls] == [[1], [3]]

"""Python's search for garbage in circles, and when it is of no use."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Reading makes millions of lists and no circles, and each search for circles walks them all:
    without it, 100,000 annotations take a quarter less time. Within another one it changes nothing.

    What was read would be walked at once afterwards, too, as all that is new; freezing and
    unfreezing makes it old, and walks nothing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            if not gc.get_freeze_count():
                gc.freeze()
                gc.unfreeze()
            gc.enable()

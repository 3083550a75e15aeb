"""One run in one folder."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

logger = logging.getLogger("keras_maskrcnn")


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Keeps other processes from locking the same file.

    The file holds the owner's process id and host, for people. What counts is the lock that the
    kernel keeps for the open file: it goes with its process, however that ends, so that a dead
    owner's file stops nobody, nor does another process that was given its id.

    Args:
        file: the lock file; it is made, and removed in the end.

    Raises:
        ValueError: when another process holds the lock; the message names it.
    """
    descriptor = _open_locked(file)
    try:
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        # Removed while it is still held: nobody else's file can lie there.
        file.unlink(missing_ok=True)
        os.close(descriptor)


def _open_locked(file: Path) -> int:
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise ValueError(
                "Expected a folder that no other run writes to. "
                f"Received: {file.parent}, in use by {owner or 'another process'}"
            ) from error
        except OSError as error:
            logger.warning("No lock on %s (%s): nothing keeps a second run out", file, error)
            return descriptor
        # An owner that ended between the two calls has taken the file away: then another may
        # have made a new one.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(file)):
                return descriptor
        os.close(descriptor)

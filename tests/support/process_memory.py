"""What Linux says of a process' memory, and how a process gives it back."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path

_M_MMAP_THRESHOLD = -3  # of <malloc.h>


def status_bytes(field: str, process: int | str = "self") -> int:
    """A size of a process: `VmRSS` (resident now) or `VmHWM` (the most that ever was).

    Not `ru_maxrss`: a child starts with its parent's.

    Args:
        field: of `/proc/PID/status`.
        process: its id.

    Returns:
        Bytes; 0 where there is no such process any more, or no `/proc`.
    """
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    # A process that has ended, but was not waited for, has no sizes.
    _, found, rest = status.partition(f"{field}:")
    return int(rest.split()[0]) * 1024 if found else 0


def spare_memory() -> None:
    """Lets what is freed go back to the system, rather than stay for later. Changes no number.

    glibc keeps blocks of a size once some of it were freed; from a limit that is set it takes each
    block from the system and returns it. oneDNN's kernels have a pool of their own, which never
    shrinks: whoever calls this sets `TF_ONEDNN_USE_SYSTEM_ALLOCATOR` before TensorFlow is imported.
    """
    _call_libc("mallopt", _M_MMAP_THRESHOLD, 1 << 20)


def return_memory() -> None:
    """Gives back what is free now."""
    gc.collect()
    _call_libc("malloc_trim", 0)


def _call_libc(name: str, *arguments: int) -> None:
    # Only glibc has these.
    function = getattr(ctypes.CDLL(None), name, None)
    if function is not None:
        function(*arguments)

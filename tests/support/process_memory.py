"""What Linux says of a process' memory, and how a process gives it back."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path

# Of <malloc.h>.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4


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


def keep_memory() -> None:
    """Lets what is freed stay in the process for later, until `return_memory`. Changes no number.

    Else glibc returns every large tensor to the system once it is freed, and the next comes as
    pages that must be cleared: 40 % of the time of a tiny model's training step. oneDNN's kernels
    have a pool of their own, which never shrinks: whoever calls this sets
    `TF_ONEDNN_USE_SYSTEM_ALLOCATOR` before TensorFlow is imported.
    """
    _call_libc("mallopt", _M_MMAP_MAX, 0)
    _call_libc("mallopt", _M_TRIM_THRESHOLD, 2**31 - 1)


def spare_memory() -> None:
    """The opposite, for whole models of full size: each block is returned once it is freed."""
    _call_libc("mallopt", _M_MMAP_THRESHOLD, 1 << 20)


def return_memory() -> None:
    """Gives back to the system what is free now."""
    gc.collect()
    _call_libc("malloc_trim", 0)


def _call_libc(name: str, *arguments: int) -> None:
    # Only glibc has these.
    function = getattr(ctypes.CDLL(None), name, None)
    if function is not None:
        function(*arguments)

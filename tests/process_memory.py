"""What Linux says of a process' memory."""

from __future__ import annotations

from pathlib import Path


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

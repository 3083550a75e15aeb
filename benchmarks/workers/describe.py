"""What a table of figures must say about where it was measured."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
from pathlib import Path

_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def describe_machine() -> str:
    """Processor, its vector extensions, versions, load and date."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    lines = dict(line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in lines.items()}
    flags = fields.get("flags", "").split()
    has = ", ".join(f"{name} {'yes' if name in flags else 'no'}" for name in _FLAGS)
    versions = ", ".join(f"{p} {importlib.metadata.version(p)}" for p in ("tensorflow", "keras"))
    return (
        f"{fields.get('model name', 'unknown CPU')}, {len(os.sched_getaffinity(0))} cores ({has}); "
        f"{versions}; load average {os.getloadavg()[0]:.1f}; {datetime.date.today()}"
    )


def status_megabytes(field: str, pid: int | str = "self") -> float:
    """A size of a process, such as `VmRSS` (resident) or `VmHWM` (its peak), from Linux' /proc."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"expected {field} in /proc/{pid}/status")

"""What a table of figures must say about where it was measured."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import re
from pathlib import Path

_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def describe_machine(device: str = "cpu") -> str:
    """Processor, its vector extensions, versions, load and date.

    Args:
        device: `"gpu"` names the GPUs that TensorFlow sees, and its CUDA, too.
    """
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    lines = dict(line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in lines.items()}
    flags = fields.get("flags", "").split()
    has = ", ".join(f"{name} {'yes' if name in flags else 'no'}" for name in _FLAGS)
    accelerators = _gpus() if device == "gpu" else ""
    return (
        f"{fields.get('model name', 'unknown CPU')}, {len(os.sched_getaffinity(0))} cores ({has}); "
        f"{accelerators}{versions('tensorflow', 'keras')}; "
        f"load average {os.getloadavg()[0]:.1f}; {datetime.date.today()}"
    )


def versions(*packages: str) -> str:
    """Names and versions; a package that was not installed by pip may not tell its own."""
    found = []
    for package in packages:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{package} of unknown version")
    return ", ".join(found)


def _gpus() -> str:
    """Names, compute capabilities and CUDA, followed by a semicolon."""
    import tensorflow as tf

    details = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
    names = ", ".join(
        f"{one.get('device_name', 'unknown GPU')} "
        f"(sm_{''.join(map(str, one.get('compute_capability', ('?',))))})"
        for one in details
    )
    build = tf.sysconfig.get_build_info()
    return (
        f"{names or 'no GPU'}, CUDA {build.get('cuda_version', '?')}, "
        f"cuDNN {build.get('cudnn_version', '?')}; "
    )


def status_megabytes(field: str, pid: int | str = "self") -> float:
    """A size of a process, such as `VmRSS` (resident) or `VmHWM` (its peak), from Linux' /proc."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"expected {field} in /proc/{pid}/status")


def family_megabytes() -> float:
    """Memory of this process and of all that it started, shared pages counted once."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # The name before may hold spaces and brackets.
            after = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2]
        except OSError:  # It has ended.
            continue
        parents[int(folder.name)] = int(after.split()[1])
    family = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    kilobytes = 0
    for pid in family:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
        except OSError:
            continue
        kilobytes += sum(int(n) for n in re.findall(r"^Pss: +(\d+) kB", text, re.MULTILINE))
    return kilobytes / 1024

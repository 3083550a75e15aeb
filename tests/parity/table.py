"""Prints how far every number is from torchvision's and detectron2's recordings.

python tests/parity/table.py            # all golden files: ten minutes on two cores
python tests/parity/table.py nms losses # some
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TF_ONEDNN_USE_SYSTEM_ALLOCATOR"] = "1"  # see `spare_memory`
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from process_memory import spare_memory, status_bytes

from parity.cases import GOLDEN_FILES, checks_of
from parity.golden_files import FOLDER
from parity.record import HEADER, Check


def main(names: list[str]) -> int:
    """Prints the table; returns 1 when a check fails."""
    unknown = set(names) - set(GOLDEN_FILES)
    if unknown or not FOLDER.is_dir():
        print(f"golden files are {', '.join(GOLDEN_FILES)} in {FOLDER}. Received: {names}")
        return 2
    spare_memory()
    print(HEADER)
    checks = list(_printed(names or list(GOLDEN_FILES)))
    failed = [check for check in checks if not check.holds]
    files = len({check.file for check in checks})
    print(f"{len(checks)} checks of {files} golden files, {len(failed)} fail")
    print(f"peak memory {status_bytes('VmHWM') / 1e6:.0f} MB")
    return 1 if failed else 0


def _printed(names: list[str]) -> Iterator[Check]:
    for name in names:
        for check in checks_of(name):
            print(check, flush=True)
            yield check


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

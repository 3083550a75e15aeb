"""Whether the emulated test finds faults: plants one at a time into a copy of the CUDA kernels.

    python custom_ops/test/planted.py            # all, some minutes
    python custom_ops/test/planted.py barrier    # those with this in their names

Prints what found each; the exit status is 1 when one was not found. A fault whose text is not in
the sources any more is an error: it must be planted anew.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).resolve().parents[1]
CHECKS = ("address", "thread")
TIMEOUT = 600  # seconds


class Fault(NamedTuple):
    """A text of a file, which stands there once, and what it becomes."""

    name: str
    file: str
    text: str
    becomes: str


ALIGN, POOL, DEVICE = "roi_align_cuda.cu", "roi_pool_cuda.cu", "device.cuh"
FAULTS = (
    Fault("no barrier after the votes", ALIGN,
          "votes[warp] = vote;\n      __syncthreads();", "votes[warp] = vote;"),
    Fault("no barrier before the next votes", ALIGN,
          "__syncthreads();  // the last votes, and the last list, have been read", ""),
    Fault("no barrier before the RoIs are read", ALIGN,
          "near[place] = found;\n    }\n    __syncthreads();", "near[place] = found;\n    }"),
    Fault("list of RoIs overflows", ALIGN,
          "near[2 * 32 * kWarps]", "near[32 * kWarps]"),
    Fault("RoIPool: no barrier before the next round", POOL,
          "__syncthreads();  // the last round's bits have been read", ""),
    Fault("RoIPool: no barrier after the votes", POOL,
          "kept[threadIdx.x / 32] = votes;\n    __syncthreads();",
          "kept[threadIdx.x / 32] = votes;"),
    Fault("all lanes write the votes", ALIGN, "if (lane == 0) votes[warp]", "votes[warp]"),
    Fault("tile one cell too wide", DEVICE,
          "min(tile.first_cell + kTileCells,", "min(tile.first_cell + kTileCells + 1,"),
    Fault("wrong lane in a shuffle", ALIGN,
          "weight, column * kOwnCells + cell)", "weight, column * kOwnCells + cell + 1)"),
    Fault("lanes without a channel read on", ALIGN, "(has_channel ? channel : 0)", "channel"),
    Fault("bins read ahead of the last column", ALIGN,
          "if (ahead_column < end_column) {", "if (true) {"),
    Fault("a column's bins added to the next", ALIGN, "joined[q][k] = 0.f;", ";"),
    Fault("RoIPool: > for >=", POOL, "tile.row >= first &&", "tile.row > first &&"),
    Fault("RoIs that end in the last cell are not near", ALIGN, "<= end + 1 &&", "<= end &&"),
    Fault("last round of RoIs skipped", ALIGN,
          "candidate < p.rois && p.level_indices",
          "candidate < (p.rois > 256 ? p.rois / 256 * 256 : p.rois) && p.level_indices"),
    Fault("only the first 32 rows of bins", ALIGN,
          "first_i < p.out_height; first_i += 32", "first_i < 1; first_i += 32"),
    Fault("only the first columns of bins", ALIGN,
          "first_j < p.out_width; first_j += kColumns", "first_j < 1; first_j += kColumns"),
    Fault("RoIPool: not a number is a maximum", POOL,
          "if (!(value > maximum)) continue;", "if (value <= maximum) continue;"),
    Fault("infinity times a weight of 0", ALIGN,
          "if (part != 0.f) add_scaled(part, joined,", "add_scaled(part, joined,"),
    Fault("more threads than the launch bound", ALIGN,
          "32 * kWarps, stream, p, upstream", "64 * kWarps, stream, p, upstream"),
    Fault("last cell of a tile unwritten", ALIGN,
          "if (own + cell < tile.end_cell)", "if (own + cell < tile.end_cell - 1)"),
    Fault("RoIPool: shared sums not zeroed", POOL,
          "sums[cell][threadIdx.x] = 0.f;", ";"),
    Fault("packets side by side in a lane", ALIGN,
          "load<T, size>(bin + q * stride)", "load<T, size>(bin + q * size)"),
    Fault("packets where the maps are not aligned", DEVICE,
          "reinterpret_cast<uintptr_t>(maps[i]) % 16 == 0", "maps[i] != nullptr"),
    Fault("packets where the bins are not aligned", DEVICE,
          "reinterpret_cast<uintptr_t>(pooled) % 16 == 0", "pooled != nullptr"),
    Fault("offset of 32 bits", ALIGN,
          "static_cast<int64_t>(y.low) * level.width * p.channels + c",
          "y.low * level.width * p.channels + c"),
    Fault("level out of range by one", ALIGN, "l < p.levels && image", "l <= p.levels && image"),
)  # fmt: skip


def build_and_run(folder: Path, checks: str) -> str:
    """What the test said that found something; empty when all checks passed."""
    target = f"build/{checks}/emulated"
    (folder / "test" / "build" / checks).mkdir(parents=True, exist_ok=True)
    make = ["make", "-s", "-j2", f"BUILD=build/{checks}", f"CHECKS={checks}", target]
    built = subprocess.run(make, cwd=folder / "test", capture_output=True, text=True)
    if built.returncode != 0:
        sys.exit(f"does not compile:\n{built.stderr}")
    done = subprocess.run(
        [f"./{target}", "float"],
        cwd=folder / "test",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=TIMEOUT,
        env={**os.environ, "TSAN_OPTIONS": "halt_on_error=1"},
    )
    if done.returncode == 0:
        return ""
    words = ("FAILED", "runtime error:", "ERROR: AddressSanitizer", "WARNING: ThreadSanitizer")
    for line in done.stdout.splitlines():
        for word in words:
            if word in line:
                return line[line.index(word) :].removeprefix("FAILED ")
    return f"exit status {done.returncode}"


def with_fault(fault: Fault, folder: Path) -> str:
    """The source file as it is with the fault."""
    source = (folder / "roi_align" / fault.file).read_text()
    if source.count(fault.text) != 1:
        sys.exit(f"{fault.file} has not once what is to be replaced: {fault.text!r}")
    return source.replace(fault.text, fault.becomes)


def find(fault: Fault, sound: Path, folder: Path) -> str:
    """What finds the fault, or an empty text."""
    # With its objects and their times: only what the fault touches is built anew.
    shutil.copytree(sound, folder)
    (folder / "roi_align" / fault.file).write_text(with_fault(fault, folder))
    for checks in CHECKS:
        if said := build_and_run(folder, checks):
            return f"{checks}: {said}"
    return ""


def main(words: list[str]) -> int:
    """Plants the faults that have one of the words in their names."""
    faults = [f for f in FAULTS if not words or any(word in f.name for word in words)]
    missed = 0
    with tempfile.TemporaryDirectory() as temporary:
        sound = Path(temporary) / "sound"
        for name in ("roi_align", "test"):
            shutil.copytree(FOLDER / name, sound / name)
        for fault in FAULTS:  # before minutes are spent
            with_fault(fault, sound)
        for checks in CHECKS:
            if said := build_and_run(sound, checks):
                sys.exit(f"without a fault, {checks} finds: {said}")
        print("| fault | found by |\n|---|---|", flush=True)
        for fault in faults:
            folder = Path(temporary) / "planted"
            found = find(fault, sound, folder)
            shutil.rmtree(folder)
            missed += not found
            print(f"| {fault.name} | {found or 'NOTHING'} |", flush=True)
    print(f"{len(faults) - missed} of {len(faults)} found")
    return 1 if missed or not faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

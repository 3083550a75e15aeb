"""Everything there is to check on a machine with a GPU, as one command.

    python custom_ops/check_gpu.py

Needs nvcc, PyTorch and a GPU; torchvision and TensorFlow are used where they are installed.
1. Builds the kernels alone and holds CUDA's against the CPU's (forward 1e-5, gradient 1e-4
   relative) and against torchvision's; the same bits on every run.
2. Runs those comparisons under compute-sanitizer (memcheck, racecheck).
3. Times them against torchvision's op and the time to move the bytes at the measured bandwidth.
4. With TensorFlow: builds the op, runs its tests on the GPU, and a training step of a whole model.

`--device cpu` runs the comparisons with the CPU's kernels, to try the script itself.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

FOLDER = Path(__file__).resolve().parent
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
ALIGN, ALIGN_GRADIENT, POOL, POOL_GRADIENT = range(4)


class Level(ctypes.Structure):
    """problem.h's Level."""

    _fields_ = (
        ("height", ctypes.c_int),
        ("width", ctypes.c_int),
        ("scale", ctypes.c_float),
    )


class Problem(ctypes.Structure):
    """problem.h's Problem."""

    _fields_ = (
        ("batch", ctypes.c_int),
        ("channels", ctypes.c_int),
        ("levels", ctypes.c_int),
        ("level", Level * 8),
        ("rois", ctypes.c_int),
        ("boxes", ctypes.c_void_p),
        ("batch_indices", ctypes.c_void_p),
        ("level_indices", ctypes.c_void_p),
        ("out_height", ctypes.c_int),
        ("out_width", ctypes.c_int),
        ("sampling_ratio", ctypes.c_int),
        ("aligned", ctypes.c_bool),
    )


def build_kernels(folder: Path, device: str) -> ctypes.CDLL:
    """The kernels of a device behind their C interface."""
    library = folder / f"kernels_{device}.so"
    kernels = [str(FOLDER / "roi_align" / f"{name}_{device}") for name in ("roi_align", "roi_pool")]
    interface = str(FOLDER / "test" / "c_interface.cc")
    if device == "cuda":
        major, minor = torch.cuda.get_device_capability()
        code = f"-gencode=arch=compute_{major}{minor},code=sm_{major}{minor}"
        command = ["nvcc", "-shared", "-cudart", "static", code, "-O3", "-std=c++17", "-fmad=false"]
        command += ["-lineinfo", "-Xcompiler", "-fPIC", "-DMASKRCNN_WITH_CUDA", "-x", "cu"]
        command += [f"{kernel}.cu" for kernel in kernels]
    else:
        command = ["g++", "-shared", "-fPIC", "-O3", "-std=c++17", "-Wno-psabi"]
        command += [f"{kernel}.cc" for kernel in kernels]
    subprocess.run([*command, interface, "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


class Case:
    """RoIs on a pyramid, and what kernels need of them."""

    def __init__(self, rois, bins, sampling, aligned, dtype, *, batch=2, channels=256, size=320):
        generator = torch.Generator().manual_seed(0)
        self.shapes = [(batch, size // s, size // s, channels) for s in (4, 8, 16, 32)]
        self.features = [torch.randn(s, generator=generator).to(dtype) for s in self.shapes]
        corner = torch.rand((rois, 2), generator=generator) * (size + 40) - 40
        # Sides spread over the logarithm, as proposals' are.
        sides = 8 * (size / 10) ** torch.rand((rois, 2), generator=generator)
        self.boxes = torch.cat([corner, corner + sides], 1)
        if rois > 20 and sampling > 0:
            self.boxes[3], self.boxes[7] = torch.tensor([60.0, 50, 20, 10]), torch.zeros(4)
        self.images = torch.randint(0, batch, (rois,), generator=generator, dtype=torch.int32)
        area = (self.boxes[:, 2:] - self.boxes[:, :2]).abs().prod(1).sqrt()
        self.levels = (4 + torch.log2(area / 224 + 1e-6)).floor().clamp(2, 5).int() - 2
        self.upstream = torch.randn((rois, bins, bins, channels), generator=generator).to(dtype)
        self.bins, self.sampling, self.aligned, self.dtype = bins, sampling, aligned, dtype

    def to(self, device: str) -> None:
        """Moves all tensors."""
        self.features = [feature.to(device) for feature in self.features]
        for name in ("boxes", "images", "levels", "upstream"):
            setattr(self, name, getattr(self, name).to(device))

    def run(self, library: ctypes.CDLL, operation: int, cells: torch.Tensor | None = None):
        """Pooled values, or the levels' gradients; for RoIPool the cells are written or read."""
        is_gradient = operation in (ALIGN_GRADIENT, POOL_GRADIENT)
        maps = [torch.empty_like(f) for f in self.features] if is_gradient else self.features
        bins = self.upstream if is_gradient else torch.empty_like(self.upstream)
        batch, _, _, channels = self.shapes[0]
        sizes = enumerate(shape[1:3] for shape in self.shapes)
        levels = (Level * 8)(*(Level(h, w, 0.25 / 2**i) for i, (h, w) in sizes))
        problem = Problem(
            *(batch, channels, len(self.shapes), levels, len(self.boxes)),
            *(self.boxes.data_ptr(), self.images.data_ptr(), self.levels.data_ptr()),
            *(self.bins, self.bins, self.sampling, self.aligned),
        )
        pointers = (ctypes.c_void_p * len(maps))(*(m.data_ptr() for m in maps))
        on_gpu = self.boxes.is_cuda
        error = library.maskrcnn_run(
            ctypes.byref(problem),
            DTYPES.index(self.dtype),
            operation,
            pointers,
            ctypes.c_void_p(bins.data_ptr()),
            ctypes.c_void_p(0 if cells is None else cells.data_ptr()),
            ctypes.c_void_p(torch.cuda.current_stream().cuda_stream if on_gpu else 0),
        )
        if error:
            raise RuntimeError(f"the kernel did not start: cudaError {error}")
        return maps if is_gradient else bins

    def torchvision(self, *, gradient: bool):
        """The same by torchvision's op, channels first, a call per level."""
        from torchvision.ops import roi_align

        pooled = torch.zeros_like(self.upstream)
        maps = [f.permute(0, 3, 1, 2).contiguous() for f in self.features]
        rows = torch.cat([self.images[:, None].to(self.boxes), self.boxes], 1).to(self.dtype)
        gradients = []
        for level, feature in enumerate(maps):
            feature.requires_grad_(gradient)
            where = torch.where(self.levels == level)[0]
            out = roi_align(
                *(feature, rows[where], self.bins, 0.25 / 2**level, self.sampling, self.aligned)
            )
            pooled[where] = out.detach().permute(0, 2, 3, 1)
            if gradient:
                out.backward(self.upstream[where].permute(0, 3, 1, 2))
                gradients.append(feature.grad.permute(0, 2, 3, 1))
        return gradients if gradient else pooled


def expect_close(name: str, ours, theirs, tolerance: float) -> None:
    """Fails where they differ by more than the tolerance, relative to values above 1."""
    pairs = zip(ours, theirs, strict=True) if isinstance(ours, list) else [(ours, theirs)]
    worst = max(
        ((a.float() - b.float()).abs() / b.float().abs().clamp(min=1)).max().item()
        for a, b in pairs
    )
    print(f"  {name}: {worst:.1e}", flush=True)
    if not worst <= tolerance:
        sys.exit(f"FAILED: {name} differs by {worst:.1e}, more than {tolerance:.0e}")


def compare(folder: Path, device: str) -> None:
    """Step 1."""
    ours, cpu = build_kernels(folder, device), build_kernels(folder, "cpu")
    has_torchvision = importlib.util.find_spec("torchvision") is not None
    settings = [
        (bins, sampling, aligned, dtype, channels)
        for bins in (7, 14)
        for sampling, aligned in ((2, True), (2, False), (0, True))
        for dtype in DTYPES
        for channels in (256, 7)
    ]
    for bins, sampling, aligned, dtype, channels in settings:
        print(f"{bins}x{bins}, {sampling=}, {aligned=}, {dtype}, {channels=}")
        case = Case(64, bins, sampling, aligned, dtype, channels=channels)
        cells = torch.empty(case.upstream.shape, dtype=torch.int32)
        expected = [
            case.run(cpu, ALIGN), case.run(cpu, ALIGN_GRADIENT),
            case.run(cpu, POOL, cells), case.run(cpu, POOL_GRADIENT, cells),
        ]  # fmt: skip
        case.to(device)
        cells = cells.to(device)
        # Float32 sums that differ in the last bit may round to neighbours.
        unit = {torch.float32: 0, torch.bfloat16: 2**-7, torch.float16: 2**-10}[dtype]
        names = ("RoIAlign", "RoIAlign's gradient", "RoIPool", "RoIPool's gradient")
        for operation, name in enumerate(names):
            results = [case.run(ours, operation, cells) for _ in range(2)]
            moved = [[m.to(device) for m in e] if isinstance(e, list) else e.to(device)
                     for e in expected]  # fmt: skip
            tolerance = unit + (1e-4 if "gradient" in name else 1e-5)
            expect_close(name, results[0], moved[operation], tolerance)
            expect_close(name + ", again", results[0], results[1], 0)
        if has_torchvision and dtype == torch.float32:
            pooled, gradients = case.run(ours, ALIGN), case.run(ours, ALIGN_GRADIENT)
            expect_close("torchvision", pooled, case.torchvision(gradient=False), 1e-4)
            peer = case.torchvision(gradient=True)
            expect_close("torchvision's gradient", gradients, peer, 1e-4)
    print("kernels agree")


def sanitize() -> None:
    """Step 2: the comparisons again, under compute-sanitizer."""
    tool = shutil.which("compute-sanitizer", path=f"{os.environ['PATH']}:/usr/local/cuda/bin")
    if tool is None:
        print("compute-sanitizer is not installed: the kernels' memory accesses are unchecked")
        return
    for check in ("memcheck", "racecheck"):
        print(f"compute-sanitizer {check}", flush=True)
        command = [tool, "--tool", check, "--error-exitcode", "1"]
        command += [sys.executable, __file__, "--only-compare"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def milliseconds(run) -> float:
    """Median GPU time of a call."""
    times = []
    for _ in range(23):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return statistics.median(times[3:])


def benchmark(folder: Path) -> None:
    """Step 3."""
    library = ctypes.CDLL(str(folder / "kernels_cuda.so"))
    big = torch.empty(2**28, device="cuda")
    other = torch.empty_like(big)
    bandwidth = 2 * 4 * big.numel() / milliseconds(lambda: other.copy_(big))
    print(f"{torch.cuda.get_device_name()}: {bandwidth / 1e6:.0f} GB/s")
    for rois, bins in ((1000, 7), (1000, 14), (512, 7), (512, 14)):
        for dtype in (torch.float32, torch.float16):
            case = Case(rois, bins, 2, True, dtype, batch=1, size=928)  # about 800 x 1088 pixels
            case.to("cuda")
            maps = sum(f.numel() * f.element_size() for f in case.features)
            pooled = case.upstream.numel() * case.upstream.element_size()
            for operation, name in ((ALIGN, "forward"), (ALIGN_GRADIENT, "gradient")):
                ours = milliseconds(lambda o=operation, c=case: c.run(library, o))
                floor = (maps + pooled) / bandwidth
                line = f"{rois} boxes, {bins}x{bins}, {dtype}, {name}: {ours:.3f} ms"
                print(f"{line}, floor {floor:.3f} ({ours / floor:.1f}x)", flush=True)
            if importlib.util.find_spec("torchvision"):
                for gradient in (False, True):
                    peer = milliseconds(lambda g=gradient, c=case: c.torchvision(gradient=g))
                    name = "forward and gradient" if gradient else "forward"
                    print(f"  torchvision, {name}, with its transpositions: {peer:.3f} ms")


def check_tensorflow() -> None:
    """Step 4."""
    if importlib.util.find_spec("tensorflow") is None:
        print("TensorFlow is not installed: its op has not been checked on this GPU")
        return
    root = FOLDER.parent
    environment = {**os.environ, "PYTHONPATH": f"{root}:{os.environ.get('PYTHONPATH', '')}"}
    for command in (
        [sys.executable, "custom_ops/build.py"],
        [sys.executable, "-m", "pytest", "-q", "tests/ops", "-k", "roi"],
        [sys.executable, "custom_ops/test/training_step.py"],
        [sys.executable, "benchmarks/roi_align.py"],
    ):
        subprocess.run(command, cwd=root, env=environment, check=True)


def main() -> None:
    """Runs the steps; the first that fails ends the run with its message."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--only-compare", action="store_true")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("PyTorch sees no GPU here")
    start = time.time()
    with tempfile.TemporaryDirectory() as scratch:
        compare(Path(scratch), options.device)
        if options.device == "cpu" or options.only_compare:
            return
        sanitize()
        benchmark(Path(scratch))
    check_tensorflow()
    print(f"all checks passed in {time.time() - start:.0f} s")


if __name__ == "__main__":
    main()

"""Everything there is to check on a machine with a GPU.

    python custom_ops/check_gpu.py                 # all steps
    python custom_ops/check_gpu.py compare time    # some of them

Each step ends within ten minutes, and says so or fails:

compare     builds the kernels alone and holds CUDA's against the CPU's (forward 1e-5, gradient
            1e-4 relative) and against torchvision's; the same bits on every run
sanitize    runs test/kernels_test.cc on the GPU, and again under compute-sanitizer: memcheck,
            racecheck, synccheck, initcheck
time        times the kernels beside torchvision's and beside the time that the bytes alone take
tensorflow  builds the op, runs its tests on the GPU, and training steps of a whole model

Needs nvcc, PyTorch and a GPU; torchvision and TensorFlow are used where they are installed.
`--beside FOLDER` also times the kernels of another checkout's custom_ops.
`--device cpu` runs `compare` with the CPU's kernels, to try the script itself.
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
from collections.abc import Callable
from pathlib import Path

import torch
from build import find_cuda
from c_interface import Level, Problem

FOLDER = Path(__file__).resolve().parent
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
ALIGN, ALIGN_GRADIENT, POOL, POOL_GRADIENT = range(4)


def gpu_code() -> str:
    """nvcc's option for the GPU that is here."""
    major, minor = torch.cuda.get_device_capability()
    return f"-gencode=arch=compute_{major}{minor},code=sm_{major}{minor}"


def build_kernels(scratch: Path, device: str, folder: Path = FOLDER) -> ctypes.CDLL:
    """The kernels of a device behind their C interface.

    Args:
        scratch: where the library goes.
        device: `"cuda"` or `"cpu"`.
        folder: the custom_ops of the sources.
    """
    library = scratch / f"kernels_{device}_{len(list(scratch.iterdir()))}.so"
    kernels = [str(folder / "roi_align" / f"{name}_{device}") for name in ("roi_align", "roi_pool")]
    interface = str(folder / "test" / "c_interface.cc")
    if device == "cuda":
        cuda = find_cuda()
        if cuda is None:
            sys.exit("no nvcc was found: set CUDA_HOME")
        command = [cuda.nvcc, "-shared", "-cudart", "static", gpu_code(), "-O3", "-std=c++17"]
        command += ["-fmad=false", "-lineinfo", "-Xcompiler", "-fPIC", "-DMASKRCNN_WITH_CUDA"]
        command += ["-x", "cu", *(f"{kernel}.cu" for kernel in kernels)]
    else:
        command = ["g++", "-shared", "-fPIC", "-O3", "-std=c++17", "-Wno-psabi"]
        command += [f"{kernel}.cc" for kernel in kernels]
    subprocess.run([*command, interface, "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


class Case:
    """RoIs on a pyramid, and what kernels need of them.

    Args:
        rois: how many.
        bins: per side.
        sampling, aligned: see `roi_align`.
        dtype: of features and upstream gradients.
        batch, channels: of the features.
        height, width: of a picture in pixels.
        objects: as many places around which the boxes cluster, as proposals do; None: anywhere.
    """

    def __init__(
        self, rois, bins, sampling, aligned, dtype,
        *, batch=2, channels=256, height=320, width=320, objects=None,
    ):  # fmt: skip
        generator = torch.Generator().manual_seed(0)
        self.shapes = [(batch, height // s, width // s, channels) for s in (4, 8, 16, 32)]
        self.features = [torch.randn(s, generator=generator).to(dtype) for s in self.shapes]
        size = torch.tensor([width, height])
        # Sides spread over the logarithm, as proposals' are.
        corner = torch.rand((rois, 2), generator=generator) * (size + 40) - 40
        sides = 8 * (size / 10) ** torch.rand((rois, 2), generator=generator)
        if objects:
            of = torch.randint(0, objects, (rois,), generator=generator)
            sides = sides[of] * (0.8 + 0.4 * torch.rand((rois, 2), generator=generator))
            corner = corner[of] + 0.2 * sides * torch.rand((rois, 2), generator=generator)
        self.boxes = torch.cat([corner, corner + sides], 1)
        if 20 < rois < 500 and sampling > 0:
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

    def prepare(self, library: ctypes.CDLL, operation: int, cells: torch.Tensor | None = None):
        """A function that launches the operation, and what it writes: pooled values, or levels'
        gradients. For RoIPool the cells are written or read.

        Results are filled with not-a-number first: what is not written is found.
        """
        is_gradient = operation in (ALIGN_GRADIENT, POOL_GRADIENT)
        nan = float("nan")
        maps = [torch.full_like(f, nan) for f in self.features] if is_gradient else self.features
        bins = self.upstream if is_gradient else torch.full_like(self.upstream, nan)
        batch, _, _, channels = self.shapes[0]
        sizes = enumerate(shape[1:3] for shape in self.shapes)
        levels = (Level * 8)(*(Level(h, w, 0.25 / 2**i) for i, (h, w) in sizes))
        problem = Problem(
            *(batch, channels, len(self.shapes), levels, len(self.boxes)),
            *(self.boxes.data_ptr(), self.images.data_ptr(), self.levels.data_ptr()),
            *(self.bins, self.bins, self.sampling, self.aligned),
        )
        pointers = (ctypes.c_void_p * len(maps))(*(m.data_ptr() for m in maps))
        stream = torch.cuda.current_stream().cuda_stream if self.boxes.is_cuda else 0
        arguments = (
            ctypes.byref(problem), DTYPES.index(self.dtype), operation, pointers,
            ctypes.c_void_p(bins.data_ptr()),
            ctypes.c_void_p(0 if cells is None else cells.data_ptr()), ctypes.c_void_p(stream),
        )  # fmt: skip

        def launch() -> None:
            if error := library.maskrcnn_run(*arguments):
                raise RuntimeError(f"the kernel did not start: cudaError {error}")

        return launch, maps if is_gradient else bins

    def run(self, library: ctypes.CDLL, operation: int, cells: torch.Tensor | None = None):
        """What an operation gives."""
        launch, result = self.prepare(library, operation, cells)
        launch()
        return result

    def prepare_torchvision(self, *, gradient: bool):
        """The same by torchvision's kernels alone, channels first, a call per level: a function
        that gives the results of each level, and the RoIs of each."""
        import torchvision  # registers the ops

        del torchvision
        roi_align = torch.ops.torchvision
        rows = torch.cat([self.images[:, None].to(self.boxes), self.boxes], 1).to(self.dtype)
        where = [torch.where(self.levels == level)[0] for level in range(len(self.shapes))]
        rows = [rows[rois] for rois in where]
        maps = [f.permute(0, 3, 1, 2).contiguous() for f in self.features]
        upstream = [self.upstream[rois].permute(0, 3, 1, 2).contiguous() for rois in where]
        size = (self.bins, self.bins)

        def forward():
            return [
                roi_align.roi_align(f, r, 0.25 / 2**i, *size, self.sampling, self.aligned)
                for i, (f, r) in enumerate(zip(maps, rows, strict=True))
            ]

        def backward():
            return [
                roi_align._roi_align_backward(
                    u, r, 0.25 / 2**i, *size, *f.shape, self.sampling, self.aligned
                )
                for i, (f, r, u) in enumerate(zip(maps, rows, upstream, strict=True))
            ]

        return backward if gradient else forward, where

    def torchvision(self, *, gradient: bool):
        """What torchvision gives, laid out as ours."""
        run, where = self.prepare_torchvision(gradient=gradient)
        if gradient:
            return [g.permute(0, 2, 3, 1) for g in run()]
        pooled = torch.zeros_like(self.upstream)
        for rois, values in zip(where, run(), strict=True):
            pooled[rois] = values.permute(0, 2, 3, 1)
        return pooled


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


def compare(scratch: Path, device: str) -> None:
    """The first step."""
    ours, cpu = build_kernels(scratch, device), build_kernels(scratch, "cpu")
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
        rois = 300 if bins == 7 else 64  # more than a block of threads
        case = Case(rois, bins, sampling, aligned, dtype, channels=channels)
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


def sanitize(scratch: Path) -> None:
    """test/kernels_test.cc with the kernels on the GPU: alone, then under compute-sanitizer."""
    cuda = find_cuda()
    if cuda is None:
        sys.exit("no nvcc was found: set CUDA_HOME")
    binary = scratch / "kernels_test"
    command = [cuda.nvcc, "-O2", "-std=c++17", "-fmad=false", "-lineinfo", "-cudart", "static"]
    command += [gpu_code(), "-DMASKRCNN_ON_GPU", "-o", str(binary)]
    command += [str(FOLDER / "test" / name) for name in ("kernels_test.cc", "on_gpu.cu")]
    command += [str(path) for path in sorted((FOLDER / "roi_align").glob("roi_*_c*u*"))]
    subprocess.run(command, check=True)
    subprocess.run([str(binary)], check=True)
    tool = shutil.which("compute-sanitizer", path=f"{os.environ['PATH']}:{cuda.root}/bin")
    if tool is None:
        print("compute-sanitizer is not installed: the kernels' memory accesses are unchecked")
        return
    for check in ("memcheck", "racecheck", "synccheck", "initcheck"):
        command = [tool, "--tool", check, "--error-exitcode", "1"]
        command += ["--kernel-name", "kns=maskrcnn", str(binary)]
        done = subprocess.run(command, capture_output=True, text=True)
        report = [line for line in done.stdout.splitlines() if line.startswith("=====")]
        print(f"compute-sanitizer {check}:", *report[:40], sep="\n  ", flush=True)
        if done.returncode:
            sys.exit(f"FAILED: {check}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def milliseconds(run: Callable[[], object], launches: int = 20) -> float:
    """Median GPU time of a call, of several in a row."""
    run()
    times = []
    for _ in range(7):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(launches):
            run()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / launches)
    return statistics.median(times[1:])


def bandwidth() -> float:
    """Bytes that the memory moves per millisecond, read and written, by a large copy."""
    source = torch.empty(2**28, device="cuda").normal_()
    target = torch.empty_like(source)
    return 2 * source.nbytes / milliseconds(lambda: target.copy_(source))


def benchmark(scratch: Path, others: list[Path]) -> None:
    """The third step."""
    folders = [FOLDER, *others]
    libraries = [build_kernels(scratch, "cuda", folder) for folder in folders]
    rate = bandwidth()
    print(f"{torch.cuda.get_device_name()}: {rate / 1e6:.0f} GB/s")
    has_torchvision = importlib.util.find_spec("torchvision") is not None
    columns = ["ours", *(f"beside {folder}" for folder in others), "torchvision", "bytes alone"]
    print("milliseconds:", *columns, "ours / bytes", sep=" | ")
    shapes = (
        (1000, 7, None), (1000, 14, None), (512, 7, None),
        (512, 7, 8), (512, 14, 8), (128, 14, None),
    )  # fmt: skip
    for rois, bins, objects in shapes:
        for dtype in DTYPES:
            case = Case(
                *(rois, bins, 2, True, dtype),
                **dict(batch=1, height=800, width=1088, objects=objects),
            )
            case.to("cuda")
            maps = sum(f.numel() * f.element_size() for f in case.features)
            floor = (maps + case.upstream.numel() * case.upstream.element_size()) / rate
            for operation, name in ((ALIGN, "forward"), (ALIGN_GRADIENT, "gradient")):
                times = [milliseconds(case.prepare(each, operation)[0]) for each in libraries]
                # torchvision has no kernel for bfloat16.
                if has_torchvision and dtype != torch.bfloat16:
                    peer, _ = case.prepare_torchvision(gradient=operation == ALIGN_GRADIENT)
                    times.append(milliseconds(peer))
                else:
                    times.append(float("nan"))
                where = f"around {objects} objects" if objects else "anywhere"
                dtype_name = str(dtype).removeprefix("torch.")
                line = f"{rois} boxes {where}, {bins}x{bins}, {dtype_name}, {name}"
                figures = [f"{t:.3f}" for t in (*times, floor)]
                print(line, *figures, f"{times[0] / floor:.1f}", sep=" | ", flush=True)


def check_tensorflow() -> None:
    """The fourth step."""
    if importlib.util.find_spec("tensorflow") is None:
        print("TensorFlow is not installed: its op has not been checked on this GPU")
        return
    root = FOLDER.parent
    environment = {**os.environ, "PYTHONPATH": f"{root}:{os.environ.get('PYTHONPATH', '')}"}
    for command in (
        [sys.executable, "custom_ops/build.py"],
        [sys.executable, "-m", "pytest", "-q", "tests/ops", "-k", "roi or gpu_forms or nms"],
        [sys.executable, "custom_ops/test/training_step.py"],
        [sys.executable, "benchmarks/roi_align.py"],
    ):
        subprocess.run(command, cwd=root, env=environment, check=True)


STEPS = ("compare", "sanitize", "time", "tensorflow")


def main() -> None:
    """Runs the steps; the first that fails ends the run with its message."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "steps", nargs="*", metavar="STEP", help=f"{', '.join(STEPS)} (default: all)"
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--beside", type=Path, nargs="+", default=[], metavar="FOLDER")
    options = parser.parse_args()
    if unknown := set(options.steps) - set(STEPS):
        parser.error(f"expected steps of {STEPS}. Received: {sorted(unknown)}")
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("PyTorch sees no GPU here")
    steps = options.steps or (STEPS if options.device == "cuda" else STEPS[:1])
    for step in steps:
        start = time.time()
        with tempfile.TemporaryDirectory() as name:
            if step == "compare":
                compare(Path(name), options.device)
            elif step == "sanitize":
                sanitize(Path(name))
            elif step == "time":
                benchmark(Path(name), options.beside)
            else:
                check_tensorflow()
        print(f"{step}: done in {time.time() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()

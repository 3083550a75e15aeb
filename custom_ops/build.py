"""Builds the compiled RoIAlign and RoIPool ops into one shared library.

    python custom_ops/build.py              # into the cache, where the package looks for it
    python custom_ops/build.py --fresh      # even if it is there already
    python custom_ops/build.py --output DIR

`setup.py` calls `build` at install, the package on first use. A library serves every Python but
exactly one TensorFlow, so it lies in a folder named after what it was built for: a library for
another TensorFlow, or from other sources, is not found and never loaded.

TensorFlow is not imported here, only located.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SOURCES = FOLDER / "roi_align"
LIBRARY_NAME = "libmaskrcnn_ops.so"
DISTRIBUTIONS = ("tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tf-nightly", "tf-nightly-cpu")
# Turing, Ampere (also Ada) and Hopper; PTX for what comes later.
GPU_CODE = ("arch=compute_75,code=sm_75", "arch=compute_80,code=sm_80",
            "arch=compute_90,code=sm_90", "arch=compute_90,code=compute_90")  # fmt: skip

# A process of its own loads the library and tries the op.
TRIAL = """
import sys
import tensorflow as tf

pooled = tf.load_op_library(sys.argv[1]).maskrcnn_roi_align(
    features=[tf.reshape(tf.range(25.0), (1, 5, 5, 1))], boxes=[[0.0, 0.0, 4.0, 4.0]],
    batch_indices=[0], levels=[0], scales=[1.0], output_height=2, output_width=2,
    sampling_ratio=2, aligned=False,
)
print("RoIAlign of a 5 x 5 ramp:", pooled.numpy().ravel().tolist())
"""


class BuildError(Exception):
    """The library cannot be built here; the message says why."""


@dataclass(frozen=True)
class TensorFlow:
    """The TensorFlow that the library is for."""

    folder: Path
    version: str


@dataclass(frozen=True)
class Cuda:
    """A CUDA toolkit."""

    nvcc: str
    root: Path
    version: str


def find_tensorflow() -> TensorFlow:
    """TensorFlow as Python would import it.

    Raises:
        BuildError: when there is none, or none whose version and headers are known.
    """
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or spec.origin is None:
        raise BuildError("TensorFlow is not installed in this Python")
    folder = Path(spec.origin).parent
    for name in DISTRIBUTIONS:
        try:
            return TensorFlow(folder, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            continue
    raise BuildError(f"the version of the TensorFlow in {folder} is unknown: it has no metadata")


def find_cuda() -> Cuda | None:
    """The CUDA toolkit of `CUDA_HOME`, the path, /usr/local/cuda or a wheel; None without one.

    KERAS_MASKRCNN_CUDA=0 hides it, for a library with CPU kernels alone.
    """
    return _look_for_cuda()[0]


def why_no_cuda() -> str:
    """Why libraries that are built here have no kernels for a GPU, and what to do."""
    cuda, problem = _look_for_cuda()
    if cuda is None:
        return problem
    again = f"then build with `python {Path(__file__)} --fresh`"
    failure = _failure(cache_folder() / library_key(find_tensorflow(), cuda))
    if not failure.exists():
        return f"{cuda.nvcc} has not built its kernels: {again}, which says why"
    command, *errors = failure.read_text().splitlines()
    return f"its kernels did not compile ({(errors or [command])[0].strip()}): mend that, {again}"


def _look_for_cuda() -> tuple[Cuda | None, str]:
    """A toolkit, or None and why there is none and what to do."""
    if os.environ.get("KERAS_MASKRCNN_CUDA") == "0":
        return None, "KERAS_MASKRCNN_CUDA=0 leaves its kernels out: unset it and start again"
    candidates = [shutil.which("nvcc"), "/usr/local/cuda/bin/nvcc"]
    if home := os.environ.get("CUDA_HOME"):
        candidates.insert(0, f"{home}/bin/nvcc")
    wheels = importlib.util.find_spec("nvidia")
    for folder in wheels.submodule_search_locations or () if wheels else ():
        candidates += [str(path) for path in sorted(Path(folder).glob("*/bin/nvcc"))]
    broken = ""
    for nvcc in candidates:
        if not nvcc or not os.access(nvcc, os.X_OK):
            continue
        try:
            about = _run([nvcc, "--version"], check=False)
            # nvcc may be a script elsewhere: only itself knows its toolkit.
            plan = _run([nvcc, "--dryrun", "-c", "none.cu"], check=False)
        except BuildError as error:
            about, plan = str(error), ""
        version, top = re.search(r"release (\d+\.\d+)", about), re.search(r"TOP=(\S+)", plan)
        if version and top:
            return Cuda(nvcc, Path(top[1]).resolve(), version[1]), ""
        said = (plan if version else about).strip() or "nothing"
        broken = broken or f"{nvcc} does not work (it says: {said.splitlines()[0]})"
    remedy = "install a CUDA toolkit, or set CUDA_HOME, and start again"
    return None, f"its kernels need a compiler, and {broken or 'no nvcc was found'}: {remedy}"


def library_key(tensorflow: TensorFlow, cuda: Cuda | None) -> str:
    """Name of what a library depends on, also the name of its folder."""
    digest = hashlib.sha256()
    for path in [Path(__file__), *sorted(path for path in SOURCES.iterdir() if path.is_file())]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    toolkit = f"cuda{cuda.version}" if cuda else "cpu"
    return f"tf{tensorflow.version}-{toolkit}-{platform.machine()}-{digest.hexdigest()[:12]}"


def cache_folder() -> Path:
    """Where libraries built on first use are kept."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "keras_maskrcnn"


def library_folders() -> tuple[Path, ...]:
    """Where libraries are looked for: beside the sources, where an install puts it; the cache."""
    return FOLDER / "library", cache_folder()


def find_library() -> Path | None:
    """A library built from these sources for the installed TensorFlow, or None.

    One with kernels for this machine's CUDA toolkit is preferred, and one without CUDA taken only
    where that did not build. Without a toolkit any CUDA version will do, and a library without.
    """
    tensorflow, cuda = find_tensorflow(), find_cuda()
    key = library_key(tensorflow, cuda)
    if cuda is None:
        return _find(key.replace("-cpu-", "-cuda*-", 1)) or _find(key)
    if library := _find(key):
        return library
    has_failed = _failure(cache_folder() / key).exists()
    return _find(library_key(tensorflow, None)) if has_failed else None


def find_or_build() -> Path:
    """The library, built into the cache on first use, without CUDA where only that fails.

    `why_no_cuda` tells what failed.

    Raises:
        BuildError: as `build`.
    """
    if library := find_library():
        return library
    try:
        return build()
    except BuildError:
        if find_cuda() is None:
            raise
        return _find(library_key(find_tensorflow(), None)) or build(use_cuda=False)


def _find(pattern: str) -> Path | None:
    """The library in a folder of such a name, the newest CUDA first."""
    for folder in library_folders():
        for path in sorted(folder.glob(f"{pattern}/{LIBRARY_NAME}"), reverse=True):
            return path
    return None


def _failure(target: Path) -> Path:
    """Where the message of a build into this folder is kept when it fails."""
    return target / "failure.txt"


def build(folder: Path | None = None, *, fresh: bool = False, use_cuda: bool = True) -> Path:
    """Builds the library, unless it is there, and returns its path.

    Processes that build the same library wait for each other.

    Args:
        folder: parent of the library's folder. Default: the cache.
        fresh: build even when the library exists.
        use_cuda: build CUDA kernels where a toolkit is found.

    Raises:
        BuildError: without TensorFlow or a compiler, or with the compiler's message.
    """
    if not sys.platform.startswith("linux"):
        raise BuildError(f"the op is built on Linux only, this is {sys.platform}")
    tensorflow = find_tensorflow()
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        raise BuildError("no C++ compiler found: install g++, or set CXX")
    cuda = find_cuda() if use_cuda else None
    target = (folder or cache_folder()) / library_key(tensorflow, cuda)
    library = target / LIBRARY_NAME
    try:
        target.mkdir(parents=True, exist_ok=True)
        with _locked(target):
            if not fresh and library.exists():
                return library
            failure = _failure(target)
            if not fresh and failure.exists():
                raise BuildError(
                    f"{failure.read_text()}\n(an earlier try; `{Path(__file__).name} --fresh` "
                    "makes another)"
                )
            try:
                with tempfile.TemporaryDirectory(dir=target) as scratch:
                    os.replace(_compile(Path(scratch), compiler, tensorflow, cuda), library)
            except BuildError as error:
                failure.write_text(str(error))
                raise
            failure.unlink(missing_ok=True)
    except OSError as error:
        raise BuildError(f"cannot build in {target}: {error}") from error
    return library


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Waits until no other process, or thread, is in here for the same folder."""
    import fcntl  # not on Windows, where the package falls back to stock ops

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _compile(scratch: Path, compiler: str, tensorflow: TensorFlow, cuda: Cuda | None) -> Path:
    """Compiles all sources side by side and links them."""
    common = ["-c", "-fPIC", "-std=c++17", "-DNDEBUG"]
    kernels = [compiler, *common, "-O3", "-Wno-psabi"]
    registration = [
        *[compiler, *common, "-O2", "-isystem", str(tensorflow.folder / "include")],
        *["-D_GLIBCXX_USE_CXX11_ABI=1", "-DEIGEN_MAX_ALIGN_BYTES=64"],
        *(["-DMASKRCNN_WITH_CUDA"] if cuda else []),
    ]
    commands = {
        "op_kernels.cc": registration,
        "ops.cc": registration,
        "roi_align_cpu.cc": kernels,
        "roi_pool_cpu.cc": kernels,
        "gpu_problem.cu": [*kernels, "-x", "c++"],
    }
    link = ["-L" + str(tensorflow.folder), "-l:libtensorflow_framework.so.2"]
    if cuda:
        # Coordinates must round as on the CPU, so no fused multiply-adds.
        device = [cuda.nvcc, "-c", "-O3", "-std=c++17", "-fmad=false", "-Xcompiler", "-fPIC"]
        device += [f"-gencode={code}" for code in GPU_CODE]
        commands |= {"roi_align_cuda.cu": device, "roi_pool_cuda.cu": device}
        commands["gpu_problem.cu"] = device
        # Before TensorFlow's library: its GPU wheel exports stubs of cudart, which its CPU wheel
        # lacks, and the linker takes the first it meets.
        folders = [f"-L{cuda.root / name}" for name in ("lib64", "lib")]
        link = [*folders, "-lcudart_static", "-ldl", "-lrt", "-lpthread", *link]
    with ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0))) as pool:
        objects = [str(scratch / f"{name}.o") for name in commands]
        list(pool.map(_run, ([*command, str(SOURCES / name), "-o", out]
                             for (name, command), out in zip(commands.items(), objects,
                                                             strict=True))))  # fmt: skip
    built = scratch / LIBRARY_NAME
    _run([compiler, "-shared", *objects, "-Wl,--exclude-libs,ALL", *link, "-o", str(built)])
    return built


def _run(command: list[str], *, check: bool = True) -> str:
    """Runs a command and returns all that it printed."""
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
    except OSError as error:
        raise BuildError(f"cannot run {command[0]}: {error}") from error
    if check and done.returncode:
        lines = [line for line in done.stdout.splitlines() if "error" in line] or [done.stdout]
        raise BuildError(f"{' '.join(command)} failed:\n" + "\n".join(lines[:10]))
    return done.stdout


def main() -> None:
    """Builds, then loads the library and tries the op."""
    parser = argparse.ArgumentParser(description="Build the compiled RoIAlign op.")
    parser.add_argument("--output", type=Path, help="folder (default: the cache)")
    parser.add_argument("--fresh", action="store_true", help="build even if it is there")
    parser.add_argument("--no-cuda", action="store_true", help="no CUDA kernels, even with nvcc")
    options = parser.parse_args()
    try:
        library = build(options.output, fresh=options.fresh, use_cuda=not options.no_cuda)
    except BuildError as error:
        sys.exit(f"not built: {error}")

    # TensorFlow's log is of interest only where it fails.
    trial = [sys.executable, "-c", TRIAL, str(library)]
    done = subprocess.run(trial, capture_output=True, text=True, errors="replace")
    if done.returncode:
        sys.exit(f"built, but it does not run:\n{done.stderr}")
    print(f"{library}\n{done.stdout}", end="")


if __name__ == "__main__":
    main()

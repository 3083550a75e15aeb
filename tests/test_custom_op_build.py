"""The builder of the compiled op, and what happens where it cannot build."""

import logging
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import tensorflow as tf

from keras_maskrcnn.ops import compiled, roi_align

FOLDER = Path(__file__).resolve().parents[1] / "custom_ops"


@pytest.fixture
def build(tmp_path, monkeypatch):
    """The builder, with a cache and sources of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copytree(FOLDER / "roi_align", tmp_path / "roi_align")
    shutil.copy(FOLDER / "build.py", tmp_path / "build.py")
    return compiled.load_builder(tmp_path / "build.py")


@pytest.fixture
def fake_compiler(build, monkeypatch):
    """Stands for the compiler: counts its calls, and fails when told to."""

    class FakeCompiler:
        calls = 0
        error: str | None = None

        def __call__(self, scratch, *_):
            self.calls += 1
            time.sleep(0.05)
            if self.error:
                raise build.BuildError(self.error)
            (scratch / "library").write_text("library")
            return scratch / "library"

    fake = FakeCompiler()
    monkeypatch.setattr(build, "_compile", fake)
    monkeypatch.setattr(build, "find_cuda", lambda: None)
    return fake


@pytest.fixture
def fresh_choice():
    """Forgets the choice of backend made in this process, and afterwards the test's."""
    caches = (compiled._load, roi_align._automatic_backend)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


@pytest.fixture
def library_on_gpus(fresh_choice, monkeypatch, tmp_path, caplog):
    """`library_on_gpus(...)`: as on a machine whose GPUs TensorFlow sees, with such a library."""

    def pretend(*, gpus=(0,), cuda="", problems=()):
        builder = tmp_path / "pretended.py"
        builder.write_text(
            "class BuildError(Exception): ...\n"
            "def find_library(): return 'library.so'\n"
            "def why_no_cuda(): return 'no nvcc was found'\n"
        )
        functions = SimpleNamespace(
            cuda_version=lambda: cuda, gpu_problem=lambda name: dict(problems).get(name, "")
        )
        devices = [SimpleNamespace(name=f"/physical_device:GPU:{index}") for index in gpus]
        monkeypatch.setattr(compiled, "BUILDERS", (builder,))
        monkeypatch.setattr(compiled, "_Functions", lambda library: functions)
        monkeypatch.setattr(tf, "load_op_library", lambda library: SimpleNamespace())
        monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: devices)
        monkeypatch.delenv("KERAS_MASKRCNN_ROI_ALIGN", raising=False)
        caplog.set_level(logging.INFO, "keras_maskrcnn")

    return pretend


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def make_nvcc(folder, script):
    """A program that stands for nvcc, whose toolkit is the folder."""
    nvcc = folder / "bin" / "nvcc"
    nvcc.parent.mkdir(exist_ok=True)
    nvcc.write_text(f"#!/bin/sh\n{script}\n")
    nvcc.chmod(0o755)
    return nvcc


def test_key_names_all_that_a_library_depends_on(build):
    tensorflow = build.TensorFlow(Path(), "2.21.0")
    key = build.library_key(tensorflow, None)
    assert key.startswith("tf2.21.0-cpu-")
    cuda = build.Cuda("nvcc", Path(), "13.0")
    assert build.library_key(tensorflow, cuda).startswith("tf2.21.0-cuda13.0-")
    assert build.library_key(build.TensorFlow(Path(), "2.21.1"), None) != key
    source = build.SOURCES / "sampling.h"
    source.write_text(source.read_text() + "// changed\n")
    assert build.library_key(tensorflow, None) != key


def test_library_is_built_once_and_found(build, fake_compiler):
    assert build.find_library() is None
    library = build.find_or_build()
    assert build.find_library() == library == build.find_or_build()
    assert build.build(fresh=True) == library
    assert fake_compiler.calls == 2


def test_library_for_another_tensorflow_is_not_found(build, fake_compiler, monkeypatch):
    build.build()
    other = build.TensorFlow(Path(), "2.99.0")
    monkeypatch.setattr(build, "find_tensorflow", lambda: other)
    assert build.find_library() is None


def test_library_with_cuda_serves_a_machine_without_toolkit(build, fake_compiler, monkeypatch):
    cuda = build.Cuda("nvcc", Path(), "13.0")
    monkeypatch.setattr(build, "find_cuda", lambda: cuda)
    with_cuda = build.build(build.library_folders()[0])
    without = build.build(use_cuda=False)
    assert build.find_library() == with_cuda
    monkeypatch.setattr(build, "find_cuda", lambda: None)
    assert build.find_library() == with_cuda
    with_cuda.unlink()
    assert build.find_library() == without


def test_library_without_cuda_where_only_that_fails(build, fake_compiler, monkeypatch):
    monkeypatch.setattr(build, "find_cuda", lambda: build.Cuda("nvcc", Path(), "13.0"))
    real = build.build

    def fails_with_cuda(*args, use_cuda=True, **options):
        fake_compiler.error = "nvcc failed" if use_cuda else None
        return real(*args, use_cuda=use_cuda, **options)

    monkeypatch.setattr(build, "build", fails_with_cuda)
    assert "-cpu-" in str(build.find_or_build())


def test_cuda_can_be_hidden(build, tmp_path, monkeypatch):
    nvcc = make_nvcc(tmp_path, f"echo 'release 13.0'; echo 'TOP={tmp_path}'")
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    assert build.find_cuda() == build.Cuda(str(nvcc), tmp_path.resolve(), "13.0")
    monkeypatch.setenv("KERAS_MASKRCNN_CUDA", "0")
    assert build.find_cuda() is None
    assert build.why_no_cuda().startswith("KERAS_MASKRCNN_CUDA=0 ")


@pytest.fixture
def only_nvcc(build, tmp_path, monkeypatch):
    """The machine's own toolkits are hidden; a program of `make_nvcc(tmp_path, ...)` is found."""
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_MASKRCNN_CUDA", raising=False)
    access = build.os.access
    monkeypatch.setattr(
        build.os, "access", lambda path, mode: str(tmp_path) in str(path) and access(path, mode)
    )


def test_machine_without_nvcc(build, only_nvcc):
    assert build.find_cuda() is None
    assert "no nvcc was found: install a CUDA toolkit" in build.why_no_cuda()


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo 'no licence'; echo more; exit 1", "no licence"),
        ("case $1 in --version) echo release 13.0;; *) echo broken plan; exit 1;; esac", "broken"),
        ("exit 1", "nothing"),
    ],
)
def test_nvcc_that_does_not_work_is_named(build, only_nvcc, tmp_path, script, says):
    nvcc = make_nvcc(tmp_path, script)
    assert build.find_cuda() is None
    assert f"{nvcc} does not work (it says: {says}" in build.why_no_cuda()
    assert "more" not in build.why_no_cuda()


def test_nvcc_that_cannot_be_run_is_named(build, only_nvcc, tmp_path):
    make_nvcc(tmp_path, "").write_bytes(b"\x7fELF")
    assert build.find_cuda() is None
    assert "cannot run" in build.why_no_cuda()


def test_nvcc_that_compiles_nothing(build, only_nvcc, tmp_path, monkeypatch):
    make_nvcc(
        tmp_path,
        f"case $1 in --*) echo release 13.0; echo TOP={tmp_path};;\n"
        "*) echo 'nvcc fatal: unsupported gcc'; echo more; exit 1;; esac",
    )
    # The C++ compiler makes empty files: only nvcc fails, and it alone is told.
    monkeypatch.setenv("CXX", str(tmp_path / "g++"))
    (tmp_path / "g++").write_text('#!/bin/sh\nfor last; do :; done; : > "$last"\n')
    (tmp_path / "g++").chmod(0o755)
    assert build.find_library() is None
    library = build.find_or_build()
    assert "-cpu-" in str(library)
    # The next process takes it at once, rather than announce another try.
    assert build.find_library() == library
    assert "did not compile (nvcc fatal: unsupported gcc)" in build.why_no_cuda()
    assert "build.py --fresh" in build.why_no_cuda()


def test_shipped_library_serves_where_cuda_fails(build, fake_compiler, monkeypatch):
    shipped = build.build(build.library_folders()[0])
    monkeypatch.setattr(build, "find_cuda", lambda: build.Cuda("nvcc", Path(), "13.0"))
    assert build.find_library() is None  # before a try
    fake_compiler.error = "nvcc failed"
    assert build.find_or_build() == shipped == build.find_library()
    assert fake_compiler.calls == 2


def test_functions_of_a_library_without_cuda(tmp_path):
    library = tmp_path / "library.so"
    source = FOLDER / "roi_align" / "gpu_problem.cu"
    subprocess.run(["g++", "-shared", "-fPIC", "-x", "c++", source, "-o", library], check=True)
    functions = compiled._Functions(library)
    assert functions.cuda_version() == ""
    assert functions.gpu_problem("/physical_device:GPU:0") == "built without CUDA"


def test_builders_of_one_library_wait_for_each_other(build, fake_compiler):
    threads = [threading.Thread(target=build.build) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fake_compiler.calls == 1


def test_failure_is_remembered(build, fake_compiler):
    fake_compiler.error = "out of memory"
    with pytest.raises(build.BuildError, match="out of memory$"):
        build.build()
    with pytest.raises(build.BuildError, match=r"(?s)out of memory.*--fresh"):
        build.build()
    assert fake_compiler.calls == 1
    fake_compiler.error = None
    assert build.build(fresh=True).exists()
    assert build.build().exists()


def test_compiler_that_is_not_there(build, monkeypatch):
    monkeypatch.setenv("CXX", "/nowhere/g++")
    with pytest.raises(build.BuildError, match="cannot run /nowhere/g"):
        build.build(use_cuda=False)


def test_compiler_message_is_shown(build, tmp_path):
    source = tmp_path / "wrong.cc"
    source.write_text("int wrong() { return nothing; }\n")
    with pytest.raises(build.BuildError, match="nothing.* was not declared"):
        build._run(["g++", "-c", str(source), "-o", str(tmp_path / "wrong.o")])


def test_reference_takes_over_with_one_clear_line(fresh_choice, monkeypatch, caplog, tmp_path):
    broken = tmp_path / "build.py"
    broken.write_text(
        "class BuildError(Exception): ...\n"
        "def find_library(): raise BuildError('no C++ compiler found')\n"
    )
    monkeypatch.setattr(compiled, "BUILDERS", (broken,))
    monkeypatch.delenv("KERAS_MASKRCNN_ROI_ALIGN", raising=False)
    with caplog.at_level(logging.WARNING, "keras_maskrcnn"):
        assert [roi_align.roi_align_backend() for _ in range(3)] == ["reference"] * 3
    assert len(caplog.messages) == 1
    assert "no C++ compiler found" in caplog.text
    with pytest.raises(RuntimeError, match="not available: no C"):
        roi_align.roi_align_backend("compiled")


def test_file_that_does_not_load(fresh_choice, monkeypatch, tmp_path):
    library = tmp_path / "libmaskrcnn_ops.so"
    library.write_text("not a library")
    builder = tmp_path / "build.py"
    builder.write_text(
        f"class BuildError(Exception): ...\ndef find_library(): return {str(library)!r}\n"
    )
    monkeypatch.setattr(compiled, "BUILDERS", (builder,))
    with pytest.raises(RuntimeError, match="invalid ELF header|file too short"):
        compiled.compiled_ops()


def test_op_takes_gpus_that_run_it(library_on_gpus, caplog):
    library_on_gpus(cuda="13.0", gpus=(0, 1))
    assert roi_align.roi_align_backend() == roi_align.roi_align_backend("compiled") == "compiled"
    assert caplog.messages == [
        "RoIAlign: compiled op, kernels for CPU and GPU (built with CUDA 13.0)"
    ]


def test_library_for_the_cpu_needs_no_warning_without_a_gpu(library_on_gpus, caplog):
    library_on_gpus(gpus=())
    assert roi_align.roi_align_backend() == "compiled"
    assert caplog.messages == ["RoIAlign: compiled op, kernels for the CPU alone"]


def test_stock_ops_take_the_gpu_where_the_library_has_no_kernel(library_on_gpus, caplog):
    library_on_gpus()
    assert [roi_align.roi_align_backend() for _ in range(3)] == ["reference"] * 3
    (warning,) = warnings(caplog)
    assert "cannot run on the GPU: no nvcc was found. Stock TensorFlow ops run there" in warning


def test_stock_ops_take_gpus_of_which_one_does_not_run_the_op(library_on_gpus, caplog):
    library_on_gpus(cuda="13.0", gpus=(0, 1), problems={"/physical_device:GPU:1": "an old driver"})
    assert [roi_align.roi_align_backend() for _ in range(3)] == ["reference"] * 3
    (warning,) = warnings(caplog)
    assert "cannot run on the GPU: an old driver. Stock TensorFlow ops run there" in warning


def test_op_that_is_asked_for_stays_with_one_warning(library_on_gpus, caplog):
    library_on_gpus()
    asked = ["compiled", "auto", "compiled"]
    chosen = [roi_align.roi_align_backend(backend) for backend in asked]
    assert chosen == ["compiled", "reference", "compiled"]
    (warning,) = warnings(caplog)
    assert "no nvcc was found. Stock TensorFlow ops run there, exact but slower, unless" in warning


def test_library_tells_the_truth_about_itself():
    """Its function, its folder and the kernels that TensorFlow knows say the same."""
    if roi_align.roi_align_backend() != "compiled":
        pytest.skip("the compiled op is not available here")
    from tensorflow.python.framework import kernels

    library = compiled.load_builder(FOLDER / "build.py").find_library()
    functions = compiled._Functions(library)
    registered = kernels.get_registered_kernels_for_op("MaskrcnnRoiAlign").kernel
    devices = {kernel.device_type for kernel in registered}
    version = functions.cuda_version()
    assert devices == ({"CPU", "GPU"} if version else {"CPU"})
    assert (f"-cuda{version}-" if version else "-cpu-") in library.parent.name
    if not version:
        assert functions.gpu_problem("/physical_device:GPU:0") == "built without CUDA"
    elif not tf.config.list_physical_devices("GPU"):
        assert "driver" in functions.gpu_problem("/physical_device:GPU:0")
    else:
        assert functions.gpu_problem("/physical_device:GPU:0") == ""
        assert functions.gpu_problem("/physical_device:GPU:99") != ""


@pytest.mark.slow
def test_builds_from_scratch(build):
    functions = compiled._Functions(build.build(use_cuda=False))
    assert functions.cuda_version() == ""


def test_builder_says_what_it_tried_and_nothing_else():
    if roi_align.roi_align_backend() != "compiled":
        pytest.skip("the compiled op is not available here")
    command = [sys.executable, FOLDER / "build.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    library, tried = done.stdout.splitlines()
    assert Path(library).exists() and done.stderr == ""
    # Samples of a bin average to its middle: rows and columns 1 and 3 of 0, 1, .. 24.
    assert tried == "RoIAlign of a 5 x 5 ramp: [6.0, 8.0, 16.0, 18.0]"

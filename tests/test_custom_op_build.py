"""The builder of the compiled op, and what happens where it cannot build."""

import logging
import shutil
import threading
import time
from pathlib import Path

import pytest

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
    nvcc = tmp_path / "bin" / "nvcc"
    nvcc.parent.mkdir()
    nvcc.write_text(f"#!/bin/sh\necho 'release 13.0'; echo 'TOP={tmp_path}'\n")
    nvcc.chmod(0o755)
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    assert build.find_cuda() == build.Cuda(str(nvcc), tmp_path.resolve(), "13.0")
    monkeypatch.setenv("KERAS_MASKRCNN_CUDA", "0")
    assert build.find_cuda() is None


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


@pytest.mark.slow
def test_builds_from_scratch(build):
    assert build.build(use_cuda=False).exists()

"""Installation, with the compiled op where that is possible; all else is in setup.cfg.

The op's sources travel in the package, so that it can be built on first use. It is built here
already when TensorFlow and a compiler are at hand (`pip install --no-build-isolation .`): failing
that, the installation goes on, unless KERAS_MASKRCNN_REQUIRE_OP=1. KERAS_MASKRCNN_CUDA=0 leaves the
GPU's kernels out, as a wheel that is published for CPUs does.
"""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # setuptools before 70.1
    from wheel.bdist_wheel import bdist_wheel

CUSTOM_OPS = Path(__file__).resolve().parent / "custom_ops"


def load_builder():
    """custom_ops/build.py as a module."""
    spec = importlib.util.spec_from_file_location("custom_ops_build", CUSTOM_OPS / "build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class BuildWithOp(build_py):
    """Adds the op's sources to the package, and its library if it builds."""

    def run(self):
        super().run()
        if self.editable_mode:
            target = CUSTOM_OPS
        else:
            target = Path(self.build_lib) / "keras_maskrcnn" / "custom_ops"
            ignored = shutil.ignore_patterns("library", "__pycache__", "test", "check_gpu.py")
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(CUSTOM_OPS, target, ignore=ignored)
        builder = load_builder()
        try:
            print(f"compiled op: {builder.build(target / 'library')}")
        except builder.BuildError as error:
            if os.environ.get("KERAS_MASKRCNN_REQUIRE_OP") == "1":
                raise
            print(f"compiled op: not built now, but on first use if possible: {error}")


class WheelWithOp(bdist_wheel):
    """A wheel with a library is for one platform, and for every Python."""

    def get_tag(self):
        python, abi, platform = super().get_tag()
        if not any(Path(self.bdist_dir).glob("**/libmaskrcnn_ops.so")):
            return python, abi, platform
        return python, abi, self.plat_name.replace("-", "_").replace(".", "_")


setup(cmdclass={"build_py": BuildWithOp, "bdist_wheel": WheelWithOp})

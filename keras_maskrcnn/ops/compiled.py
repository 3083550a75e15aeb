"""The compiled ops of custom_ops/: found or built once per process, with their gradients."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import logging
import sys
from pathlib import Path
from types import ModuleType

import tensorflow as tf

logger = logging.getLogger("keras_maskrcnn")

_PACKAGE = Path(__file__).resolve().parents[1]
# In an installed package, and in a checkout of the repository.
BUILDERS = (_PACKAGE / "custom_ops" / "build.py", _PACKAGE.parent / "custom_ops" / "build.py")


def compiled_ops() -> ModuleType:
    """The module of TensorFlow's wrappers, one function per op.

    Raises:
        RuntimeError: where the library is missing and cannot be built, or does not load.
    """
    ops, problem, _ = _load()
    if ops is None:
        raise RuntimeError(f"the compiled RoIAlign op is not available: {problem}")
    return ops


def gpu_problem() -> str:
    """Why the ops do not run on a GPU that TensorFlow sees, as the warning on loading them told.

    Empty where they do, where TensorFlow sees none, and where `compiled_ops` raises.
    """
    return _load()[2]


def load_builder(path: Path) -> ModuleType:
    """custom_ops/build.py, which is no part of the package, as a module."""
    spec = importlib.util.spec_from_file_location("keras_maskrcnn_custom_ops_build", path)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"the builder must be a Python file. Received: path={path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@functools.lru_cache(maxsize=1)
def _load() -> tuple[ModuleType | None, str, str]:
    """The ops, or None and the reason; and the problem of GPUs."""
    builder = next((path for path in BUILDERS if path.exists()), None)
    if builder is None:
        return None, "its sources are not installed", ""
    build = load_builder(builder)
    try:
        library = build.find_library()
        if library is None:
            logger.warning("Compiling the RoIAlign op for this TensorFlow: under a minute, once.")
            library = build.find_or_build()
        ops = tf.load_op_library(str(library))
    except (build.BuildError, tf.errors.OpError) as error:
        return None, str(error), ""
    functions = _Functions(library)
    version = functions.cuda_version()
    kernels = f"CPU and GPU (built with CUDA {version})" if version else "the CPU alone"
    logger.info("RoIAlign: compiled op, kernels for %s", kernels)
    # Not all physical ones: a program may have hidden some from TensorFlow.
    names = [device.name for device in tf.config.get_visible_devices("GPU")]
    if version:
        problem = next(filter(None, map(functions.gpu_problem, names)), "")
    else:
        problem = build.why_no_cuda() if names else ""
    if problem:
        logger.warning(
            "The compiled RoIAlign op cannot run on the GPU: %s. Stock TensorFlow ops run there, "
            'exact but slower, unless the backend "compiled" is asked for.',
            problem,
        )
    return ops, "", problem


class _Functions:
    """What the library exports beside the ops, see gpu_problem.cu."""

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        self._library.maskrcnn_gpu_problem.restype = ctypes.c_char_p

    def cuda_version(self) -> str:
        """As 13.0; empty where it was built without."""
        number = self._library.maskrcnn_cuda_version()
        return f"{number // 1000}.{number % 1000 // 10}" if number else ""

    def gpu_problem(self, name: str) -> str:
        """Why the kernels do not run on the device "/physical_device:GPU:0"; empty if they do."""
        problem = self._library.maskrcnn_gpu_problem(int(name.rpartition(":")[2]))
        return problem.decode() if problem else ""


@tf.RegisterGradient("MaskrcnnRoiAlign")
def _roi_align_gradient(op: tf.Operation, upstream: tf.Tensor) -> list[tf.Tensor | None]:
    features, (boxes, batch_indices, levels) = op.inputs[:-3], op.inputs[-3:]
    gradients = compiled_ops().maskrcnn_roi_align_gradient(
        upstream=upstream,
        boxes=boxes,
        batch_indices=batch_indices,
        levels=levels,
        shapes=[tf.shape(feature) for feature in features],
        scales=op.get_attr("scales"),
        sampling_ratio=op.get_attr("sampling_ratio"),
        aligned=op.get_attr("aligned"),
    )
    return [*gradients, None, None, None]


@tf.RegisterGradient("MaskrcnnRoiPool")
def _roi_pool_gradient(op: tf.Operation, upstream: tf.Tensor, _) -> list[tf.Tensor | None]:
    features, (boxes, batch_indices, levels) = op.inputs[:-3], op.inputs[-3:]
    gradients = compiled_ops().maskrcnn_roi_pool_gradient(
        upstream=upstream,
        cells=op.outputs[1],
        boxes=boxes,
        batch_indices=batch_indices,
        levels=levels,
        shapes=[tf.shape(feature) for feature in features],
        scales=op.get_attr("scales"),
    )
    return [*gradients, None, None, None]

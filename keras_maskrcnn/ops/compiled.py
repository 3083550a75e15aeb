"""The compiled ops of custom_ops/: found or built once per process, with their gradients."""

from __future__ import annotations

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
    ops, problem = _load()
    if ops is None:
        raise RuntimeError(f"the compiled RoIAlign op is not available: {problem}")
    return ops


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
def _load() -> tuple[ModuleType | None, str]:
    """The ops, or None and the reason."""
    builder = next((path for path in BUILDERS if path.exists()), None)
    if builder is None:
        return None, "its sources are not installed"
    build = load_builder(builder)
    try:
        library = build.find_library()
        if library is None:
            logger.warning("Compiling the RoIAlign op for this TensorFlow: under a minute, once.")
            library = build.find_or_build()
        return tf.load_op_library(str(library)), ""
    except (build.BuildError, tf.errors.OpError) as error:
        return None, str(error)


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

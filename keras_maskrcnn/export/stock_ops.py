"""Makes sure that a SavedModel asks nothing of its server but TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

# Stock by name, but they call back into the Python process that made them.
_PYTHON_OPS = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})


def stock_ops() -> frozenset[str]:
    """Names of the ops that every TensorFlow of this version has.

    `tf.raw_ops` was written when TensorFlow was built: libraries that this process has loaded since
    add nothing to it.
    """
    return frozenset(dir(tf.raw_ops)) - _PYTHON_OPS


def check_stock_ops(folder: str | os.PathLike[str]) -> None:
    """Reads every node of a SavedModel, those within functions and loops too.

    Args:
        folder: of the SavedModel.

    Raises:
        ValueError: naming each op that a stock server lacks, and a node where it stands.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    content = saved_model_pb2.SavedModel()
    content.ParseFromString((Path(folder) / "saved_model.pb").read_bytes())
    known = stock_ops()
    foreign: dict[str, str] = {}
    for graph in content.meta_graphs:
        functions = {function.signature.name for function in graph.graph_def.library.function}
        for place, node in _nodes(graph.graph_def):
            if node.op not in known and node.op not in functions:
                foreign.setdefault(node.op, f"node {node.name} of {place}")
    if foreign:
        named = "; ".join(f"{op} ({place})" for op, place in sorted(foreign.items()))
        raise ValueError(
            "an exported model must consist of stock TensorFlow ops that run without Python. "
            f"Received: {named}"
        )


def _nodes(graph_def: Any) -> Iterator[tuple[str, Any]]:
    for node in graph_def.node:
        yield "the main graph", node
    for function in graph_def.library.function:
        for node in function.node_def:
            yield f"function {function.signature.name}", node

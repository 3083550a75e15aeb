"""ONNX files as the programs that run them want them.

What the converter of TensorFlow's graphs writes is read by ONNX Runtime, but not always by others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any


def finish_onnx(file: str | os.PathLike[str]) -> None:
    """Makes a converted file readable by others than ONNX Runtime, and checks its ops.

    Raises:
        ValueError: naming the ops that are not of ONNX: the converter only warns.
    """
    import onnx

    model = onnx.load(os.fspath(file))
    check_onnx_ops(model)
    name_handed_on_values(model)
    onnx.save(model, os.fspath(file))


def check_onnx_ops(model: Any) -> None:
    """Makes sure that every op of an ONNX model is one of ONNX.

    Raises:
        ValueError: naming those that are not.
    """
    import onnx

    versions = {entry.domain: entry.version for entry in model.opset_import}
    foreign = set()
    for node in onnx_nodes(model.graph):
        try:
            onnx.defs.get_schema(node.op_type, versions.get(node.domain, 1), node.domain)
        except onnx.defs.SchemaError:
            foreign.add(node.op_type)
    if foreign:
        raise ValueError(
            "this model cannot be converted to format='onnx': ONNX has no op for TensorFlow's "
            f"{', '.join(sorted(foreign))}"
        )


def name_handed_on_values(model: Any) -> None:
    """Gives a value that a loop's body hands on unchanged a name of its own as output.

    The converter writes one name for both, which OpenVINO (2026.4) takes for one input more, and
    refuses the loop.
    """
    import onnx

    for node in [node for node in onnx_nodes(model.graph) if node.op_type == "Loop"]:
        body = next(attribute.g for attribute in node.attribute if attribute.name == "body")
        inputs = {value.name for value in body.input}
        for output in body.output:
            if output.name in inputs:
                name = f"{output.name}/handed_on"
                body.node.append(onnx.helper.make_node("Identity", [output.name], [name]))
                output.name = name


def onnx_nodes(graph: Any) -> Iterator[Any]:
    """Those of loops and branches too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from onnx_nodes(inner)

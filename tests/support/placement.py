"""Where TensorFlow would keep each tensor of a traced function on a GPU, found out without one.

TensorFlow's wheel for Linux registers its GPU kernels on every machine. An op runs on the GPU where
a kernel for its types is registered there; a registration also says which arguments of it lie in
host memory, as nearly all int32 arithmetic's do. What is computed on the device and then needed on
the host must be waited for and copied, at every step.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any

from tensorflow.python.framework import kernels, op_def_registry
from tensorflow.python.framework.function_def_to_graph import function_def_to_graph

HOST, DEVICE, ANYWHERE = "host", "device", "anywhere"

# Our own, whose GPU kernels only a machine with CUDA builds: arguments in host memory.
_OURS: dict[str, frozenset[str]] = {
    "MaskrcnnRoiAlign": frozenset(),
    "MaskrcnnRoiAlignGradient": frozenset({"shapes"}),
    "MaskrcnnRoiPool": frozenset(),
    "MaskrcnnRoiPoolGradient": frozenset({"shapes"}),
}
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_LOOPS = ("While", "StatelessWhile")
_BRANCHES = ("If", "StatelessIf", "Case", "StatelessCase")
# They stand for themselves: the graph's ends, and what lies where it is needed.
_ENDS = ("Placeholder", "Const", "NoOp", "Assert")


# The graph optimizer takes them out.
_PRUNED = ("Identity", "IdentityN", "StopGradient", "PreventGradient")


@dataclasses.dataclass(frozen=True, order=True)
class Finding:
    """What costs time on a GPU.

    Attributes:
        kind: `"copy"`: a tensor goes from the device to the host; `"cpu"`: an op without a kernel
            for the GPU.
        op: type of the op that needs the tensor, or that runs on the CPU.
        dtype: of the tensor, or of the op's first type.
        name: of the op, from the outermost function in.
        source: type of the op that computes the tensor.
        in_loop: whether it happens once per turn of a loop.
    """

    kind: str
    op: str
    dtype: str
    name: str
    source: str = ""
    in_loop: bool = False


def findings(function: Any) -> list[Finding]:
    """Of a concrete function, each once."""
    graph = function.graph
    library = {f.signature.name: f for f in graph.as_graph_def().library.function}
    walk = _Walk(library)
    walk.graph(graph, [ANYWHERE] * len(graph.inputs), "", False)
    return sorted(set(walk.found))


class _Walk:
    """Goes through a graph, and into the functions that it calls."""

    def __init__(self, library: dict[str, Any]) -> None:
        self.library = library
        self.found: list[Finding] = []

    def graph(
        self, graph: Any, places: Sequence[str], path: str, in_loop: bool, needs_host: bool = False
    ) -> list[str]:
        """Places of a graph's outputs, from those of its inputs."""
        place = dict(zip((id(tensor) for tensor in graph.inputs), places, strict=True))
        outputs = graph.outputs
        for op in _needed(graph):
            if op.type in _ENDS:
                for tensor in op.outputs:
                    place.setdefault(id(tensor), ANYWHERE)
                continue
            inputs = [(tensor, place[id(tensor)]) for tensor in op.inputs]
            results = self.op(op, inputs, f"{path}{op.name}", in_loop)
            place.update(zip((id(tensor) for tensor in op.outputs), results, strict=True))
        results = [place[id(tensor)] for tensor in outputs]
        if needs_host:
            for tensor, result in zip(outputs, results, strict=True):
                self.copy(tensor, result, "condition", path, in_loop)
        return results

    def copy(self, tensor: Any, place: str, op: str, name: str, in_loop: bool) -> None:
        if place == DEVICE and tensor.dtype.name not in ("resource", "variant"):
            self.found.append(Finding("copy", op, tensor.dtype.name, name, tensor.op.type, in_loop))

    def op(self, op: Any, inputs: list[tuple[Any, str]], name: str, in_loop: bool) -> list[str]:
        """Places of an op's results."""
        if op.type in _CALLS:
            graph = self.function(op.get_attr("f").name)
            return self.graph(graph, [place for _, place in inputs], f"{name}/", in_loop)
        if op.type in (*_LOOPS, *_BRANCHES):
            return self.control(op, inputs, name, in_loop)
        if op.type in _PRUNED:
            return [place for _, place in inputs]
        host = host_arguments(op)
        if host is None:
            types = [t.dtype.name for t in (*op.inputs, *op.outputs)]
            self.found.append(Finding("cpu", op.type, (*types, "")[0], name, "", in_loop))
            for tensor, place in inputs:
                self.copy(tensor, place, op.type, name, in_loop)
            return [HOST] * len(op.outputs)
        definition = op_def_registry.get(op.type)
        for (tensor, place), argument in zip(
            inputs, _arguments(op, definition.input_arg), strict=True
        ):
            if argument in host:
                self.copy(tensor, place, op.type, name, in_loop)
        return [
            HOST if argument in host else DEVICE
            for argument in _arguments(op, definition.output_arg)
        ]

    def control(
        self, op: Any, inputs: list[tuple[Any, str]], name: str, in_loop: bool
    ) -> list[str]:
        """Loops and branches: conditions and int32 are on the host, all else on the device."""
        is_loop = op.type in _LOOPS
        carried = inputs if is_loop else inputs[1:]
        if not is_loop:
            self.copy(*inputs[0], op.type, name, in_loop)
        for tensor, place in carried:
            if tensor.dtype.name == "int32":
                self.copy(tensor, place, op.type, name, in_loop)
        places = [_carried(tensor) for tensor, _ in carried]
        if is_loop:
            condition = self.function(op.get_attr("cond").name)
            self.graph(condition, places, f"{name}/cond/", True, needs_host=True)
            bodies = {"body": op.get_attr("body").name}
        elif "Case" in op.type:
            bodies = {str(i): f.name for i, f in enumerate(op.get_attr("branches"))}
        else:
            bodies = {key: op.get_attr(f"{key}_branch").name for key in ("then", "else")}
        for key, function in bodies.items():
            graph = self.function(function)
            results = self.graph(graph, places, f"{name}/{key}/", in_loop or is_loop)
            for tensor, place in zip(graph.outputs, results, strict=True):
                if tensor.dtype.name == "int32":
                    self.copy(tensor, place, "Return", f"{name}/{key}/", in_loop or is_loop)
        return [_carried(tensor) for tensor in op.outputs]

    @functools.cache  # noqa: B019  # A walk lives shortly.
    def function(self, name: str) -> Any:
        return function_def_to_graph(self.library[name], include_library_functions=True)


def _carried(tensor: Any) -> str:
    return HOST if tensor.dtype.name == "int32" else DEVICE


def _needed(graph: Any) -> Iterator[Any]:
    """The ops that a run of the graph runs, in an order in which they can."""
    wanted = collections.deque(tensor.op for tensor in graph.outputs)
    wanted.extend(graph.control_outputs)
    wanted.extend(op for op in graph.get_operations() if op.op_def and op.op_def.is_stateful)
    seen = set()
    while wanted:
        op = wanted.pop()
        if op not in seen:
            seen.add(op)
            wanted.extend(tensor.op for tensor in op.inputs)
            wanted.extend(op.control_inputs)
    return (op for op in graph.get_operations() if op in seen)


def host_arguments(op: Any) -> frozenset[str] | None:
    """Names of the arguments that lie in host memory on a GPU; `None` without a kernel there."""
    if op.type in _OURS:
        return _OURS[op.type]
    for kernel in _gpu_kernels(op.type):
        if all(_allows(constraint, op) for constraint in kernel.constraint):
            return frozenset(kernel.host_memory_arg)
    return None


@functools.cache
def _gpu_kernels(op_type: str) -> list[Any]:
    found = kernels.get_registered_kernels_for_op(op_type).kernel
    usable = [one for one in found if one.device_type in ("GPU", "DEFAULT") and not one.label]
    return sorted(usable, key=lambda one: (one.device_type != "GPU", -one.priority))


def _allows(constraint: Any, op: Any) -> bool:
    value = op.get_attr(constraint.name)
    types = value if isinstance(value, list) else [value]
    return all(one.as_datatype_enum in constraint.allowed_values.list.type for one in types)


def _arguments(op: Any, definitions: Any) -> list[str]:
    """The name of the argument that each tensor belongs to."""
    names = []
    for definition in definitions:
        if definition.number_attr:
            count = op.get_attr(definition.number_attr)
        elif definition.type_list_attr:
            count = len(op.get_attr(definition.type_list_attr))
        else:
            count = 1
        names.extend([definition.name] * count)
    return names

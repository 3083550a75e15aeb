"""The list of stock ops against TensorFlow's own registry, and what is not on it."""

import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow.core.framework import op_def_pb2
from tensorflow.core.protobuf import saved_model_pb2

from keras_maskrcnn.export.stock_ops import check_stock_ops, stock_ops

# The registry of a process that has loaded TensorFlow's library and nothing else.
_REGISTRY = """
import ctypes, sys
class Buffer(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("length", ctypes.c_size_t), ("free", ctypes.c_void_p)]
for library in sys.argv[1:]:
    library = ctypes.CDLL(library, ctypes.RTLD_GLOBAL)
library.TF_GetAllOpList.restype = ctypes.POINTER(Buffer)
buffer = library.TF_GetAllOpList().contents
sys.stdout.buffer.write(ctypes.string_at(buffer.data, buffer.length))
"""


def test_listed_ops_are_in_a_fresh_registry():
    folder = Path(tf.sysconfig.get_lib())
    libraries = [str(folder / f"libtensorflow_{name}.so.2") for name in ("framework", "cc")]
    if not all(Path(library).exists() for library in libraries):
        pytest.skip("this TensorFlow has no libtensorflow_cc.so.2")
    words = [sys.executable, "-c", _REGISTRY, *libraries]
    ops = op_def_pb2.OpList()
    ops.ParseFromString(subprocess.run(words, check=True, capture_output=True).stdout)
    registered = {op.name for op in ops.op}
    assert "SparseMatrixMatMul" in stock_ops()
    assert len(stock_ops()) > 1000
    functions = {name for name in stock_ops() if name[0].isupper()}
    assert functions - registered == set()


def test_custom_op_within_a_function_is_named(tmp_path):
    content = saved_model_pb2.SavedModel()
    graph = content.meta_graphs.add().graph_def
    function = graph.library.function.add()
    function.signature.name = "while_body_7"
    function.node_def.add(name="box_align/pool", op="MaskrcnnRoiAlign")
    function.node_def.add(name="sum", op="AddV2")
    graph.node.add(name="call", op="while_body_7")  # a function called by its name
    (tmp_path / "saved_model.pb").write_bytes(content.SerializeToString())
    with pytest.raises(ValueError, match="stock TensorFlow ops") as error:
        check_stock_ops(tmp_path)
    received = str(error.value).partition("Received: ")[2]
    assert received == "MaskrcnnRoiAlign (node box_align/pool of function while_body_7)"


def test_exported_model_passes(exported):
    check_stock_ops(exported.path / "1")

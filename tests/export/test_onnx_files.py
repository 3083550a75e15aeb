"""What is done to ONNX files after the converter."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="needs onnx")

from keras_maskrcnn.export.onnx_files import finish_onnx  # noqa: E402

helper, FLOAT, BOOL, INT64 = (
    onnx.helper,
    *map(onnx.TensorProto.DataType.Value, ("FLOAT", "BOOL", "INT64")),
)


def test_op_that_the_converter_left_is_named(tmp_path):
    value = helper.make_tensor_value_info("y", FLOAT, [1])
    yes = helper.make_tensor_value_info("c", BOOL, [])
    inner = helper.make_graph([helper.make_node("Bitcast", ["x"], ["y"])], "inner", [], [value])
    branch = helper.make_node("If", ["c"], ["z"], then_branch=inner, else_branch=inner)
    graph = helper.make_graph([branch], "outer", [yes], [value])
    onnx.save(helper.make_model(graph), tmp_path / "model.onnx")
    with pytest.raises(ValueError, match="ONNX has no op for TensorFlow's Bitcast"):
        finish_onnx(tmp_path / "model.onnx")


def loop_that_hands_on(file):
    """y = x + 5 * step, of which the step is handed on from turn to turn unchanged."""

    def info(name, type, shape=()):
        return helper.make_tensor_value_info(name, type, shape)

    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["goes_on"]),
            helper.make_node("Add", ["sum", "step"], ["more"]),
        ],
        "body",
        [info("turn", INT64), info("going", BOOL), info("sum", FLOAT), info("step", FLOAT)],
        [info("goes_on", BOOL), info("more", FLOAT), info("step", FLOAT)],
    )
    graph = helper.make_graph(
        [helper.make_node("Loop", ["turns", "yes", "x", "s"], ["y", "same"], body=body)],
        "outer",
        [info("x", FLOAT), info("s", FLOAT)],
        [info("y", FLOAT)],
        [
            helper.make_tensor("turns", INT64, [], [5]),
            helper.make_tensor("yes", BOOL, [], [True]),
        ],
    )
    opset = helper.make_opsetid("", 15)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), file)


def test_handed_on_value_has_a_name_of_its_own(tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    file = tmp_path / "model.onnx"
    loop_that_hands_on(file)
    finish_onnx(file)
    model = onnx.load(file)
    onnx.checker.check_model(model)
    (body,) = (attribute.g for attribute in model.graph.node[0].attribute)
    assert [value.name for value in body.output] == ["goes_on", "more", "step/handed_on"]
    session = runtime.InferenceSession(file, providers=["CPUExecutionProvider"])
    inputs = {"x": np.array(2, "float32"), "s": np.array(3, "float32")}
    assert session.run(None, inputs) == [17]


@pytest.mark.slow
def test_openvino_reads_the_loop(tmp_path):
    openvino = pytest.importorskip("openvino", reason="needs openvino")
    file = tmp_path / "model.onnx"
    loop_that_hands_on(file)
    core = openvino.Core()
    with pytest.raises(RuntimeError, match="canonical inputs size"):  # else it is not needed
        core.read_model(file)
    finish_onnx(file)
    compiled = core.compile_model(core.read_model(file), "CPU")
    assert compiled([np.array(2, "float32"), np.array(3, "float32")])[0] == 17

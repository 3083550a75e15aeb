"""What our ONNX files may consist of, so that TensorRT reads them.

Each of these has a Y in the support matrix of onnx-tensorrt (docs/operators.md) for TensorRT 10.15,
with restrictions that our files keep: `TopK` of at most 3839 values, axes of reductions that are
constants. Before another is added, look it up there, and in OpenVINO's list.
"""

_NAMES = """
    Add And ArgMax Cast Ceil Concat ConstantOfShape Conv ConvTranspose CumSum Div Equal Exp Expand
    Floor Gather GatherND Gemm Greater GreaterOrEqual Identity Less LessOrEqual Log MatMul Max
    MaxPool Min Mul NonMaxSuppression NonZero Not OneHot Pad Range ReduceMax ReduceMin ReduceProd
    ReduceSum Relu Reshape Resize ScatterND Shape Sigmoid Size Slice Softmax Split Sqrt Squeeze Sub
    TopK Transpose Unsqueeze Where
"""
ALLOWED = frozenset(_NAMES.split())
# What post-training quantisation adds; zero points must be 0.
QUANTIZED = frozenset({"QuantizeLinear", "DequantizeLinear"})

"""Training steps of a whole, small model on TensorFlow's GPU, with the compiled op.

Also that the same weights learn and find on the GPU what they do on the CPU.
"""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_maskrcnn.ops.roi_align import roi_align_backend
from keras_maskrcnn.poolers import RoIAlignLayer

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "support"))
from helpers import tiny_model

if not tf.config.list_physical_devices("GPU"):
    sys.exit("TensorFlow sees no GPU")
if roi_align_backend() != "compiled":
    sys.exit("the compiled op is not in use")
tf.config.experimental.enable_tensor_float_32_execution(False)  # To compare with the CPU.
features = [tf.random.normal((1, 32, 32, 8))]
pooled = RoIAlignLayer(7, strides=(4,))(features, np.array([[[0, 0, 60, 60]]], "float32"))
if "GPU" not in pooled.device:
    sys.exit(f"RoIAlign ran on {pooled.device}")

images = np.random.default_rng(0).integers(0, 255, (2, 64, 96, 3)).astype("uint8")
targets = {
    "image_sizes": np.array([[64, 96]] * 2, "int32"),
    "boxes": np.array([[[8, 8, 40, 48]]] * 2, "float32"),
    "classes": np.zeros((2, 1), "int32"),
    "masks": np.full((2, 1, 112, 112), 255, "uint8"),
    "crowd_boxes": np.zeros((2, 1, 4), "float32"),
    "image_ids": np.arange(2),
    "original_sizes": np.array([[64, 96]] * 2, "int32"),
}
first, found = {}, {}
for device in ("/CPU:0", "/GPU:0"):
    with tf.device(device):
        model = tiny_model()
        found[device] = model.predict_on_batch(images.astype("float32"))
        model.compile("sgd")  # with Keras' default, jit_compile="auto"
        first[device] = model.train_on_batch(images, targets, return_dict=True)
print(f"first step: {first}")
for name, value in first["/CPU:0"].items():
    if not np.isclose(first["/GPU:0"][name], value, rtol=0.02, atol=1e-4):
        sys.exit(f"the first step's {name} differs between CPU and GPU: {first}")
for name in ("scores", "boxes"):
    difference = np.abs(found["/GPU:0"][name] - found["/CPU:0"][name]).max()
    print(f"largest difference of {name} between CPU and GPU: {difference:.2g}")
if model.jit_compile:
    sys.exit("Keras would compile the model with XLA, which does not know the op")

model = tiny_model()
model.compile("sgd")
losses = model.fit(tf.data.Dataset.from_tensors((images, targets)).repeat(3), verbose=2).history
if not np.isfinite(losses["loss"]).all():
    sys.exit(f"the loss is not finite: {losses}")
print(f"three training steps on the GPU: {losses}")

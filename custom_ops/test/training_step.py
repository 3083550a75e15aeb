"""Three training steps of a whole, small model on TensorFlow's GPU, with the compiled op."""

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
model = tiny_model()
model.compile("sgd")  # with Keras' default, jit_compile="auto"
losses = model.fit(tf.data.Dataset.from_tensors((images, targets)).repeat(3), verbose=2).history
if not np.isfinite(losses["loss"]).all():
    sys.exit(f"the loss is not finite: {losses}")
print(f"three training steps on the GPU: {losses}")

"""Our side of the end-to-end benchmark."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from typing import Any

import numpy as np
from worker import CLASSES, converse, detections, objects, picture

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def build(case: dict[str, Any]) -> Any:
    """torchvision's published model with the weights of the case's file."""
    from keras_maskrcnn import MaskRCNN
    from keras_maskrcnn.weights import load_detector_weights

    dtype = {"float32": "float32", "bfloat16": "mixed_bfloat16"}[case["dtype"]]
    model = MaskRCNN.from_preset(
        "maskrcnn_resnet50_fpn_coco",
        load_weights=False,
        backbone={"name": case["backbone"], "norm_epsilon": 1e-5},
        num_classes=CLASSES,
        dtype=dtype,
    )
    load_detector_weights(model, case["weights"])
    if case.get("jit_compile"):
        model.compile(jit_compile=True)
    return model


def prepare(case: dict[str, Any]) -> Callable[[], Any]:
    """One repetition of a case as a function."""
    import keras
    import tensorflow as tf

    (height, width), batch = case["size"], case["batch"]
    if case["device"] == "cuda" and not tf.config.list_physical_devices("GPU"):
        raise RuntimeError("TensorFlow sees no GPU")
    model = build(case)
    images = np.stack([picture(height, width, seed) for seed in range(batch)]).astype("float32")
    if case["kind"] == "inference":
        inputs = tf.constant(images)  # On the GPU, where there is one.

        def infer() -> dict[str, list[Any]]:
            # Keras waits for all results, and copies them to the host.
            found = model.predict_on_batch(inputs)
            pairs = zip(found["scores"], found["counts"], strict=True)
            return detections(scores[:count] for scores, count in pairs)

        return infer

    boxes, classes = zip(
        *(objects(height, width, case["objects"], seed) for seed in range(batch)), strict=True
    )
    targets = {
        "image_sizes": np.array([[height, width]] * batch, "int32"),
        "boxes": np.stack(boxes),
        "classes": np.stack(classes).astype("int32"),
        "masks": np.full((batch, case["objects"], 112, 112), 255, "uint8"),
        "crowd_boxes": np.zeros((batch, 1, 4), "float32"),
    }
    optimizer = keras.optimizers.SGD(1e-6, momentum=0.9)
    model.compile(optimizer, jit_compile=case.get("jit_compile", False))
    # Tensors, which stay where they are: a data set would bring them from the host at each step.
    steps = itertools.repeat(tf.nest.map_structure(tf.constant, (images, targets)))
    model.make_train_function()

    def step() -> float:
        loss = model.train_function(steps)["loss"]
        tf.test.experimental.sync_devices()
        return float(loss)

    return step


def paste(case: dict[str, Any]) -> Callable[[], Any]:
    """Pasting of masks into the picture."""
    from keras_maskrcnn.ops.paste import paste_masks

    height, width = case["size"]
    boxes, _ = objects(height, width, case["objects"])
    masks = np.random.default_rng(0).uniform(0, 1, (len(boxes), 28, 28)).astype("float32")
    return lambda: int(paste_masks(masks, boxes, (height, width)).sum())


def gpu_peak() -> int:
    """Bytes that TensorFlow had allocated on the GPU at most."""
    import tensorflow as tf

    return tf.config.experimental.get_memory_info("GPU:0")["peak"]


if __name__ == "__main__":
    converse(
        lambda case: (paste if case["kind"] == "paste" else prepare)(case),
        ("tensorflow", "keras"),
        gpu_peak,
    )

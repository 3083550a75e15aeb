"""On a GPU, what the model computes stays there: no op of the CPU, no copy to the host in between.

Found out from TensorFlow's registrations of kernels, on any machine: see `support/placement.py`.
"""

import keras
import pytest
import tensorflow as tf
from helpers import batch, tiny_model
from placement import Finding, findings

from keras_maskrcnn.ops import gpu_forms
from keras_maskrcnn.poolers import CropAndResizeLayer, RoIAlignLayer, RoIPoolLayer, RoIWarpLayer

pytestmark = pytest.mark.skipif(
    not tf.sysconfig.get_build_info()["is_cuda_build"], reason="this TensorFlow has no GPU kernels"
)

# (op, part of its name, why it stays)
NMS_LOOP = ("condition", "map/while/cond", "`tf.map_fn`'s own; NMS waits for its count anyway")
IN_INFERENCE = [NMS_LOOP]
IN_TRAINING = [
    NMS_LOOP,
    ("StatelessWhile", "_targets_1/while", "how many objects, or crowds, there are at most"),
    ("StatelessRandomGetKeyCounter", "stateless_random_uniform", "the seed, a variable of Keras'"),
    ("If", "cond", "each step asks whether loss and gradients are finite"),
    ("PyFunc", "cond/else", "only where they are not"),
    # Shapes of a few numbers, in TensorFlow's gradient of `gather` and of `take_along_axis`.
    *((op, "gradient_tape/", "a shape") for op in ("ConcatV2", "Mul", "Pack", "Range", "Reshape")),
]


def unknown_sizes(array, known):
    """A batch's spec of which only the last sizes, and the rank, are known."""
    return tf.TensorSpec([None] * (array.ndim - known) + list(array.shape)[-known:], array.dtype)


@pytest.fixture(scope="module", autouse=True)
def _with_gpu():
    """The forms that take the place of TensorFlow's slow kernels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu_forms, "has_gpu", lambda: True)
        yield


@pytest.fixture(scope="module")
def specs():
    images, targets = batch()
    known = {"masks": 2, "classes": 0, "image_ids": 0}
    return unknown_sizes(images, 1), {
        name: tf.TensorSpec([None] * value.ndim, value.dtype)
        if known.get(name, 1) == 0
        else unknown_sizes(value, known.get(name, 1))
        for name, value in targets.items()
    }


@pytest.fixture(scope="module")
def model():
    model = tiny_model()
    model.compile("sgd")
    model.optimizer.build(model.trainable_variables)
    return model


def check(found, allowed):
    surprises = [
        one
        for one in found
        if not any(one.op == op and part in one.name for op, part, _ in allowed)
    ]
    assert not surprises, "\n".join(map(str, surprises))
    stale = [
        entry
        for entry in allowed
        if not any(f.op == entry[0] and entry[1] in f.name for f in found)
    ]
    assert not stale, f"no longer needed: {stale}"


def test_inference(model, specs):
    images, targets = specs
    inputs = {"images": images, "image_sizes": targets["image_sizes"]}
    model.make_predict_function()
    check(findings(model.predict_function.get_concrete_function([(inputs,)])), IN_INFERENCE)


def test_training_step(model, specs):
    step = tf.function(model.train_step, autograph=False)
    check(findings(step.get_concrete_function(specs)), IN_TRAINING)


@pytest.mark.parametrize(
    "pooler",
    [RoIAlignLayer, RoIPoolLayer, RoIWarpLayer, CropAndResizeLayer],
    ids=lambda p: p.__name__,
)
def test_levels_and_images_of_rois(pooler):
    """From boxes that the GPU computed to the op: nothing in between asks for the host."""
    layer = pooler(7, strides=(4, 8))
    features = [tf.TensorSpec([2, side, side, 8], tf.float32) for side in (32, 16)]
    boxes = tf.TensorSpec([2, None, 4], tf.float32)
    pool = tf.function(lambda features, boxes: layer(features, keras.ops.relu(boxes)))
    assert findings(pool.get_concrete_function(features, boxes)) == []


def test_what_is_found():
    """The analysis itself: int32 arithmetic on what a GPU computed, in a loop, and a CPU's op."""

    @tf.function(autograph=False)
    def function(x):
        whole = tf.cast(tf.exp(x), tf.int32) - 1
        late = tf.cast(tf.exp(x) - 1.0, tf.int32)
        shape = tf.shape(x) - 1  # on the host from the start

        def turn(i, y):
            return i + 1, tf.exp(tf.cast(tf.cast(y, tf.int32) * 2, tf.float32))

        _, y = tf.while_loop(lambda i, _: i < 3, turn, (0, x))
        return whole, late, shape, y, tf.strings.as_string(tf.exp(x))

    found = findings(function.get_concrete_function(tf.TensorSpec([None], tf.float32)))
    assert [(f.kind, f.op, f.dtype, f.source, f.in_loop) for f in found] == [
        ("copy", "AsString", "float32", "Exp", False),
        ("copy", "Mul", "int32", "Cast", True),
        ("copy", "Sub", "int32", "Cast", False),
        ("cpu", "AsString", "float32", "", False),
    ]
    assert found[2] == Finding("copy", "Sub", "int32", "sub", "Cast")

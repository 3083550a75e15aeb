"""Training ends at the first number that is not finite, and nothing of it enters the weights."""

import json
import re
from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import batch, get_state, run_python, set_state, tiny_model, to_dataset

from keras_maskrcnn import NonFiniteError
from keras_maskrcnn.models import replicas
from keras_maskrcnn.models.finite import CompiledGuard, FiniteGuard, require_finite_weights


def batches(broken=None):
    """Three batches of pictures 10, 11; 20, 21; 30, 31; the broken one has a pixel of nan."""
    made = []
    for number in range(3):
        images, targets = batch(2, seed=number)
        targets["image_ids"] = np.array([10, 11]) + 10 * number
        if number == broken:
            images[1, 5, 5, 0] = np.nan
        made.append((images, targets))
    return to_dataset(made)


def test_a_step_without_a_finite_loss_is_named_and_changes_no_weight():
    # Of its own: the shared model is taught its pictures first.
    model = tiny_model()
    model.compile(keras.optimizers.Adam(2e-3))
    initial = get_state(model)
    model.fit(batches().take(2), verbose=0)
    expected = [v.numpy() for v in (*model.trainable_variables, *model.optimizer.variables)]
    set_state(model, initial)
    with pytest.raises(NonFiniteError) as error:
        model.fit(batches(broken=2), verbose=0)
    assert (error.value.step, error.value.image_ids) == (3, [30, 31])
    message = str(error.value)
    # Where a layer's maximum swallows the nan, it is in the gradient alone.
    what = r"the loss is (nan|[\d.]+, but the norm of its gradient is nan)"
    ids = "Image ids of its batch: 30, 31"
    assert re.match(rf"Training stopped at step 3: {what}\. {ids}\. What may help: ", message)
    assert "a lower learning rate (it is 0.002 here); " in message
    assert "a limit of the gradient's norm, such as global_clipnorm=10" in message
    assert "{{" not in message and "\n" not in message
    stopped = [v.numpy() for v in (*model.trainable_variables, *model.optimizer.variables)]
    for value, wanted in zip(stopped, expected, strict=True):
        np.testing.assert_array_equal(value, wanted)
    files = {30: "a.jpg", 31: "b.jpg", 32: "c.jpg"}
    assert ": 30 (a.jpg), 31 (b.jpg). What" in str(error.value.with_files(files))

    # What it remembers of the failure is not told of the next one.
    set_state(model, initial)
    weighted = batches().map(lambda images, targets: (images, targets, tf.ones(2)))
    with pytest.raises(ValueError, match=r"must give \(images, targets\)"):
        model.fit(weighted, verbose=0)
    history = model.fit(batches().take(1), verbose=0).history
    assert np.isfinite(history["loss"]).all()


class Toy(keras.Model):
    """One weight `w` and the loss `sqrt(w) * x`: at 0, a finite loss with an infinite gradient."""

    def __init__(self, start):
        super().__init__()
        self.w = self.add_weight(shape=(), initializer=keras.initializers.Constant(start))
        self.guard = FiniteGuard()
        self.built = True

    def call(self, x):
        return keras.ops.sqrt(self.w) * x

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return keras.ops.mean(y_pred)

    def train_step(self, data):
        x, y = data
        ids = replicas.gathered(tf.cast(y[:, 0], "int64"))
        return replicas.train_step(self, x, y, partial(self.guard.check, self.optimizer, ids))

    def fit(self, *args, **kwargs):
        with self.guard.explained(self):
            return super().fit(*args, verbose=0, **kwargs)


class CompiledToy(Toy):
    """The same with steps that XLA compiles."""

    def __init__(self, start):
        super().__init__(start)
        self.compiled_guard = CompiledGuard()

    def train_step(self, data):
        update = partial(self.compiled_guard.update, self.optimizer)
        return replicas.train_step(self, *data, guard=update)

    def fit(self, *args, **kwargs):
        return super().fit(*args, callbacks=[self.compiled_guard], **kwargs)


ONES = np.ones((4, 1), "float32")


@pytest.mark.parametrize("eagerly", [False, True])
def test_a_gradient_that_is_not_finite_under_a_finite_loss(eagerly):
    model = Toy(0.0)
    # Weight decay needs no gradient: it must wait too.
    optimizer = keras.optimizers.AdamW(0.5, weight_decay=0.1, global_clipnorm=3.0)
    model.compile(optimizer, run_eagerly=eagerly, jit_compile=False)
    with pytest.raises(NonFiniteError) as error:
        model.fit(ONES, ONES, batch_size=2)
    message = str(error.value)
    assert (
        "step 1: the loss is 0, but the norm of its gradient is inf. Image ids of its batch: 1, 1. "
        in message
    )
    assert "a lower limit of the gradient's norm" in message
    assert float(model.w) == 0 and int(optimizer.iterations) == 0
    assert isinstance(error.value, ArithmeticError)


@pytest.mark.parametrize("together", [1, 3])
def test_a_compiled_step_that_is_not_finite(together):
    model = CompiledToy(4.0)
    optimizer = keras.optimizers.AdamW(0.5, weight_decay=0.1)
    model.compile(optimizer, jit_compile=True, steps_per_execution=together)
    x = np.ones((6, 1), "float32")
    model.fit(x[:2], x[:2], batch_size=2)
    after_one = float(model.w)
    assert after_one != 4.0
    model.w.assign(4.0)
    optimizer.iterations.assign(0)
    x[2] = np.inf  # Of the second step of three.
    with pytest.raises(NonFiniteError) as error:
        model.fit(x, x, batch_size=2, shuffle=False)
    assert (error.value.step, error.value.image_ids) == (2, None)
    assert "step 2: the loss is inf. What may help" in str(error.value)
    assert int(optimizer.iterations) == 1 and np.isfinite(float(model.w))
    # The failure is forgotten.
    model.fit(x[:2], x[:2], batch_size=2)
    assert int(optimizer.iterations) == 2
    model.w.assign(0.0)
    with pytest.raises(NonFiniteError, match="the norm of its gradient is inf"):
        model.fit(x[:2], x[:2], batch_size=2)
    assert float(model.w) == 0.0


def test_weights_that_grow_until_the_loss_is_infinite():
    model = Toy(1.0)
    model.compile(keras.optimizers.SGD(-1e30), jit_compile=False)
    x = np.array([[1.0], [1e30], [1.0]], "float32")
    with pytest.raises(NonFiniteError, match="step 2: the loss is inf"):
        model.fit(x, x, batch_size=1, shuffle=False)
    assert np.isfinite(float(model.w)) and int(model.optimizer.iterations) == 1


def test_loss_scaling_keeps_its_own_answer_to_overflow():
    """It leaves such a step out and lowers the scale: nothing to stop for."""
    model = Toy(0.0)
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.5), initial_scale=8.0)
    model.compile(scaled, jit_compile=False)
    model.fit(ONES, ONES, batch_size=2)
    assert float(model.w) == 0
    assert float(scaled.dynamic_scale) == 2.0  # Halved in each of two steps.


def test_weights_are_checked_before_they_are_saved():
    model = Toy(2.0)
    model.compile("sgd")
    require_finite_weights(model)
    model.w.assign(np.inf)
    with pytest.raises(NonFiniteError, match=r"variable\w* holds values that are not finite"):
        require_finite_weights(model)


REPLICAS = """
import os, json
os.environ["CUDA_VISIBLE_DEVICES"] = ""
import keras, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from models.test_finite import Toy
from keras_maskrcnn import NonFiniteError
from keras_maskrcnn.models import replicas

with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    model = Toy(1.0)
    model.compile(keras.optimizers.SGD(0.5, momentum=0.9), jit_compile=False)
Toy._maybe_symbolic_build = lambda self, **k: replicas.build_optimizer(self)
x = np.ones((12, 1), "float32")
x[7] = np.nan  # In the second batch, on the second replica.
try:
    model.fit(x, np.arange(12)[:, None], batch_size=4, shuffle=False)
except NonFiniteError as error:
    print("result", json.dumps([error.step, error.image_ids, float(model.w.numpy())]))
"""


def test_on_several_replicas():
    output = run_python(REPLICAS)
    result = next(line for line in output.splitlines() if line.startswith("result"))
    step, image_ids, weight = json.loads(result.removeprefix("result"))
    assert (step, image_ids) == (2, [4, 5, 6, 7])
    # One step of gradient 1 / 2, summed over both replicas, as `Toy` does not share the loss.
    assert weight == pytest.approx(1 - 0.5 * 0.5 * 2)

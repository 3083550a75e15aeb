"""Forms for a GPU: the values of what they take the place of, where there is none too."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import batch, four_maps, tiny_model

from keras_maskrcnn.ops import gpu_forms


@pytest.fixture
def with_gpu(monkeypatch):
    monkeypatch.setattr(gpu_forms, "has_gpu", lambda: True)


@pytest.mark.parametrize(
    ("count", "k"), [(1000, 40), (1003, 100), (16, 16), (5, 3), (1, 1), (97, 97)]
)
def test_largest_of_groups(count, k):
    rng = np.random.default_rng(count)
    # Few distinct values: ties within groups and between them.
    values = rng.integers(0, 7, (3, count)).astype("float32")
    values[1, ::2] = -np.inf
    expected = tf.math.top_k(values, k)
    found = tf.function(gpu_forms.top_k_in_groups)(values, tf.constant(k), 16)
    np.testing.assert_array_equal(found[0], expected.values)
    np.testing.assert_array_equal(found[1], expected.indices)


def test_an_export_has_the_plain_operations(with_gpu, tmp_path):
    model = tiny_model(backbone=four_maps(), heads=())
    model.export(tmp_path / "served")
    loaded = tf.saved_model.load(tmp_path / "served" / "1")
    exported = loaded.signatures["serving_default"].graph.as_graph_def()
    sorts = [n.op for f in exported.library.function for n in f.node_def].count("TopKV2")
    # One for each of five levels, and one that orders what is found.
    assert sorts == 6
    shapes = tf.TensorSpec([1, None, None, 3]), tf.TensorSpec([1, 2], tf.int32)
    call = tf.function(lambda images, sizes: model({"images": images, "image_sizes": sizes}))
    traced = call.get_concrete_function(*shapes).graph.as_graph_def()
    assert [node.op for node in traced.node].count("TopKV2") == 10


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_gradient_of_a_bias(with_gpu, dtype):
    rng = np.random.default_rng(0)
    x, upstream = (tf.constant(rng.normal(size=(2, 30, 40, 8)), dtype) for _ in range(2))
    bias = tf.constant(rng.normal(size=8), dtype)
    with tf.GradientTape() as tape:
        tape.watch([x, bias])
        result = gpu_forms.add_bias(x, bias)
    np.testing.assert_array_equal(result, x + bias)
    of_x, of_bias = tape.gradient(result, [x, bias], upstream)
    np.testing.assert_array_equal(of_x, upstream)
    exact = tf.cast(upstream, tf.float64).numpy().sum((0, 1, 2))
    # Units in the last place: a CPU's product rounds its parts, too.
    step = {"bfloat16": 2.0**-7, "float16": 2.0**-10}[dtype]
    np.testing.assert_allclose(tf.cast(of_bias, tf.float64), exact, rtol=step)


def trained(optimizer):
    model = tiny_model(dtype="mixed_bfloat16", backbone=four_maps(), heads=())
    model.compile(optimizer)
    model.optimizer.build(model.trainable_variables)
    images, targets = batch(2)
    step = tf.function(model.train_step, autograph=False).get_concrete_function((images, targets))
    losses = [float(step((images, targets))["loss"]) for _ in range(3)]
    values = [v.numpy() for v in (*model.trainable_variables, *model.optimizer.variables)]
    functions = step.graph.as_graph_def().library.function
    return losses, values, [f for f in functions if f.attr["_XlaMustCompile"].b]


def test_a_model_trains_as_without(monkeypatch):
    results = []
    for here in (False, True):
        monkeypatch.setattr(gpu_forms, "has_gpu", lambda here=here: here)
        keras.utils.set_random_seed(0)
        optimizer = keras.optimizers.SGD(0.001, momentum=0.9, global_clipnorm=1.0)
        results.append(trained(optimizer))
    (losses, values, plain), (found, others, compiled) = results
    assert not plain
    assert compiled
    np.testing.assert_allclose(found, losses, rtol=1e-5)
    for a, b in zip(others, values, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_gpu_without_all_of_cuda(with_gpu, monkeypatch, caplog):
    def refused(function, **_):
        def run(*_):
            raise tf.errors.InternalError(None, None, "libdevice not found at ./x\nmore")

        return run

    gpu_forms._xla_compiles.cache_clear()
    monkeypatch.setattr(gpu_forms.tf, "function", lambda **_: lambda f: refused(f))
    update = print
    with tf.Graph().as_default():
        assert gpu_forms.in_few_launches(update) is update
        assert gpu_forms.in_few_launches(update) is update
    gpu_forms._xla_compiles.cache_clear()
    (record,) = caplog.records
    assert "XLA cannot compile for this GPU: libdevice not found at ./x. " in record.getMessage()


def test_updates_stay_as_they_are(with_gpu):
    """Where XLA would be asked at every step, and where replicas add up their gradients."""
    update = print
    assert gpu_forms.in_few_launches(update) is update  # Eagerly.

    @tf.function(autograph=False)
    def in_a_graph():
        assert gpu_forms.in_few_launches(update) is not update
        with tf.distribute.OneDeviceStrategy("/CPU:0").scope():
            assert gpu_forms.in_few_launches(update) is update

    in_a_graph()

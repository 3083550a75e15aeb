"""Models that XLA compiles: the numbers of those that it does not, and what it refuses."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import MASK, batch, four_maps, keypoint_head, tiny_model, to_dataset

from keras_maskrcnn import NonFiniteError
from keras_maskrcnn.heads.mask import Mask
from keras_maskrcnn.losses import mask_loss, softmax_mask_loss
from keras_maskrcnn.models.objective import loss_parts
from keras_maskrcnn.models.xla import XlaGraphs

KEYPOINTS = 3
RESNET_OF_BATCHES = {"name": "resnet18", "norm": "batch"}
MODELS = {
    "mask": {},
    "softmax": {"heads": ({**MASK, "output": "softmax", "upsampling": "bilinear"},)},
    "keypoint": {"heads": (MASK, keypoint_head(KEYPOINTS, convs=1, dim=16, shift=0.5))},
    "cascade": {"box": {"name": "cascade", "convs": 1, "fcs": 1, "norm": "group"}},
    "c4": {
        "backbone": {"name": "resnet18", "norm": "frozen"},
        "neck": {"name": "c4"},
        "rpn": {"anchor_sizes": ((8, 16, 32, 48, 64),)},
        "box": {"pool_size": 4, "nms": "soft_linear"},
    },
}


@pytest.fixture(scope="module", autouse=True)
def _whole_float32():
    """A GPU multiplies in TF32 by itself: 10 bits, of which two graphs round unlike ones."""
    was = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    yield
    tf.config.experimental.enable_tensor_float_32_execution(was)


class TakesNoNotice(Mask):
    """A head whose losses take padding for RoIs."""

    def losses(self, predictions, targets, total):
        return super().losses(predictions, targets, total)


def made(**changes):
    """A model whose scores tell its RoIs apart; of equal weights each time."""
    keras.utils.set_random_seed(0)
    model = tiny_model(**{"backbone": four_maps(), **changes})
    box, rng = model.network.box, np.random.default_rng(0)
    for head in getattr(box, "heads", None) or [box.head]:
        kernel = head.class_logits.kernel
        kernel.assign(rng.normal(0, 0.3, kernel.shape))
    return model


def pictures(**options):
    """The first shows two objects, the second none; a corner of both is padding."""
    images, targets = batch(2, keypoints=KEYPOINTS, **options)
    targets["classes"][1] = -1
    targets["boxes"][1] = 0
    targets["image_sizes"][:] = [[60, 96], [64, 80]]
    return images, targets


def inputs():
    images, targets = pictures()
    return {"images": images, "image_sizes": targets["image_sizes"]}


def assert_same_results(found, expected):
    assert set(found) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    "kind",
    [
        "mask",
        "c4",
        *(
            pytest.param(kind, marks=pytest.mark.slow)
            for kind in ("softmax", "keypoint", "cascade")
        ),
    ],
)
def test_fixed_slots_train_as_lists_do(kind):
    model = made(**MODELS[kind])
    images, targets = pictures()
    truth = {name: tf.constant(v) for name, v in {"images": images, **targets}.items()}
    layouts = tuple(head.layout(truth) for head in model.network.heads)
    states = [
        layer.seed_generator.state for layer in (model.anchor_targets, model.detection_targets)
    ]
    before = [state.numpy() for state in states]

    def step(graph):
        for state, value in zip(states, before, strict=True):
            state.assign(value)
        with tf.GradientTape() as tape:
            outputs = graph({name: truth[name] for name in graph.input}, training=True)
            parts = loss_parts(model.network, outputs, [], 0.0)
            loss = sum(parts.values())
        return parts, tape.gradient(loss, [v.value for v in model.trainable_variables])

    # With the same RoIAlign: the compiled op adds in another order, which moves gradients of the
    # first layers by 1e-4 of the largest.
    lists = model.network.variant(backend="gather")
    expected, gradients = step(lists.training_graph(layouts))
    found, others = step(XlaGraphs(model.network).training(layouts))
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6, err_msg=name)
        assert value > 0 or name == "regularization_loss"
    for a, b, variable in zip(others, gradients, model.trainable_variables, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5, err_msg=variable.path)


@pytest.mark.slow  # As below.
def test_xla_predicts_the_same():
    model = made()
    model.compile(jit_compile=False)
    expected = model.predict_on_batch(inputs())
    assert expected["counts"].min() > 0
    model.compile(jit_compile=True)
    assert model.jit_compile
    assert_same_results(model.predict_on_batch(inputs()), expected)


@pytest.mark.slow  # XLA takes minutes on two cores.
def test_xla_trains_the_same():
    results = []
    for compiled in (False, True):
        model = made()
        # Small steps: a model that explodes makes much of the last digit.
        optimizer = keras.optimizers.SGD(0.001, momentum=0.9, global_clipnorm=1.0)
        model.compile(optimizer, jit_compile=compiled)
        history = model.fit(to_dataset([pictures(), pictures(seed=1)]), verbose=0).history
        held_out = model.evaluate(to_dataset([pictures(seed=2)]), verbose=0, return_dict=True)
        state = [v.numpy() for v in (*model.trainable_variables, *model.optimizer.variables)]
        results.append((history, held_out, state))
    (history, held_out, state), (found, found_held_out, found_state) = results
    for name, values in history.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-6, err_msg=name)
    for name, value in held_out.items():
        np.testing.assert_allclose(found_held_out[name], value, rtol=1e-5, atol=1e-6)
    for a, b in zip(found_state, state, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)

    images, targets = pictures()
    broken = to_dataset([(images, targets), (images * np.nan, targets)])  # `fit` reads the first.
    with pytest.raises(NonFiniteError, match="Training stopped at step 4: the loss is nan"):
        model.fit(broken, verbose=0)


def test_auto_never_compiles(monkeypatch):
    gpu = tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [gpu])
    model = made(heads=())
    model.compile()
    assert model.jit_compile is False
    # Keras does, where all layers know XLA.
    plain = keras.Sequential([keras.layers.Dense(1)])
    plain.compile()
    assert plain.jit_compile is True


def test_it_is_saved(tmp_path):
    model = made(backbone="resnet18", heads=())
    model.compile(keras.optimizers.SGD(0.01), jit_compile=True)
    model.save(tmp_path / "model.keras")
    assert keras.saving.load_model(tmp_path / "model.keras").jit_compile is True


@pytest.mark.parametrize(
    ("message", "changes"),
    [
        (r"Received: layers \['decode_keypoints'\]", MODELS["keypoint"]),
        (
            r"Received: layers \['box_align', 'mask_align'\]",
            {"pooler": {"name": "roi_align", "sampling_ratio": 0}},
        ),
        (r"Received: layers \['box_align', 'mask_align'\]", {"pooler": "roi_pool"}),
    ],
)
def test_layers_that_xla_cannot_compile(message, changes):
    model = made(**changes)
    model.compile(jit_compile=True)
    with pytest.raises(ValueError, match=message):
        model.predict_on_batch(inputs())


@pytest.mark.parametrize(
    ("message", "changes"),
    [
        ("'box.norm': 'batch'", {"box": {"norm": "batch", "convs": 1}}),
        ("'mask.norm': 'sync_batch'", {"heads": ({**MASK, "norm": "sync_batch"},)}),
        ("'backbone.norm': 'batch'", {**MODELS["c4"], "backbone": RESNET_OF_BATCHES}),
        ("head 'mask' without", {"heads": (TakesNoNotice(),)}),
    ],
)
def test_parts_that_padding_would_disturb(message, changes):
    model = made(**changes)
    with pytest.raises(ValueError, match=message):
        XlaGraphs(model.network).training((None,) * len(model.network.heads))


def test_several_replicas(monkeypatch):
    model = made(heads=())
    two = types.SimpleNamespace(num_replicas_in_sync=2)
    monkeypatch.setattr(type(model), "distribute_strategy", two)
    with pytest.raises(ValueError, match="one replica. Received: 2 replicas"):
        model.jit_compile = True


def test_losses_of_real_rois_alone():
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=(2, 3, 4, 4)).astype("float32")
    real = np.array([True, False, True])
    found, expected = mask_loss(logits, targets, real=real), mask_loss(logits[real], targets[real])
    assert float(found) == pytest.approx(float(expected))
    said = np.log(rng.uniform(0.1, 0.9, (3, 4, 4, 2))).astype("float32")
    found = softmax_mask_loss(said, targets, real=real)
    expected = softmax_mask_loss(said[real], targets[real])
    assert float(found) == pytest.approx(float(expected))
    nothing = np.zeros(3, bool)
    assert float(mask_loss(logits, targets, real=nothing)) == 0.0

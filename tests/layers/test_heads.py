"""Heads and the layers around them, against plain numpy."""

import keras
import numpy as np
import pytest

from keras_maskrcnn.layers.anchor_layer import AnchorLayer
from keras_maskrcnn.layers.box_head import BoxHead
from keras_maskrcnn.layers.keypoint_head import KeypointHead
from keras_maskrcnn.layers.mask_head import MaskHead
from keras_maskrcnn.layers.roi_selection import RestoreSlots, SelectRoIs, TakeSlots
from keras_maskrcnn.layers.rpn_head import RPNHead


def _noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def _randomise(layer):
    """Weights of ordinary size, biases too: the initial ones are too small to show an error."""
    rng = np.random.default_rng(1)
    for w in layer.weights:
        if "moving_variance" in w.path or "gamma" in w.path:
            w.assign(rng.uniform(0.5, 2.0, w.shape))
        else:
            fan_in = np.prod(w.shape[:-1]) if len(w.shape) > 1 else 4
            w.assign(rng.normal(size=w.shape) / np.sqrt(fan_in))
    return {w.path.partition("/")[2]: keras.ops.convert_to_numpy(w) for w in layer.weights}


def _conv3(x, kernel, bias=0.0):
    """3x3 convolution, zeros around."""
    h, w = x.shape[1:3]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return bias + sum(
        padded[:, i : i + h, j : j + w] @ kernel[i, j] for i in range(3) for j in range(3)
    )


def _relu(x):
    return np.maximum(x, 0)


def test_rpn_head():
    head = RPNHead(anchors_per_cell=3, num_convs=2, channels=4, name="rpn")
    features = [_noise(2, 3, 2, 4), _noise(2, 1, 1, 4, seed=2)]
    head.build([x.shape for x in features])
    w = _randomise(head)
    logits, deltas = head(features)
    for x, logit, delta in zip(features, logits, deltas, strict=True):
        for i in (1, 2):
            x = _relu(_conv3(x, w[f"conv{i}/kernel"], w[f"conv{i}/bias"]))
        # Cell by cell in reading order, within a cell anchor by anchor.
        expected = x @ w["objectness/kernel"][0, 0] + w["objectness/bias"]  # [B, h, w, a]
        np.testing.assert_allclose(logit, expected.reshape(2, -1), atol=1e-5)
        expected = x @ w["deltas/kernel"][0, 0] + w["deltas/bias"]  # [B, h, w, 4 a]
        np.testing.assert_allclose(delta, expected.reshape(2, -1, 4), atol=1e-5)


def test_box_head():
    head = BoxHead(num_classes=2, num_convs=0, num_fcs=2, dim=7, name="box")
    x = _noise(6, 2, 2, 4)  # P 6, p 2, C 4
    head.build(x.shape)
    w = _randomise(head)
    logits, deltas = head(x)
    y = x.reshape(6, 16)
    for i in (1, 2):
        y = _relu(y @ w[f"fc{i}/kernel"] + w[f"fc{i}/bias"])
    expected = y @ w["class_logits/kernel"] + w["class_logits/bias"]
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    expected = (y @ w["box_deltas/kernel"] + w["box_deltas/bias"]).reshape(6, 2, 4)
    np.testing.assert_allclose(deltas, expected, atol=1e-5)


def test_box_head_with_convolutions_only_averages_the_roi():
    head = BoxHead(num_classes=1, num_convs=1, num_fcs=0, name="box")
    x = _noise(2, 3, 3, 4)
    head.build(x.shape)
    w = _randomise(head)
    y = _relu(_conv3(x, w["conv1/kernel"], w["conv1/bias"])).mean((1, 2))  # [R, 256]
    assert y.shape == (2, 256)
    expected = y @ w["class_logits/kernel"] + w["class_logits/bias"]
    np.testing.assert_allclose(head(x)[0], expected, atol=1e-5)


def test_mask_head_gives_the_mask_of_the_class():
    head = MaskHead(num_classes=3, num_convs=1, dim=5, name="mask")
    x, classes = _noise(2, 3, 3, 4), np.array([2, 0])
    head.build(x.shape, classes.shape)
    w = _randomise(head)
    y = _relu(_conv3(x, w["conv1/kernel"], w["conv1/bias"]))
    # Stride 2 and a kernel of 2: every output pixel has one source.
    y = np.einsum("pijc,abdc->piajbd", y, w["deconv/kernel"]).reshape(2, 6, 6, 5)
    y = _relu(y + w["deconv/bias"]) @ w["mask_logits/kernel"][0, 0] + w["mask_logits/bias"]
    expected = np.stack([y[0, ..., 2], y[1, ..., 0]])
    np.testing.assert_allclose(head(x, classes), expected, atol=1e-5)


def test_keypoint_head():
    head = KeypointHead(num_keypoints=2, num_convs=1, dim=5, name="keypoints")
    x = _noise(2, 3, 3, 4)
    head.build(x.shape)
    w = _randomise(head)
    y = _relu(_conv3(x, w["conv1/kernel"], w["conv1/bias"]))
    full = np.zeros((2, 8, 8, 2), "float32")  # Stride 2, a kernel of 4: 2 * (3 - 1) + 4 wide.
    for i in range(3):
        for j in range(3):
            part = np.einsum("pc,abdc->pabd", y[:, i, j], w["deconv/kernel"])
            full[:, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4] += part
    y = full[:, 1:-1, 1:-1] + w["deconv/bias"]
    # Twice as fine, bilinear between pixel centres: quarter and three-quarter mixes.
    weights = np.zeros((12, 6), "float32")
    for i in range(12):
        position = np.clip((i + 0.5) / 2 - 0.5, 0, 5)
        low = min(int(position), 4)
        weights[i, low], weights[i, low + 1] = 1 - (position - low), position - low
    expected = np.einsum("ia,jb,pabk->pijk", weights, weights, y)
    np.testing.assert_allclose(head(x), expected, atol=1e-5)


@pytest.mark.parametrize("num_rois", [0, 3])
def test_heads_stay_float32_outside_and_compute_in_bfloat16_inside(num_rois):
    policy = "mixed_bfloat16"
    x = keras.ops.cast(_noise(num_rois, 2, 2, 4), "bfloat16")
    classes = np.zeros(num_rois, "int32")
    cases = [
        (MaskHead(2, 1, 8, dtype=policy), (x, classes), [(num_rois, 4, 4)]),
        (KeypointHead(2, 1, 8, dtype=policy), (x,), [(num_rois, 8, 8, 2)]),
        (BoxHead(2, 1, 1, 8, dtype=policy), (x,), [(num_rois, 3), (num_rois, 2, 4)]),
    ]
    if num_rois:
        cases += [
            (RPNHead(3, 1, 4, dtype=policy), ([x],), [(3, 12), (3, 12, 4)]),
        ]
    for head, inputs, shapes in cases:
        outputs = keras.tree.flatten(head(*inputs))
        assert [tuple(y.shape) for y in outputs] == shapes
        assert {keras.backend.standardize_dtype(y.dtype) for y in outputs} == {"float32"}
        inner = [layer for layer in head._flatten_layers() if hasattr(layer, "kernel")]
        assert inner and {layer.compute_dtype for layer in inner} == {"bfloat16"}
        assert {keras.backend.standardize_dtype(w.dtype) for w in head.weights} == {"float32"}


@pytest.mark.parametrize("make", [MaskHead, KeypointHead, BoxHead])
def test_heads_on_no_roi_inside_a_graph(make):
    """oneDNN's convolution of an empty batch has the wrong channels: 4 here, not 8 or 2."""
    head = make(2, 1, 8)
    x = keras.Input((2, 2, 4))
    classes = keras.Input((), dtype="int32")
    inputs = [x, classes] if make is MaskHead else [x]
    model = keras.Model(inputs, head(*inputs))
    nothing = [np.zeros((0, *i.shape[1:]), i.dtype) for i in inputs]
    shapes = {
        MaskHead: [(0, 4, 4)],
        KeypointHead: [(0, 8, 8, 2)],
        BoxHead: [(0, 3), (0, 2, 4)],
    }[make]
    for run_eagerly in (False, True):
        model.compile(run_eagerly=run_eagerly)
        found = keras.tree.flatten(model.predict_on_batch(nothing))
        assert [x.shape for x in found] == shapes


@pytest.mark.parametrize("head", [MaskHead(2, 2, 8, "batch"), BoxHead(2, 2, 1, 8, "batch")])
def test_no_roi_leaves_trained_statistics_alone(head):
    x, classes = _noise(3, 2, 2, 4), np.zeros(3, "int32")
    args = (x, classes) if isinstance(head, MaskHead) else (x,)
    head(*args, training=True)  # Some statistics that are neither 0 nor 1.
    before = [w.numpy() for w in head.non_trainable_variables]
    assert all(np.all((w != 0) & (w != 1)) for w in before)
    head(*(value[:0] for value in args), training=True)
    for value, expected in zip(head.non_trainable_variables, before, strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_selection_and_its_inverse():
    rois = np.arange(24, dtype="float32").reshape(2, 3, 4)
    chosen = np.array([[False, True, False], [True, False, True]])
    boxes, owners, slots = SelectRoIs()(rois, chosen)
    np.testing.assert_array_equal(boxes, rois[[0, 1, 1], [1, 0, 2]])
    np.testing.assert_array_equal(owners, [0, 1, 1])
    np.testing.assert_array_equal(slots, [1, 3, 5])
    values = _noise(2, 3, 2, 5)
    taken = TakeSlots()(values, slots)
    np.testing.assert_array_equal(taken, values[chosen])
    restored = RestoreSlots()(taken, slots, chosen)
    np.testing.assert_array_equal(restored, values * chosen[..., None, None])
    classes = np.array([[9, 8, 7], [6, 5, 4]], "int32")
    taken = TakeSlots()(classes, slots)
    np.testing.assert_array_equal(taken, [8, 6, 4])
    assert keras.backend.standardize_dtype(taken.dtype) == "int32"


def test_selection_of_nothing():
    chosen = np.zeros((2, 3), bool)
    boxes, owners, slots = SelectRoIs()(np.ones((2, 3, 4), "float32"), chosen)
    assert (boxes.shape, owners.shape, slots.shape) == ((0, 4), (0,), (0,))
    restored = RestoreSlots()(np.zeros((0, 5), "float32"), slots, chosen)
    np.testing.assert_array_equal(restored, np.zeros((2, 3, 5)))


def test_anchors_by_hand():
    layer = AnchorLayer(((4,), (8,)), (1.0, 4.0), (2, 4), name="anchors")
    assert layer.anchors_per_cell == 2
    images = np.zeros((3, 4, 8, 3), "float32")
    levels = [np.zeros((3, 2, 4, 1), "float32"), np.zeros((3, 1, 2, 1), "float32")]
    fine, coarse = layer(images, levels)
    assert fine.shape == (1, 16, 4)
    # Ratio 4 is height over width: sides 2 and 8 of the same area as 4 x 4. Along x first.
    np.testing.assert_allclose(
        fine[0, :4], [[-2, -2, 2, 2], [-1, -4, 1, 4], [0, -2, 4, 2], [1, -4, 3, 4]]
    )
    np.testing.assert_allclose(fine[0, 8], [-2, 0, 2, 4])  # The second row.
    np.testing.assert_allclose(
        coarse[0], [[-4, -4, 4, 4], [-2, -8, 2, 8], [0, -4, 8, 4], [2, -8, 6, 8]]
    )


def test_anchors_offset_and_bad_sizes():
    layer = AnchorLayer(((4,),), (1.0,), (2,), offset=0.5)
    anchors = layer(np.zeros((1, 2, 2, 3)), [np.zeros((1, 1, 1, 1))])
    np.testing.assert_allclose(anchors[0][0], [[-1, -1, 3, 3]])
    with pytest.raises(ValueError, match=r"strides=\(4, 8\)"):
        AnchorLayer(((4,),), (1.0,), (4, 8))

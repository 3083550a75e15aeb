"""Matterport's weights: every stage against its own arithmetic, and what a file must hold."""

import types
import warnings

import keras
import matterport_reference as theirs
import numpy as np
import pytest
import tensorflow as tf
from matterport_writer import BLOCKS, matterport_shapes, random_tensors, write_matterport_file

from keras_maskrcnn.backbones.resnet import build_resnet
from keras_maskrcnn.images.input_size import InputSize
from keras_maskrcnn.models.mask_rcnn import MaskRCNN
from keras_maskrcnn.models.presets import PRESETS
from keras_maskrcnn.ops.boxes import decode_boxes
from keras_maskrcnn.weights import (
    backbone_conventions,
    load_backbone_weights,
    load_detector_weights,
    load_preset_weights,
)

PRESET = "matterport_mask_rcnn_coco"
PICTURE = (128, 192)  # padded
VALID = (100, 192)


def _to_pixels(boxes):
    """Normalised y1 x1 y2 x2 to pixels x1 y1 x2 y2, as the network has them inside."""
    height, width = PICTURE
    return (boxes * [height - 1, width - 1, height - 1, width - 1])[..., [1, 0, 3, 2]]


def _close(ours, expected, tolerance=1e-4):
    expected = np.asarray(expected)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def _picture():
    """Coarse squares under noise, and black padding at the bottom."""
    rng = np.random.default_rng(1)
    squares = np.kron(rng.uniform(0, 200, (8, 12, 3)), np.ones((16, 16, 1)))
    pixels = (squares + rng.uniform(0, 50, (*PICTURE, 3))).astype("float32")
    pixels[VALID[0] :] = 0
    return pixels


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """The reference's stages on a picture, and the model from a file with the same weights."""
    tensors = random_tensors(matterport_shapes())
    reference = theirs.MatterportReference(tensors, BLOCKS["resnet101"])
    pixels = _picture()
    maps = reference.features(pixels)
    logits, deltas = reference.rpn(maps)
    # The softmax's foreground in full precision: float32 would tie where it saturates.
    scores = 1 / (1 + np.exp(-(logits[:, 1].astype("float64") - logits[:, 0])))
    rois = theirs.propose(scores, deltas, theirs.anchors(PICTURE))
    pooled = reference.pool(maps, rois, PICTURE, 7)
    # Random features favour some classes everywhere: even, but for the background.
    probabilities, _ = reference.classify(pooled)
    tensors["mrcnn_class_logits/bias"] -= np.log(probabilities + 1e-30).mean(axis=0)
    tensors["mrcnn_class_logits/bias"][0] += 10
    probabilities, refinements = reference.classify(pooled)
    window = theirs.normalise(np.array([0, 0, *VALID]), PICTURE)
    boxes, classes, confidence = theirs.detect(rois, probabilities, refinements, window)
    masks = reference.masks(reference.pool(maps, boxes, PICTURE, 14))

    path = write_matterport_file(tmp_path_factory.mktemp("matterport") / "coco.h5", tensors)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = MaskRCNN.from_preset(PRESET, weights_file=path)
    path.unlink()
    return types.SimpleNamespace(
        model=model,
        pixels=pixels,
        maps=maps,
        logits=logits,
        deltas=deltas,
        scores=scores,
        rois=rois,
        pooled=pooled,
        probabilities=probabilities,
        refinements=refinements,
        boxes=boxes,
        classes=classes,
        confidence=confidence,
        masks=masks[np.arange(len(boxes)), :, :, classes],
        tensors=len(tensors),
    )


SIZES = np.array([VALID], "int32")


def _pyramid(case):
    return [tf.constant(case.maps[f"P{level}"]) for level in (2, 3, 4, 5, 6)]


def test_every_tensor_is_used(case):
    report = case.model.load_report
    assert len(report.matched) == len(case.model.weights)
    assert not (report.fresh or report.ignored or report.missing or report.left)
    assert len({name for names in report.matched.values() for name in names}) == case.tensors
    assert str(report).startswith("coco.h5 (matterport detector)")


def test_features(case):
    network = case.model.network
    backbone = network.backbone(network.normalization(case.pixels[None], SIZES))
    pyramid = network.features(case.pixels[None], SIZES)
    for name, ours in [
        *backbone.items(),
        *zip(("P2", "P3", "P4", "P5", "P6"), pyramid, strict=True),
    ]:
        _close(ours, case.maps[name])


def test_padding_is_black(case):
    # Pixels beyond the valid area do not matter, whatever they are.
    pixels = case.pixels.copy()
    pixels[VALID[0] :] = 77
    normalised = case.model.network.normalization(pixels[None], SIZES)
    np.testing.assert_allclose(normalised[0, -1, 0], [-123.7, -116.8, -103.9], rtol=1e-6)


def test_rpn(case):
    network = case.model.network
    said = network.propose(case.pixels[None], _pyramid(case), SIZES, training=False)
    logits, deltas, anchors = (
        np.concatenate(x, axis=1)[0] for x in (said.logits, said.deltas, said.anchors)
    )
    _close(keras.ops.sigmoid(logits), tf.nn.softmax(case.logits)[:, 1])
    _close(deltas, case.deltas[:, [1, 0, 3, 2]])
    _close(anchors, _to_pixels(theirs.anchors(PICTURE)), 1e-6)
    refined = theirs.apply_deltas(theirs.anchors(PICTURE), case.deltas * theirs.STD)
    ours = decode_boxes(deltas, anchors, case.model.network.rpn.settings["weights"])
    _close(ours, _to_pixels(refined))


def test_proposals(case):
    # More anchors than enter the NMS, and more survivors than proposals.
    assert len(case.scores) > 6000 and len(case.rois) == 1000
    network = case.model.network
    sides = [(32, 48), (16, 24), (8, 12), (4, 6), (2, 3)]
    ends = np.cumsum([3 * h * w for h, w in sides])[:-1]
    difference = (case.logits[:, 1] - case.logits[:, 0]).astype("float32")
    limits, _ = network.coordinates.limits(case.pixels[None], SIZES)
    boxes, _, valid = network.rpn.proposals(
        np.split(difference[None], ends, axis=1),
        np.split(case.deltas[None][..., [1, 0, 3, 2]], ends, axis=1),
        np.split(_to_pixels(theirs.anchors(PICTURE))[None].astype("float32"), ends, axis=1),
        limits,
    )
    assert np.all(valid)
    _close(boxes[0], _to_pixels(case.rois))
    assert _to_pixels(case.rois)[:, 3].max() > VALID[0]  # into the padding


@pytest.mark.parametrize("side", [7, 14])
def test_pooling(case, side):
    # A larger picture, for boxes of every level.
    rng = np.random.default_rng(2)
    picture = np.array([512, 768])
    maps = {
        f"P{i}": rng.normal(size=(1, *picture // 2**i, 4)).astype("float32") for i in (2, 3, 4, 5)
    }
    corners = np.sort(rng.uniform(size=(100, 2, 2)) ** 1.5, axis=1).astype("float32")
    boxes = corners.reshape(100, 4)
    assert {theirs.roi_level(box, picture) for box in boxes} == {2, 3, 4, 5}
    network = case.model.network
    layer = network.box.pooler if side == 7 else network.heads[0].pooler
    pixels = (boxes * np.tile(picture - 1, 2))[:, [1, 0, 3, 2]].astype("float32")
    ours = layer([tf.constant(level) for level in maps.values()], pixels[None])
    _close(ours[0], theirs.MatterportReference.pool(maps, boxes, picture, side))


def test_box_head(case):
    logits, deltas = case.model.network.box.head(case.pooled)
    _close(keras.ops.softmax(logits), np.roll(case.probabilities, -1, axis=1))
    _close(deltas, case.refinements[:, 1:][..., [1, 0, 3, 2]])


def test_detections_and_masks(case):
    found = case.model.predict_on_batch({"images": case.pixels[None], "image_sizes": SIZES})
    # Rounding may move a score over the threshold: compare down to the next clear gap.
    near = np.append(case.confidence[case.confidence < 0.75][::-1], 0.75)
    gap = int(np.argmax(np.diff(near)))
    limit = near[gap : gap + 2].mean()
    count = int((found["scores"][0] > limit).sum())
    expected_count = int((case.confidence > limit).sum())
    assert count == expected_count > 20
    assert len(set(case.classes)) > 3
    _close(found["scores"][0, :count], case.confidence[:count])
    # In pixels, their ends exclusive again; equal scores may stand in another order.
    expected = _to_pixels(case.boxes[:count]) + np.array([0, 0, 1, 1])
    rows = [int(np.argmin(np.abs(found["boxes"][0, :count] - box).max(axis=1))) for box in expected]
    assert sorted(rows) == list(range(count))
    _close(found["boxes"][0, rows], expected)
    np.testing.assert_array_equal(found["classes"][0, rows], case.classes[:count] - 1)
    _close(found["masks"][0, rows], case.masks[:count])
    assert not found["boxes"][0, int(found["counts"][0]) :].any()
    assert found["boxes"].min() >= 0
    assert (found["boxes"][0, :, 2:] <= [VALID[1], VALID[0]]).all()


def test_pictures_and_names(case):
    # Resized to fit 1024 x 1024 and padded to it.
    assert case.model.input_size == InputSize(800, 1024, 1024)
    assert case.model.class_names[0] == "person" and len(case.model.class_names) == 80


# The smallest network that Matterport's settings allow, for what has no numbers.
SMALL = {
    "backbone": "resnet50",
    "neck": {"channels": 8},
    "box": {"dim": 16},
    "num_classes": 4,
}


def _small_shapes():
    return matterport_shapes("resnet50", classes=5, pyramid=8, dim=16)


@pytest.fixture(scope="module")
def small_model():
    return MaskRCNN.from_preset(PRESET, load_weights=False, **SMALL)


def test_a_users_own_model(tmp_path, small_model):
    """Another backbone, other classes, and the anchors that later versions save."""
    shapes = {**_small_shapes(), "anchors/Variable": (1, 9, 4)}
    path = write_matterport_file(tmp_path / "own.h5", shapes)
    report = load_detector_weights(small_model, path)
    assert len(report.matched) == len(small_model.weights)
    assert set(report.ignored) == {"anchors/Variable"}


def test_every_tensor_and_every_variable(tmp_path, small_model):
    shapes = _small_shapes()
    del shapes["bn5c_branch2b/gamma"]
    shapes["res5d_branch2a/kernel"] = (1, 1, 2048, 512)
    path = write_matterport_file(tmp_path / "w.h5", shapes)
    with pytest.raises(ValueError) as error:
        load_detector_weights(small_model, path)
    message = str(error.value)
    assert "Variables without a tensor: 1 (res5_block3_conv2/norm/gamma (bn5c_branch2b" in message
    assert "Tensors without a variable: 1 (res5d_branch2a/kernel)" in message


def test_values_that_are_not_finite(tmp_path, small_model):
    tensors = _small_shapes()
    tensors["mrcnn_mask_conv1/kernel"] = np.full(tensors["mrcnn_mask_conv1/kernel"], np.nan, "f4")
    # Finite, but the square root that folds it into the layer before is not.
    tensors["mrcnn_class_bn2/moving_variance"] = np.full(16, -1, "float32")
    path = write_matterport_file(tmp_path / "w.h5", tensors)
    for load in (
        lambda: load_detector_weights(small_model, path),
        lambda: load_preset_weights(small_model, PRESETS[PRESET], path),
    ):
        with pytest.raises(ValueError, match=r"NaN or infinite: 3 \(") as error:
            load()
        message = str(error.value)
        assert "mrcnn_mask_conv1/kernel (18432 of 18432 values)" in message
        for name in ("kernel", "bias"):
            assert f"box_head/fc2/{name} as made of mrcnn_class_conv2/{name}, " in message


def test_tensors_that_do_not_belong_together(tmp_path, small_model):
    """A column and a row would be multiplied to a matrix of 10 ** 10 values."""
    tensors = _small_shapes()
    tensors["mrcnn_class_conv1/kernel"] = np.zeros((10**5, 1), "float32")
    for name in ("gamma", "moving_variance"):
        tensors[f"mrcnn_class_bn1/{name}"] = np.zeros(10**5, "float32")
    path = write_matterport_file(tmp_path / "w.h5", tensors)
    with pytest.raises(ValueError, match=r"box_head/fc1/kernel .*they do not belong together"):
        load_detector_weights(small_model, path)


def test_conventions_must_hold(tmp_path):
    path = write_matterport_file(tmp_path / "w.h5", _small_shapes())
    changes = {"backbone": {"name": "resnet18", "stem_pool": "symmetric"}}  # quicker to build
    changes["box"] = {**SMALL["box"], "one_class_per_roi": False}
    model = MaskRCNN.from_preset(PRESET, load_weights=False, **{**SMALL, **changes})
    with pytest.raises(ValueError, match=r"stem_pool='same' rather than 'symmetric', .*one_class"):
        load_detector_weights(model, path)


def test_its_backbone_alone(tmp_path):
    path = write_matterport_file(tmp_path / "w.h5", _small_shapes())
    conventions = backbone_conventions("resnet50", path)
    assert conventions == {
        "stride_in_1x1": True,
        "preprocessing": "matterport",
        "stem_pool": "same",
    }
    del conventions["preprocessing"]
    backbone = build_resnet("resnet50", **conventions, norm_epsilon=1e-5)
    report = load_backbone_weights(backbone, path, preprocessing="matterport")
    assert len(report.matched) == len(backbone.weights)
    assert "mrcnn_mask/kernel" in report.ignored and "rpn_class_raw/bias" in report.ignored
    norm = backbone.get_layer("res5_block1_shortcut").norm
    np.testing.assert_allclose(norm.moving_mean, 0, atol=1e-8)  # the bias is taken off
    np.testing.assert_allclose(norm.moving_variance, 0.1 + 1e-3 - 1e-5, rtol=1e-6)


def test_other_classes_from_a_download_without_checksum(tmp_path, monkeypatch):
    path = write_matterport_file(tmp_path / "w.h5", _small_shapes())
    monkeypatch.setattr(keras.utils, "get_file", lambda *args, **kwargs: str(path))
    with pytest.warns(UserWarning) as caught:
        model = MaskRCNN.from_preset(PRESET, **{**SMALL, "num_classes": 2})
    messages = [str(warning.message) for warning in caught]
    assert any("v2.0/mask_rcnn_coco.h5: its publisher states no checksum" in m for m in messages)
    assert any("box_head/class_logits/kernel" in m and "mask_logits/bias" in m for m in messages)
    report = model.load_report
    assert len(report.fresh) == 6 and len(report.matched) == len(model.weights) - 6
    with pytest.raises(ValueError, match=r"class_logits/kernel .*fresh_classes=True"):
        load_detector_weights(model, path)

"""Golden files of losses, targets, results and pictures, held against ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from keras_maskrcnn import losses
from keras_maskrcnn.data.resizing import resize_image
from keras_maskrcnn.images.input_size import resize_shape
from keras_maskrcnn.layers.preprocessing import ImageNormalization
from keras_maskrcnn.models.presets import get_preset
from keras_maskrcnn.ops.keypoints import decode_keypoints
from keras_maskrcnn.ops.mask_targets import keypoint_targets, masks_from_pictures
from keras_maskrcnn.ops.paste import paste_crop, paste_masks
from keras_maskrcnn.results import Detections
from parity.geometry_ops import detectron2_anchors, detectron2_matcher, detectron2_pooling
from parity.golden_files import arrays, info
from parity.golden_models import CASES
from parity.integer_paste import paste_on_integers
from parity.record import Record


def _gradient(function: Callable[..., Any], *inputs: Any) -> tuple[Any, list[np.ndarray]]:
    variables = [tf.constant(x) for x in inputs]
    with tf.GradientTape() as tape:
        tape.watch(variables)
        value = function(*variables)
    return value, [np.asarray(g) for g in tape.gradient(value, variables)]


def loss_checks() -> Record:
    """Losses, their gradients, and the targets of masks and keypoints."""
    record = Record("losses")
    data = arrays("losses")
    _rpn(record, data)
    _box_head(record, data)
    _masks(record, data)
    _keypoints(record, data)
    return record


def _rpn(record: Record, data: dict[str, np.ndarray]) -> None:
    labels = np.full((2, 300), -1, "int32")
    labels[data["rpn_neg_mask"] > 0] = 0
    labels[data["rpn_pos_mask"] > 0] = 1
    targets = data["rpn_targets"].reshape(2, 300, 4)
    sampled = float((labels >= 0).sum())
    values, (logits, deltas) = _gradient(
        lambda x, y: tf.stack(losses.rpn_losses(x, y, labels, targets, sampled, 1 / 9)),
        data["rpn_objectness"].reshape(2, 300),
        data["rpn_deltas"].reshape(2, 300, 4),
    )
    record.relative("RPN class loss", values[0], data["rpn_loss_objectness"])
    record.relative("RPN box loss", values[1], data["rpn_loss_box"])
    record.relative("RPN class gradient", logits.reshape(600, 1), data["rpn_grad_objectness"])
    record.relative("RPN box gradient", deltas.reshape(600, 4), data["rpn_grad_deltas"])


def _box_head(record: Record, data: dict[str, np.ndarray]) -> None:
    # torchvision has the background first, and deltas for it; ours comes last.
    labels = data["frcnn_labels"].astype("int32")
    classes = np.where(labels == 0, 10, labels - 1).astype("int32")
    logits = np.roll(data["frcnn_logits"], -1, axis=1)
    value, (gradient,) = _gradient(lambda x: losses.class_loss(x, classes), logits)
    record.relative("class loss", value, data["frcnn_loss_cls"])
    record.relative("class gradient", np.roll(gradient, 1, axis=1), data["frcnn_grad_logits"])
    deltas = data["frcnn_box_regression"].reshape(64, 11, 4)[:, 1:]
    targets = data["frcnn_targets"]
    value, (gradient,) = _gradient(
        lambda x: losses.box_loss(x, classes, targets, 10, 1 / 9), deltas
    )
    record.relative("box loss", value, data["frcnn_loss_box"])
    expected = data["frcnn_grad_box"].reshape(64, 11, 4)
    record.relative("box gradient", gradient, expected[:, 1:])


def _own_masks(data: dict[str, np.ndarray], picture: int) -> np.ndarray:
    return data[f"mask_gt_masks_{picture}"][data[f"mask_matched_{picture}"]].astype("float32")


def _masks(record: Record, data: dict[str, np.ndarray]) -> None:
    targets = np.concatenate(
        [
            masks_from_pictures(_own_masks(data, i), data[f"mask_proposals_{i}"], 28, aligned=False)
            for i in (0, 1)
        ]
    )
    record.relative("mask targets", targets, data["mask_targets"])
    labels = [data[f"mask_gt_labels_{i}"][data[f"mask_matched_{i}"]] for i in (0, 1)]
    own = np.arange(8), np.concatenate(labels)
    value, (gradient,) = _gradient(
        lambda x: losses.mask_loss(x, data["mask_targets"]), data["mask_logits"][own]
    )
    record.relative("mask loss", value, data["mask_loss"])
    record.relative("mask gradient", gradient, data["mask_grad_logits"][own])
    others = data["mask_grad_logits"].copy()
    others[own] = 0.0
    record.equal("mask gradient of other classes", others, np.zeros_like(others))


def _keypoint_cells(data: dict[str, np.ndarray], picture: int) -> tuple[np.ndarray, np.ndarray]:
    points = data[f"kp_gt_{picture}"][data[f"kp_matched_{picture}"]]
    cells, valid = keypoint_targets(points, data[f"kp_proposals_{picture}"], 56)
    return np.asarray(cells), np.asarray(valid)


def _keypoints(record: Record, data: dict[str, np.ndarray]) -> None:
    both = zip(*(_keypoint_cells(data, i) for i in (0, 1)), strict=True)
    cells, valid = (np.concatenate(parts) for parts in both)
    record.equal("keypoints that count", valid, data["kp_valid"].astype(bool))
    record.equal("keypoint cells", cells[valid], data["kp_target_index"][valid])
    value, (gradient,) = _gradient(
        lambda x: losses.keypoint_loss(x, cells, valid), np.moveaxis(data["kp_logits"], 1, -1)
    )
    record.relative("keypoint loss", value, data["kp_loss"])
    record.relative("keypoint gradient", np.moveaxis(gradient, -1, 1), data["kp_grad_logits"])


def _decoded_keypoints() -> np.ndarray:
    data = arrays("paste_keypoints")
    return np.asarray(decode_keypoints(np.moveaxis(data["kp_maps"], 1, -1), data["kp_rois"]))


def paste_keypoint_checks() -> Record:
    """Decoding of heat maps; and torchvision's paste, from which ours differs on purpose."""
    record = Record("paste_keypoints")
    data = arrays("paste_keypoints")
    got = _decoded_keypoints()
    record.relative("keypoints", got[..., :2], data["kp_xy"][..., :2])
    record.relative("keypoint logits", got[..., 2], data["kp_scores"])
    valid = arrays("d2_ops")["paste_valid_index"]
    ours = paste_masks(data["paste_masks"][valid, 0], data["paste_boxes"][valid], (96, 128))
    theirs = data["paste_bin"][valid, 0]
    unequal = (ours != theirs).sum()
    record.meant(
        f"pasted bits, of {theirs.sum()} set",
        unequal,
        "unequal",
        "torchvision cuts boxes to integers, ours are exact on float boxes, as detectron2's",
    )
    known = info("d2_ops")["comparison_with_torchvision"]["paste_bits_that_differ_from_torchvision"]
    record.equal("pasted bits: as many as detectron2's differ", unequal, known)
    pasted = paste_on_integers(data["paste_masks"][:, 0], data["paste_boxes"], (96, 128))
    expected = data["paste_out"][:, 0]
    record.relative("pasted probabilities, by torchvision's rule", np.stack(list(pasted)), expected)
    return record


def transform_checks() -> Record:
    """Resizing, normalising, padding; boxes and keypoints follow the size."""
    record = Record("transform")
    data = arrays("transform")
    sizes = [resize_shape(*data[f"image{i}_u8"].shape[:2], 128, 160) for i in (0, 1)]
    record.equal("sizes", sizes, data["image_sizes"])
    padded = [-(-max(sides) // 32) * 32 for sides in zip(*sizes, strict=True)]
    record.equal("padded size", padded, data["batched_shape"][2:])
    images = np.zeros((2, *padded, 3), "float32")
    for i, (h, w) in enumerate(sizes):
        images[i, :h, :w] = resize_image(data[f"image{i}_u8"], (h, w))
    pixels = np.moveaxis(np.asarray(ImageNormalization()(images, np.array(sizes))), -1, 1)
    record.relative("pixels", pixels[..., ::3, ::3], data["batched_nchw_stride3"])
    record.relative("pixels of the corner", pixels[..., :16, :16], data["batched_top_left_16"])
    for i, (h, w) in enumerate(sizes):
        height, width = data[f"image{i}_u8"].shape[:2]
        scale = np.array([w / width, h / height], "float32")
        boxes = data[f"in{i}_boxes"] * np.tile(scale, 2)
        record.relative(f"boxes of picture {i}", boxes, data[f"out{i}_boxes"])
        points = data[f"in{i}_keypoints"] * np.append(scale, 1)
        record.relative(f"keypoints of picture {i}", points, data[f"out{i}_keypoints"])
        found = {
            "boxes": np.array([[[10, 10, 50, 50]]], "float32"),
            "classes": np.zeros((1, 1), int),
            "scores": np.ones((1, 1)),
            "counts": [1],
        }
        back = Detections.from_padded(found, 0, image_size=(h, w), original_size=(height, width))
        record.relative(f"a box back in picture {i}", back.boxes, data[f"post{i}_boxes"])
    return record


def image_checks() -> Record:
    """The pictures, normalised as each whole model wants them."""
    record = Record("images")
    for name, case in CASES.items():
        kind = get_preset(case.preset).arguments["backbone"]["preprocessing"]
        pixels = np.asarray(ImageNormalization(kind)(arrays("images")["image0"][None]))
        if name == "d2_mask_x101_fpn":  # BGR there; our reader turns the kernel round instead
            pixels = pixels[..., ::-1]
        got = np.moveaxis(pixels, -1, 1)[..., ::8, ::8]
        record.relative(f"normalised for {name}", got, arrays(name)["input_nchw"])
    return record


def detectron2_checks() -> Record:
    """What detectron2 computes otherwise than torchvision."""
    record = Record("d2_ops")
    data, inputs = arrays("d2_ops"), arrays("paste_keypoints")
    detectron2_anchors(record)
    detectron2_pooling(record)
    detectron2_matcher(record)
    valid = data["paste_valid_index"]
    masks, boxes = inputs["paste_masks"][valid, 0], inputs["paste_boxes"][valid]
    pasted = np.zeros((len(valid), 96, 128), "float32")
    for picture, mask, box in zip(pasted, masks, boxes, strict=True):
        left, top, values = paste_crop(mask, box, (96, 128))
        picture[top : top + values.shape[0], left : left + values.shape[1]] = values
    record.relative("pasted probabilities", pasted, data["paste_float"])
    bits = np.unpackbits(data["paste_bool_packed"], axis=-1).astype(bool)
    record.equal(f"pasted pixels, of {bits.sum()} set", paste_masks(masks, boxes, (96, 128)), bits)
    got = _decoded_keypoints()
    for i, quantity in enumerate(("x", "y", "logits", "probabilities")):
        record.relative(f"keypoints: {quantity}", got[..., i], data["kp_xy_logit_score"][..., i])
    recorded = arrays("losses")
    for i in (0, 1):
        own, rois = _own_masks(recorded, i), recorded[f"mask_proposals_{i}"]
        targets = np.asarray(masks_from_pictures(own, rois, 28, aligned=True)) >= 0.5
        expected = np.unpackbits(data[f"mask_targets_{i}"], axis=-1)[..., :28]
        record.equal(f"mask targets of picture {i}", targets, expected.astype(bool))
        cells, visible = _keypoint_cells(recorded, i)
        expected = data[f"kp_valid_{i}"].astype(bool)
        record.equal(f"keypoints that count, picture {i}", visible, expected)
        expected = data[f"kp_target_index_{i}"]
        record.equal(f"keypoint cells, picture {i}", cells[visible], expected[visible])
    return record

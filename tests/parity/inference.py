"""Recorded models, inference: every stage, detections, masks, keypoints, pasted masks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from keras_maskrcnn.layers.mask_head import MaskHead
from keras_maskrcnn.models.mask_rcnn import MaskRCNN
from keras_maskrcnn.results import Detections
from parity.golden_files import arrays, info
from parity.golden_models import batch, is_torchvision, watch
from parity.integer_paste import paste_on_integers
from parity.record import Record, match

BOX, SCORE, MASK = 0.05, 1e-4, 1e-3  # px, and probabilities
STAGE = 1e-5  # relative to the largest value
# After the proposals: these are 5e-4 px apart, and the heads look at them.
HEAD = 1e-4

_WATCHED = (
    "stem_conv",
    "stem_pool",
    "res2_block3_out",
    "res3_block4_out",
    "resnet50",
    "resnext101_32x8d",
    "feature_pyramid",
    "rpn_head",
    "proposals",
    "box_align",
    "box_head",
    "box_head/class_logits",
    *(f"box_head_{stage}{layer}" for stage in (1, 2, 3) for layer in ("", "/class_logits")),
    *(f"refine_boxes_{stage}" for stage in (1, 2)),
    "detections",
    "mask_align",
    "mask_head/deconv",
    "mask_head",
    "keypoint_align",
    "keypoint_head",
    "keypoint_head/deconv",
)


def inference_checks(name: str, model: MaskRCNN) -> Record:
    """One walk over both pictures, looked at stage by stage, and `predict` of the first."""
    record = Record(name)
    images, sizes = batch(name)
    with watch(_WATCHED) as seen, _res5_in_a_graph(model):
        outputs = model.network.inference(tf.constant(images), tf.constant(sizes))
    _features(record, seen)
    _rpn(record, seen)
    own = _proposals(record, seen)
    if "stage0_deltas" in arrays(name):
        _cascade(record, seen, own)
    else:
        _box_head(record, seen, own)
    found = {key: np.asarray(value) for key, value in outputs.items()}
    _batch(record, found, sizes)
    slots = _detections_of_stages(record, found)
    if "masks" in model.result_names:
        _mask_head(record, seen, slots, model.network.heads[0].head)
    if "keypoints" in model.result_names:
        _keypoint_head(record, seen, slots)
    _prediction(record, model)
    if "rescaled_240x500_boxes" in arrays(name):
        _rescaled(record, found, slots)
    return record


@contextlib.contextmanager
def _res5_in_a_graph(model: MaskRCNN) -> Iterator[None]:
    """A Functional model that runs eagerly keeps all its activations to the end: of 600 RoIs in
    res5 three gigabytes."""
    neck = model.network.neck
    original = getattr(neck, "stage5", None)
    if original is None:
        yield
        return
    neck.stage5 = tf.function(original, autograph=False)
    try:
        yield
    finally:
        neck.stage5 = original


def _channels_first(x: Any) -> np.ndarray:
    return np.moveaxis(np.asarray(x), -1, 1)


def _stored(record: Record, key: str, x: np.ndarray) -> np.ndarray:
    """The part of a map `[n, C, H, W]` that was recorded."""
    steps = info(record.file)["stats"][key]["stored"].strip("[]").split(",")[1:]
    return x[(slice(None), *(slice(None, None, int(step.strip(" :"))) for step in steps))]


def _labels(name: str) -> str:
    return "labels" if is_torchvision(name) else "classes"


def _first_class(name: str) -> int:
    return 1 if is_torchvision(name) else 0  # torchvision counts the background


def _features(record: Record, seen: dict[str, Any]) -> None:
    recorded = arrays(record.file)
    layers = {"stem_conv": "stem", "stem_pool": "pool"}
    layers |= {"res2_block3_out": "C2", "res3_block4_out": "C3"}  # C4 models give them to nobody
    maps = {stage: seen[layer][1] for layer, stage in layers.items()}
    for part in ("resnet50", "resnext101_32x8d", "feature_pyramid"):
        maps.update(seen[part][1] if part in seen else {})
    for stage, x in maps.items():
        key = stage
        if not is_torchvision(record.file):
            key = {"pool": "stem_after_pool"}.get(stage, stage.replace("C", "res").lower())
        if key in recorded:
            x = _channels_first(x)[:1]
            record.relative(f"features {stage}", _stored(record, key, x), recorded[key], STAGE)
            stats = info(record.file)["stats"][key]
            record.relative(
                f"features {stage}: mean, deviation, maximum",
                [x.mean(dtype="float64"), x.std(ddof=1, dtype="float64"), np.abs(x).max()],
                [stats["mean"], stats["std"], stats["absmax"]],
                STAGE,
            )


def _rpn(record: Record, seen: dict[str, Any]) -> None:
    recorded = arrays(record.file)
    for level, pair in enumerate(zip(*seen["rpn_head"][1], strict=True)):
        for kind, x in zip(("logits", "deltas"), pair, strict=True):
            key = f"rpn_{kind}_{f'P{level + 2}' if is_torchvision(record.file) else level}"
            _, channels, height, width = info(record.file)["stats"][key]["shape"]
            x = _channels_first(np.asarray(x[:1]).reshape(1, height, width, channels))
            record.relative(key, _stored(record, key, x), recorded[key], STAGE)


def _proposals(record: Record, seen: dict[str, Any]) -> np.ndarray:
    """Returns which of our proposals each recorded one is."""
    recorded = arrays(record.file)
    boxes, logits, valid = (np.asarray(x) for x in seen["proposals"][1])
    scores, key = logits[0], "proposal_logits"
    if is_torchvision(record.file):
        scores, key = 1.0 / (1.0 + np.exp(-logits[0].astype("float64"))), "proposal_scores"
    # Levels do not suppress each other: two boxes may be equal.
    own = match(
        np.column_stack([boxes[0], scores]),
        np.column_stack([recorded["proposals"], recorded[key]]),
    )
    record.equal("proposals: number", valid[0].sum(), len(recorded["proposals"]))
    record.equal("proposals: each found once", len(set(own)), len(own))
    record.absolute("proposals", boxes[0][own], recorded["proposals"], BOX, "px")
    if is_torchvision(record.file):
        record.absolute("proposal scores", scores[own], recorded[key], SCORE)
        for i in (0, 1):
            expected = recorded[f"batch2_proposals{i}_first200"]
            near = boxes[i][match(boxes[i], expected)]
            record.absolute(f"batch: proposals of picture {i}", near, expected, BOX, "px")
    else:
        record.relative("proposal logits", scores[own], recorded[key], STAGE)
    return own


def _box_head(record: Record, seen: dict[str, Any], own: np.ndarray) -> None:
    recorded = arrays(record.file)
    for layer, quantity, key in (
        ("box_align", "box RoI features", "box_roi_features_first20"),
        ("box_align", "box RoI features", "roi_features_first8"),
        ("box_head", "res5 of RoIs", "res5_roi_first8"),
    ):
        if key in recorded:
            arguments, result = seen[layer]
            x = np.asarray(result if layer == "box_align" else arguments[0])
            x = _channels_first(x[own[: len(recorded[key])]])
            record.relative(quantity, _stored(record, key, x), recorded[key], HEAD)
    if "box_head_out_first50" in recorded:
        hidden = np.asarray(seen["box_head/class_logits"][0][0])[own[:50], ::16]
        record.relative("box head", hidden, recorded["box_head_out_first50"], HEAD)
    # One list for both pictures, the first one's proposals first.
    logits, deltas = (np.asarray(x)[own[:100]] for x in seen["box_head"][1])
    expected = recorded["box_deltas_first100"]
    if is_torchvision(record.file):  # the background comes first, with deltas of its own
        logits = np.roll(logits, 1, axis=-1)
        expected = expected[:, 4:]
    record.relative("class logits", logits, recorded["class_logits_first100"], HEAD)
    record.relative("box deltas", deltas.reshape(len(deltas), -1), expected, HEAD)


def _cascade(record: Record, seen: dict[str, Any], own: np.ndarray) -> None:
    """What each stage sees, says, and makes of its boxes."""
    recorded = arrays(record.file)
    for stage in range(3):
        name, key = f"box_head_{stage + 1}", f"stage{stage}"
        x = _channels_first(np.asarray(seen[name][0][0])[own[:10]])
        expected = recorded[f"{key}_roi_features_first10"]
        record.relative(f"{key}: RoI features", x[:, ::16], expected, HEAD)
        hidden = np.asarray(seen[f"{name}/class_logits"][0][0])[own[:50], ::16]
        record.relative(f"{key}: box head", hidden, recorded[f"{key}_box_head_out_first50"], HEAD)
        logits, deltas = (np.asarray(x)[own] for x in seen[name][1])
        expected = recorded[f"{key}_class_logits_first50"]
        record.relative(f"{key}: class logits", logits[:50], expected, HEAD)
        record.relative(f"{key}: box deltas", deltas[:, 0], recorded[f"{key}_deltas"], HEAD)
        if stage < 2:
            boxes = np.asarray(seen[f"refine_boxes_{stage + 1}"][1])[own]
            record.absolute(f"{key}: boxes", boxes, recorded[f"{key}_boxes_after"], BOX, "px")
    scores = tf.nn.softmax(seen["detections"][0][2][0]).numpy()[own[:100]]
    record.absolute("mean scores", scores, recorded["mean_scores_first100"], SCORE)


def _compare_detections(
    record: Record, prefix: str, boxes: Any, classes: Any, scores: Any, keys: tuple[str, str, str]
) -> np.ndarray:
    """Returns which of our detections each recorded one is."""
    recorded = arrays(record.file)
    expected_boxes, expected_labels, expected_scores = (recorded[key] for key in keys)
    labels = classes + _first_class(record.file)
    own = match(boxes, expected_boxes, labels, expected_labels)
    record.equal(f"{prefix}: number", len(boxes), len(expected_boxes))
    record.equal(f"{prefix}: each found once", len(set(own)), len(own))
    record.equal(f"{prefix}: classes", labels[own], expected_labels)
    record.absolute(f"{prefix}: boxes", boxes[own], expected_boxes, BOX, "px")
    record.absolute(f"{prefix}: scores", scores[own], expected_scores, SCORE)
    return own


def _batch(record: Record, found: dict[str, np.ndarray], sizes: np.ndarray) -> None:
    for i, size in enumerate(sizes):
        # torchvision gives boxes in the pixels of the picture, detectron2 was asked for the input's
        picture = arrays("images")[f"image{i}"].shape[:2] if is_torchvision(record.file) else size
        got = Detections.from_padded(found, i, image_size=size, original_size=picture)
        keys = (f"batch2_boxes{i}", f"batch2_{_labels(record.file)}{i}", f"batch2_scores{i}")
        _compare_detections(record, f"batch, picture {i}", got.boxes, got.classes, got.scores, keys)


def _detections_of_stages(record: Record, found: dict[str, np.ndarray]) -> np.ndarray:
    """Which slot of the first picture each recorded detection has."""
    recorded = arrays(record.file)
    labels = found["classes"][0] + _first_class(record.file)
    return match(
        found["boxes"][0], recorded["det_boxes"], labels, recorded[f"det_{_labels(record.file)}"]
    )


def _mask_head(record: Record, seen: dict[str, Any], slots: np.ndarray, head: MaskHead) -> None:
    recorded = arrays(record.file)
    if "mask_roi_features_first8" in recorded:
        x = _channels_first(np.asarray(seen["mask_align"][1])[slots[:8]])
        key = "mask_roi_features_first8"
        record.relative("mask RoI features", _stored(record, key, x), recorded[key], HEAD)
    if "mask_head_out_first8" in recorded:
        x = _channels_first(np.asarray(seen["mask_head/deconv"][0][0])[slots[:8]])
        key = "mask_head_out_first8"
        record.relative("mask head", _stored(record, key, x), recorded[key], HEAD)
    # Every eighth channel was recorded; torchvision's channel 0 is the background.
    expected = recorded["mask_logits_first4"][:, _first_class(record.file) :]
    first = 8 * _first_class(record.file) - _first_class(record.file)
    classes = first + 8 * np.arange(expected.shape[1])
    features = tf.gather(seen["mask_head"][0][0], slots[:4])
    masks = [head(features, tf.fill([len(features)], int(k))) for k in classes]
    logits = np.stack(masks, axis=1)[..., ::2, ::2]
    record.relative("mask logits", logits, expected, HEAD)


def _keypoint_head(record: Record, seen: dict[str, Any], slots: np.ndarray) -> None:
    recorded = arrays(record.file)
    key = "keypoint_roi_features_first8"
    x = _channels_first(np.asarray(seen["keypoint_align"][1])[slots[:8]])
    record.relative("keypoint RoI features", _stored(record, key, x), recorded[key], HEAD)
    key = "keypoint_head_out_first8"
    if key in recorded:
        x = _channels_first(np.asarray(seen["keypoint_head/deconv"][0][0])[slots[:8]])
        record.relative("keypoint head", _stored(record, key, x), recorded[key], HEAD)
    maps = _channels_first(np.asarray(seen["keypoint_head"][1])[slots[:4]])
    expected = recorded["keypoint_logits_first4"]
    record.relative("keypoint heat maps", maps[:, ::2, ::2, ::2], expected, HEAD)


def _prediction(record: Record, model: MaskRCNN) -> None:
    """`MaskRCNN.predict`, as users call it."""
    recorded = arrays(record.file)
    picture = arrays("images")["image0"]
    got = model.predict(picture, verbose=0)[0]
    keys = ("det_boxes", f"det_{_labels(record.file)}", "det_scores")
    got = got[_compare_detections(record, "predict", got.boxes, got.classes, got.scores, keys)]
    if "masks" in model.result_names:
        (key,) = (key for key in recorded if key.startswith("det_masks"))  # of all, or the first
        masks, expected = got.mask_probabilities, recorded[key]
        record.absolute("predict: mask probabilities", masks[: len(expected)], expected, MASK)
        if "det_mask_sums" in recorded:
            sums = masks.sum(axis=(1, 2), dtype="float64")
            record.relative("predict: sums of masks", sums, recorded["det_mask_sums"], MASK)
        _pasted(record, got)
    if "keypoints" in model.result_names:
        if is_torchvision(record.file):
            # Indices of pixels there; ours are continuous.
            places, scores = recorded["keypoints"][..., :2] + 0.5, recorded["keypoints_scores"]
        else:
            places, scores = np.split(recorded["pred_keypoints_xyp"], [2], axis=-1)
            scores = scores[..., 0]
        record.absolute("predict: keypoints", got.keypoints[..., :2], places, BOX, "px")
        record.relative("predict: keypoint scores", got.keypoints[..., 2], scores, SCORE)
        # As they are scored: detectron2 takes half a pixel off, torchvision nothing.
        results = got.to_coco(1, [1] * model.num_classes)
        scored = np.array([result["keypoints"] for result in results]).reshape(len(got), -1, 3)
        record.absolute("keypoints as COCO's results", scored[..., :2], places - 0.5, BOX, "px")


def _pasted(record: Record, got: Detections) -> None:
    recorded = arrays(record.file)
    bits = np.unpackbits(recorded["pasted_bits_first6"], axis=-1).astype(bool)
    masks = got.masks
    if is_torchvision(record.file):
        record.meant(
            f"pasted bits, of {bits.sum()} set",
            (masks[:6] != bits).sum(),
            "unequal",
            "torchvision cuts boxes to integers, ours are exact on float boxes",
        )
        # In its own boxes: one of them starts at 158.000, and noise decides which integer that is.
        pasted = paste_on_integers(got.mask_probabilities, recorded["det_boxes"])
        masks = np.stack([values >= 0.5 for values in pasted])
    rule = ", torchvision's rule and boxes" if is_torchvision(record.file) else ""
    unequal = (masks[:6] != bits).sum() / bits.sum()
    record.absolute(f"pasted bits unequal{rule}", unequal, 0.0, MASK)
    areas, expected = masks.sum(axis=(1, 2)), recorded["pasted_area"]
    record.relative(f"pasted areas{rule}", areas, expected, MASK)


def _rescaled(record: Record, found: dict[str, np.ndarray], slots: np.ndarray) -> None:
    """The first picture, as if it had been 240 x 500 pixels."""
    recorded = arrays(record.file)
    got = Detections.from_padded(found, 0, image_size=(320, 416), original_size=(240, 500))[slots]
    record.absolute("rescaled: boxes", got.boxes, recorded["rescaled_240x500_boxes"], BOX, "px")
    areas = got.masks.sum(axis=(1, 2))
    record.relative("rescaled: pasted areas", areas, recorded["rescaled_240x500_area"], MASK)

"""Golden files of single ops on boxes and features, held against ours."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from keras_maskrcnn.layers.anchor_layer import AnchorLayer
from keras_maskrcnn.layers.detection_layer import DetectionLayer
from keras_maskrcnn.layers.proposal_layer import ProposalLayer
from keras_maskrcnn.ops import boxes as box_ops
from keras_maskrcnn.ops.anchors import cell_anchors
from keras_maskrcnn.ops.matching import match as match_objects
from keras_maskrcnn.ops.nms import batched_nms
from keras_maskrcnn.ops.roi_align import roi_align
from keras_maskrcnn.ops.roi_pool import roi_pool
from parity.golden_files import arrays, info
from parity.record import Record

SIZES = (32, 64, 128, 256, 512)
RATIOS = (0.5, 1.0, 2.0)
STRIDES = (4, 8, 16, 32, 64)
RPN, ROI = (0.7, 0.3, True), (0.5, 0.5, False)  # thresholds, and the best-anchor rule


def roi_align_checks() -> Record:
    """All cases, forward and gradient, of both forms, by their sampling."""
    record = Record("roi_align")
    data = arrays("roi_align")
    x = tf.constant(np.moveaxis(data["x"], 1, -1))
    for case in info("roi_align")["cases"]:
        prefix, ratio = case["prefix"], max(case["sampling_ratio"], 0)
        rois = data[f"{prefix}rois"]
        with tf.GradientTape() as tape:
            tape.watch(x)
            pooled = roi_align(
                [x],
                rois[:, 1:],
                rois[:, 0].astype("int32"),
                np.zeros(len(rois), "int32"),
                output_size=tuple(case["output_size"]),
                scales=[case["spatial_scale"]],
                sampling_ratio=ratio,
                aligned=case["aligned"],
            )
            upstream = np.moveaxis(data[f"{prefix}upstream"], 1, -1)
            total = tf.reduce_sum(pooled * upstream)
        gradient = np.moveaxis(tape.gradient(total, x).numpy(), -1, 1)
        kind = "aligned" if case["aligned"] else "not aligned"
        where = f"{kind}, 1/{1 / case['spatial_scale']:.0f}, {case['output_size']}, samples {ratio}"
        pooled = np.moveaxis(pooled.numpy(), -1, 1)
        record.relative(f"{where}", pooled, data[f"{prefix}out"])
        record.relative(f"{where}: gradient", gradient, data[f"{prefix}grad_x"])
    return record


def roi_pool_checks() -> Record:
    """All sets of boxes, forward and gradient, by the compiled op."""
    record = Record("d2_roi_pool")
    data = arrays("d2_roi_pool")
    features = [tf.constant(np.moveaxis(data[f"feat{i}"], 1, -1)) for i in range(4)]
    for case in info("d2_roi_pool")["cases"]:
        name, size = case.rsplit("_", 1)
        both = [data[f"{name}_boxes{i}"] for i in (0, 1)]
        boxes = np.concatenate(both)
        images = np.repeat([0, 1], [len(b) for b in both]).astype("int32")
        levels = data[f"{name}_levels"].astype("int32")
        # Reversed boxes, of which detectron2 takes the area's sign too, never reach a pooler.
        real = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        found = box_ops.assign_levels(boxes[real], eps=0.0)
        record.equal(f"{name}: levels", found, levels[real])
        with tf.GradientTape() as tape:
            tape.watch(features)
            pooled = roi_pool(
                features,
                boxes,
                images,
                levels,
                output_size=int(size),
                scales=[1 / stride for stride in STRIDES[:4]],
            )
            upstream = np.moveaxis(data[f"{case}_upstream"], 1, -1)
            total = tf.reduce_sum(pooled * upstream)
        record.relative(case, np.moveaxis(pooled.numpy(), -1, 1), data[f"{case}_out"])
        for i, gradient in enumerate(tape.gradient(total, features)):
            expected = data[f"{case}_grad{i}"]
            gradient = np.moveaxis(tf.convert_to_tensor(gradient).numpy(), -1, 1)
            record.relative(f"{case}: gradient of level {i}", gradient, expected)
    return record


def _pyramid_boxes() -> tuple[np.ndarray, np.ndarray]:
    data = arrays("multiscale_roi_align")
    both = [data["boxes_img0"], data["boxes_img1"]]
    return np.concatenate(both), np.repeat([0, 1], [len(b) for b in both]).astype("int32")


def _pyramid() -> list[np.ndarray]:
    return [np.moveaxis(arrays("multiscale_roi_align")[f"feat{i}"], 1, -1) for i in range(4)]


def _pool(boxes: np.ndarray, images: np.ndarray, levels: Any, **options: Any) -> np.ndarray:
    scales = [1 / stride for stride in STRIDES[:4]]
    pooled = roi_align(_pyramid(), boxes, images, levels, scales=scales, **options)
    return np.moveaxis(np.asarray(pooled), -1, 1)


def multiscale_checks() -> Record:
    """Levels, and features pooled from them."""
    record = Record("multiscale_roi_align")
    data = arrays("multiscale_roi_align")
    boxes, images = _pyramid_boxes()
    levels = np.asarray(box_ops.assign_levels(boxes))
    record.equal("levels", levels, data["levels"])
    first = len(data["boxes_img0"])
    for case in info("multiscale_roi_align")["cases"]:
        rows = slice(None) if case["boxes"] == "all" else slice(first - 12, first + 12)
        pooled = _pool(
            boxes[rows],
            images[rows],
            levels[rows],
            output_size=case["output_size"],
            sampling_ratio=case["sampling_ratio"],
            aligned=False,
        )
        quantity = f"pooled, size {case['output_size']}, samples {case['sampling_ratio']}"
        record.relative(quantity, pooled, data[f"{case['prefix']}out"])
    return record


def detectron2_pooling(record: Record) -> None:
    """detectron2's levels and its aligned, adaptive pooler."""
    data = arrays("d2_ops")
    boxes, images = _pyramid_boxes()
    # detectron2 adds 1e-8 inside the logarithm, which float32 does not see.
    levels = box_ops.assign_levels(boxes, eps=0.0)
    record.equal("levels, without torchvision's 1e-6", levels, data["levels"])
    rest = images == 1
    boxes = np.concatenate([data["pooler_boxes_img0"], boxes[rest]])
    images = np.repeat([0, 1], [len(data["pooler_boxes_img0"]), rest.sum()]).astype("int32")
    levels = box_ops.assign_levels(boxes, eps=0.0)
    pooled = _pool(boxes, images, levels, output_size=7, sampling_ratio=0, aligned=True)
    record.relative("pooled, aligned, adaptive", pooled, data["pooler_out_7x7_sr0_aligned"])


def _grid_anchors(c4: bool, shape: Any, grids: Any, style: str) -> np.ndarray:
    sizes = (SIZES,) if c4 else tuple((size,) for size in SIZES)
    layer = AnchorLayer(sizes, RATIOS, (16,) if c4 else STRIDES, style=style)
    features = [np.zeros((1, *grid, 1), "float32") for grid in grids]
    anchors = layer(np.zeros((1, *shape, 3), "float32"), features)
    return np.concatenate([np.asarray(a)[0] for a in anchors])


def _cells(record: Record, style: str) -> None:
    data = arrays(record.file)
    for level, size in enumerate(SIZES):
        quantity = f"cell anchors of level {level}"
        record.relative(quantity, cell_anchors((size,), RATIOS, style), data[f"fpn_cell{level}"])
    record.relative("cell anchors of C4", cell_anchors(SIZES, RATIOS, style), data["c4_cell"])


def anchor_checks() -> Record:
    """torchvision's: cells rounded, strides from sizes."""
    record = Record("anchors")
    _cells(record, "torchvision")
    for case in info("anchors")["cases"]:
        name = case["array"]
        c4 = name.startswith("c4")
        got = _grid_anchors(c4, case["padded_image_hw"], case["grids"], "torchvision")
        record.equal(f"{name}: number", len(got), case["total"])
        step = int(case["stored"].strip("[:]"))
        record.relative(name, got[::step], arrays("anchors")[name])
    return record


def detectron2_anchors(record: Record) -> None:
    """detectron2's: exact, fixed strides."""
    _cells(record, "exact")
    for name, shape, step in (
        ("anchors_fpn_128x160", (128, 160), 1),
        ("anchors_fpn_320x416_step37", (320, 416), 37),
        ("anchors_c4_128x160", (128, 160), 1),
    ):
        c4 = "c4" in name
        grids = [[-(-side // s) for side in shape] for s in ((16,) if c4 else STRIDES)]
        got = _grid_anchors(c4, shape, grids, "exact")[::step]
        record.relative(name, got, arrays("d2_ops")[name])


def box_checks() -> Record:
    """Coding, clipping, IoU, removal of small boxes."""
    record = Record("box_coder")
    data = arrays("box_coder")
    for prefix, weights in (("w10", (10.0, 10.0, 5.0, 5.0)), ("w1", (1.0, 1.0, 1.0, 1.0))):
        encoded = box_ops.encode_boxes(data["gt"], data["proposals"], weights)
        record.relative(f"encoded, weights {prefix}", encoded, data[f"{prefix}_encode"])
        codes = data[f"{prefix}_codes"].reshape(64, 3, 4)
        decoded = box_ops.decode_boxes(codes, data["proposals"][:, None], weights)
        record.relative(f"decoded, weights {prefix}", decoded, data[f"{prefix}_decode"])
        sizes = np.array([[427, 499]], "int32")
        clipped = box_ops.clip_boxes(decoded[None], sizes)[0]
        record.relative(f"clipped, weights {prefix}", clipped, data[f"{prefix}_decode_clipped"])
    for least, layer in (("1e-3", _proposals), ("1e-2", _detections)):
        expected = data["small_in"][data[f"small_keep_{least}"]]
        record.relative(f"boxes of sides from {least}", layer(data["small_in"]), expected)
    iou = box_ops.pairwise_iou(data["gt"][:20], data["proposals"])
    record.relative("IoU", iou, data["iou"])
    # 0 / 0 is NaN in torchvision and 0 here, so that such a box matches nothing.
    own = box_ops.pairwise_iou(data["small_in"], data["small_in"])
    record.relative("IoU of small boxes", own, np.nan_to_num(data["iou_zero_area"]))
    return record


def _proposals(boxes: np.ndarray) -> np.ndarray:
    """What `ProposalLayer` leaves of boxes, in their order."""
    count = len(boxes)
    layer = ProposalLayer(num_test=count, nms_iou=1.0)
    logits = np.arange(count, 0, -1, dtype="float32")[None]
    deltas, sizes = np.zeros((1, count, 4), "float32"), np.full((1, 2), 1000, "int32")
    found, _, valid = layer([logits], [deltas], [boxes[None]], sizes)
    return found.numpy()[valid.numpy()]


def _detections(boxes: np.ndarray) -> np.ndarray:
    """What `DetectionLayer` leaves of boxes, in their order."""
    count = len(boxes)
    layer = DetectionLayer(nms_iou=1.0, max_detections=count)
    logits = np.stack([np.linspace(2, 1, count), np.zeros(count)], axis=1)[None].astype("float32")
    deltas, sizes = np.zeros((1, count, 1, 4), "float32"), np.full((1, 2), 1000, "int32")
    found = layer(boxes[None], np.ones((1, count), bool), logits, deltas, sizes)
    return found["boxes"].numpy()[0][: int(found["counts"][0])]


def nms_checks() -> Record:
    """Kept indices in order; for `b_large`, whose order of ties is unstable there, as sets."""
    record = Record("nms")
    data = arrays("nms")
    for case in info("nms")["cases"]:
        name, threshold = case["input"], case["thr"]
        boxes, scores = data[f"{name}_boxes"], data[f"{name}_scores"]
        groups = data.get(f"{name}_idxs", np.zeros(len(boxes))).astype("int32")
        got = np.zeros(0)
        if len(boxes):
            index, count = batched_nms(
                boxes[None], scores[None], groups[None], threshold, len(boxes)
            )
            got = index.numpy()[0][: count[0]]
        expected = data[f"{name}_keep_{threshold}"]
        if name == "b_large":
            got, expected = np.sort(got), np.sort(expected)
        record.equal(f"{name}, threshold {threshold}: {len(expected)} kept", got, expected)
    return record


def _matched(iou: np.ndarray, high: float, low: float, best: bool) -> tuple[Any, Any]:
    table = tf.constant(iou)
    matched, labels = match_objects(
        lambda i: table[i][None, None], len(iou), (1, iou.shape[1]), high, low, best, True
    )
    return np.asarray(matched)[0], np.asarray(labels)[0]


def matcher_checks() -> Record:
    """torchvision's matcher of anchors and of RoIs."""
    record = Record("matcher")
    data = arrays("matcher")
    for case in range(6):
        for kind, rule in (("rpn", RPN), ("roi", ROI)):
            matched, labels = _matched(data[f"m{case}_iou"], *rule)
            got = np.where(labels == 1, matched, np.where(labels == 0, -1, -2))
            record.equal(f"m{case}, {kind}", got, data[f"m{case}_{kind}"])
    return record


def detectron2_matcher(record: Record) -> None:
    """detectron2's: matches of all boxes, labels 1, 0, -1."""
    data = arrays("d2_ops")
    for case in range(6):
        for kind, rule in (("rpn", RPN), ("roi", ROI)):
            matched, labels = _matched(arrays("matcher")[f"m{case}_iou"], *rule)
            record.equal(f"m{case}, {kind}: objects", matched, data[f"m{case}_{kind}_matches"])
            record.equal(f"m{case}, {kind}: labels", labels, data[f"m{case}_{kind}_labels"])

"""Every golden file and what checks it."""

from __future__ import annotations

from collections.abc import Iterator

import keras

from parity import geometry_ops, learning_ops
from parity.augmented import augmented_checks
from parity.golden_models import CASES, build
from parity.inference import inference_checks
from parity.record import Check
from parity.training import training_checks

SINGLE_OPS = {
    "roi_align": geometry_ops.roi_align_checks,
    "multiscale_roi_align": geometry_ops.multiscale_checks,
    "anchors": geometry_ops.anchor_checks,
    "box_coder": geometry_ops.box_checks,
    "nms": geometry_ops.nms_checks,
    "matcher": geometry_ops.matcher_checks,
    "losses": learning_ops.loss_checks,
    "paste_keypoints": learning_ops.paste_keypoint_checks,
    "transform": learning_ops.transform_checks,
    "d2_ops": learning_ops.detectron2_checks,
    "images": learning_ops.image_checks,
    "d2_roi_pool": geometry_ops.roi_pool_checks,
}
# What is done with a recorded model, beside its training and inference.
USES = {"d2_tta": augmented_checks}
GOLDEN_FILES = (*SINGLE_OPS, *CASES, *USES)


def checks_of(name: str) -> Iterator[Check]:
    """The checks of a golden file."""
    if name in SINGLE_OPS or name in USES:
        yield from {**SINGLE_OPS, **USES}[name]().checks
        return
    model = build(name)
    # The one that takes more memory first, while there is nothing else.
    yield from training_checks(name, model).checks
    yield from inference_checks(name, model).checks
    keras.backend.clear_session()

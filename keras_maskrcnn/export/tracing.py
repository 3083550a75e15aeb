"""What holds while a model is traced for export, and no longer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from keras_maskrcnn.layers.roi_align import RoIAlignLayer


@contextlib.contextmanager
def export_settings(
    model: Any,
    backend: str,
    *,
    score_threshold: float | None = None,
    max_detections: int | None = None,
    nms_iou: float | None = None,
) -> Iterator[dict[str, Any]]:
    """Another RoIAlign and other thresholds, for graphs traced within the block.

    Graphs that `predict` or `fit` have traced before keep theirs. Not for use beside a thread
    that traces the same model.

    Args:
        model: a `MaskRCNN`.
        backend: of `ops.roi_align.roi_align_backend`.
        score_threshold, max_detections, nms_iou: `None` for the model's own.

    Yields:
        the thresholds that hold.

    Raises:
        ValueError: for a threshold outside its range.
    """
    detections = model.network.detections
    given = {
        "score_threshold": score_threshold,
        "max_detections": max_detections,
        "nms_iou": nms_iou,
    }
    own = {name: getattr(detections, name) for name in given}
    settings = {name: own[name] if value is None else value for name, value in given.items()}
    for name in ("score_threshold", "nms_iou"):
        if not 0.0 <= settings[name] <= 1.0:
            raise ValueError(f"{name} must be in 0..1. Received: {name}={settings[name]}")
    if settings["max_detections"] < 1:
        raise ValueError(f"max_detections must be at least 1. Received: {max_detections=}")
    pooling = [layer for layer in model.layers if isinstance(layer, RoIAlignLayer)]
    backends = [layer.backend for layer in pooling]
    try:
        for layer in pooling:
            layer.backend = backend
        for name, value in settings.items():
            setattr(detections, name, value)
        yield settings
    finally:
        for layer, before in zip(pooling, backends, strict=True):
            layer.backend = before
        for name, value in own.items():
            setattr(detections, name, value)

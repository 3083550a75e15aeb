"""Post-training quantisation of an ONNX file to int8.

Convolutions and products with matrices are quantised, in the form of `QuantizeLinear` and
`DequantizeLinear` around them, which ONNX Runtime, OpenVINO and TensorRT know. All else stays
float32: decoding of boxes, NMS, RoIAlign and the transposed convolution of masks. Scales are
symmetric, and biases stay float32, as TensorRT asks.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_maskrcnn.checks import at_least
from keras_maskrcnn.evaluation.coco import evaluate_coco
from keras_maskrcnn.export.exporting import export_model
from keras_maskrcnn.export.runtime import OnnxRunner
from keras_maskrcnn.optional import needed_for

if TYPE_CHECKING:
    from keras_maskrcnn.data.detection_data import DetectionData
    from keras_maskrcnn.evaluation.metrics import CocoMetrics

_QUANTIZED = ("Conv", "Gemm", "MatMul")
_COMPARED = ("box_ap", "mask_ap", "keypoint_ap")


@dataclasses.dataclass(frozen=True)
class Int8Report:
    """What quantisation did to average precision, both measured in ONNX Runtime.

    Args:
        file: the int8 file.
        before, after: COCO's numbers of the float32 file and of the int8 file.
        pictures: that it was calibrated on.
    """

    file: Path
    before: CocoMetrics
    after: CocoMetrics
    pictures: int

    @property
    def loss(self) -> float:
        """The largest fall of an AP, in points (hundredths); negative where all rise."""
        return 100 * max(self.before[name] - self.after[name] for name in self._names())

    def summary(self) -> str:
        """One line, such as `box_ap 41.2 -> 40.9, mask_ap 37.0 -> 36.8`."""
        return ", ".join(
            f"{name} {100 * self.before[name]:.2f} -> {100 * self.after[name]:.2f}"
            for name in self._names()
        )

    def to_json(self) -> str:
        """What lies beside the file, as `NAME.int8.json`."""
        content = {
            "file": self.file.name,
            "calibration_pictures": self.pictures,
            "float32": {name: self.before[name] for name in self._names()},
            "int8": {name: self.after[name] for name in self._names()},
        }
        return json.dumps(content, indent=2) + "\n"

    def _names(self) -> list[str]:
        return [name for name in _COMPARED if not math.isnan(self.before.get(name, math.nan))]


def export_int8(
    model: Any,
    path: str | os.PathLike[str],
    *,
    calibration: DetectionData,
    validation: DetectionData,
    pictures: int = 100,
    max_loss: float | None = 1.0,
    progress: bool = True,
    **options: Any,
) -> Int8Report:
    """Writes an ONNX file for one picture a call, quantised to int8.

    Args:
        model: a `MaskRCNN`.
        path: the file, ending `.onnx`; what `Int8Report.to_json` gives comes beside it.
        calibration: pictures, by which the ranges of values are found; the annotations are not
            looked at. Those of training will do.
        validation: annotated pictures, by which AP is measured before and after.
        pictures: of `calibration` that are taken, spread over it evenly.
        max_loss: points of AP (hundredths, the worst of boxes, masks and keypoints) that may be
            lost; `None` for any number.
        progress: whether to show progress bars.
        **options: of `export_model`: `score_threshold`, `max_detections`, `nms_iou` and so on.

    Returns:
        `Int8Report`.

    Raises:
        ValueError: where more than `max_loss` is lost, with AP before and after; where `validation`
            has no objects; as `export_model`. Nothing is written then.
        ImportError: without ONNX Runtime or the packages of ONNX exports.
    """
    with needed_for("quantisation to int8", "maskrcnn-keras[int8]"):
        import onnxruntime.quantization  # noqa: F401 (says first what is not installed)

    at_least(1, pictures=pictures)
    target = Path(path)
    if options.get("batch_size") not in (None, 1):
        raise ValueError(
            f"an int8 file takes one picture a call. Received: batch_size={options['batch_size']!r}"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=target.parent) as scratch:
        whole, small = Path(scratch) / f"float32{target.suffix}", Path(scratch) / "int8.onnx"
        export_model(model, whole, "onnx", **options)
        chosen = _spread(calibration, pictures)
        quantize(whole, small, _network_inputs(model, chosen))
        before, after = (
            evaluate_coco(OnnxRunner(file, model), validation, progress=progress)  # type: ignore[arg-type]
            for file in (whole, small)
        )
        report = Int8Report(target, before, after, len(chosen))
        if not report.summary():
            raise ValueError(
                "validation must have objects, by which AP is measured. "
                f"Received: {validation.name!r}, without any"
            )
        if max_loss is not None and not report.loss <= max_loss:
            raise ValueError(
                f"int8 costs more than {max_loss:g} points of AP: {report.summary()}. "
                "More pictures for calibration may help; max_loss allows more. "
                f"Received: {len(chosen)} pictures, max_loss={max_loss:g}"
            )
        os.replace(small, target)
    target.with_suffix(".int8.json").write_text(report.to_json(), encoding="utf-8")
    return report


def _spread(data: DetectionData, count: int) -> DetectionData:
    """At most `count` of the pictures, evenly over the whole."""
    return data[np.linspace(0, len(data) - 1, min(count, len(data))).round().astype(int)]


def _network_inputs(model: Any, data: DetectionData) -> Iterator[dict[str, np.ndarray]]:
    size = model.input_size
    batches = data.batches(
        1, min_size=size.min_size, max_size=size.max_size, size_divisor=size.divisor, masks=False
    )
    for images, targets in batches:
        sizes = np.asarray(targets["image_sizes"])
        yield {"images": np.asarray(images), "image_sizes": sizes}


def quantize(source: Path, target: Path, inputs: Iterator[dict[str, np.ndarray]]) -> None:
    """Writes the int8 form of a float32 file.

    Args:
        source, target: ONNX files.
        inputs: of the network, by which the ranges of values are found.
    """
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):
        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(inputs, None)

    quantization.quantize_static(
        source,
        target,
        Reader(),
        quant_format=quantization.QuantFormat.QDQ,
        op_types_to_quantize=list(_QUANTIZED),
        per_channel=True,
        activation_type=quantization.QuantType.QInt8,
        weight_type=quantization.QuantType.QInt8,
        extra_options={
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "QuantizeBias": False,
        },
    )

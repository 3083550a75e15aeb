"""The number by which the best epoch of a run is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_maskrcnn.checks import one_of
from keras_maskrcnn.names import METRICS

if TYPE_CHECKING:
    import keras

    from keras_maskrcnn.training.options import TrainingOptions

# What a model returns for each of COCO's comparisons.
_RESULTS = {"box": "boxes", "mask": "masks", "keypoint": "keypoints"}


def is_loss(name: str) -> bool:
    """Whether a number of the history, or a monitor, is better the smaller it is."""
    return name == "loss" or name.endswith("_loss")


def check_monitor(monitor: str) -> None:
    """`ValueError` for what no model has, with the nearest that some have.

    The losses of a model depend on its heads: here any name of a loss passes.
    """
    if not is_loss(monitor):
        one_of("monitor", monitor, ("loss", *METRICS))


def monitored(model: keras.Model, options: TrainingOptions | None = None) -> str:
    """Name in the history of the number by which a run's best epoch is chosen.

    Args:
        model: a `MaskRCNN`.
        options: of the run.

    Raises:
        ValueError: when the model has no such number.
    """
    from keras_maskrcnn.models.objective import loss_names

    if options is None or options.monitor is None:
        return "val_mask_ap" if "masks" in model.result_names else "val_box_ap"
    found = [kind for kind, result in _RESULTS.items() if result in model.result_names]
    metrics = [name for name in METRICS if name.split("_", 1)[0] in found]
    one_of("monitor", options.monitor, ("loss", *metrics, *loss_names(model.network)))
    return f"val_{options.monitor}"

"""What a detector begins with: published weights, those of a backbone, or another model's."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Self

import keras

from keras_maskrcnn.models.network import Network
from keras_maskrcnn.models.presets import PRESETS, PresetTable, get_preset
from keras_maskrcnn.models.savable import SavableDetector
from keras_maskrcnn.models.saved import model_file, saved_arguments
from keras_maskrcnn.models.transfer import changed_arguments, has_other_classes
from keras_maskrcnn.weights import (
    LoadReport,
    load_backbone_weights,
    load_preset_weights,
    load_trained_weights,
)

logger = logging.getLogger("keras_maskrcnn")


def load_backbone(network: Network, weights: str) -> LoadReport:
    """Gives a network's backbone the weights of that name or file, and says what stays random.

    Returns:
        what became of every tensor of the weights.
    """
    report = load_backbone_weights(
        network.neck.stages, weights, preprocessing=network.preprocessing
    )
    logger.warning(
        "%s\nOnly the backbone has these weights: feature pyramid, RPN and heads are random "
        "and must be trained before predictions mean anything.",
        report,
    )
    return report


class PretrainedDetector(SavableDetector):
    """A model whose weights come from elsewhere before it trains.

    Attributes:
        load_report: what became of every tensor of the weights; only where some were loaded.
    """

    load_report: LoadReport

    @staticmethod
    def presets() -> PresetTable:
        """The published models: a tuple of `Preset` that prints as a table.

        Each has a `name`, the average precisions that its publisher states (`published`: `box`,
        `mask`, `keypoint`), its number of `parameters` and the `url` of its weights.
        """
        return PresetTable(PRESETS.values())

    @classmethod
    def from_preset(
        cls,
        preset: str,
        *,
        weights_file: str | Path | None = None,
        load_weights: bool = True,
        **changes: Any,
    ) -> Self:
        """A published model, with the weights of torchvision, detectron2 or Matterport.

        Args:
            preset: a name of `MaskRCNN.presets()`, such as `"mask_rcnn_R_50_FPN"`.
            weights_file: path of the published file; `None` downloads it once and checks it.
            load_weights: `False` gives the architecture with random weights.
            **changes: arguments of `MaskRCNN` to change; settings of a part are laid over the
                preset's. Another `num_classes` leaves the layers that depend on it fresh, and says
                which.

        Returns:
            The model; `load_report` tells what became of every tensor of the file.

        Raises:
            ValueError: for an unknown preset, or a file that does not fit exactly.
        """
        published = get_preset(preset)
        model = cls(**published.model_arguments(changes))
        if load_weights:
            model.load_report = load_preset_weights(model, published, weights_file)
        return model

    @classmethod
    def from_model(cls, source: str | Path, **changes: Any) -> Self:
        """A trained model for other classes, or with other settings.

        All that it was trained with stays, such as pixels, strides and anchors; its dtype policy
        does not, nor does its optimizer.

        Args:
            source: a `.keras` file, or a run folder, which stands for its best model.
            **changes: as of `from_preset`. Another `num_classes`, or other `class_names`, leaves
                the layers that depend on the classes fresh, and says which. A setting that changes
                the shape of any other layer is an error.

        Returns:
            The model; `load_report` tells what became of every variable.

        Raises:
            ValueError: when there is no such model, or its weights do not fit.

        Example:

        >>> names = ["nucleus", "debris"]
        >>> model = MaskRCNN.from_model("runs/cells", num_classes=2, class_names=names)
        """
        file = model_file(source)
        saved_arguments(file)  # Says what else than a MaskRCNN it is.
        trained = keras.saving.load_model(file, compile=False)
        model = cls(**changed_arguments(trained, changes))
        fresh = has_other_classes(model, trained)
        model.load_report = load_trained_weights(model, trained, str(file), fresh_classes=fresh)
        return model

"""How a detector is written to files, and its weights read back."""

from __future__ import annotations

import os
from typing import Any

from keras_maskrcnn.models.trainable import TrainableDetector


class SavableDetector(TrainableDetector):
    """A model that is saved with its samplers' random states.

    Attributes:
        num_classes: set by the subclass, as what follows.
        anchor_targets, detection_targets: the layers that sample.
    """

    num_classes: int
    anchor_targets: Any
    detection_targets: Any

    def save(self, filepath: Any, overwrite: bool = True, **kwargs: Any) -> None:
        """Saves architecture, weights and optimizer.

        Args:
            filepath: a `.keras` file.
            overwrite: whether to replace a file that is there without asking.
            **kwargs: of `keras.Model.save`.

        Raises:
            ValueError: for a `.h5` file, from which Keras could not load the model again.
        """
        if str(filepath).lower().endswith((".h5", ".hdf5")):
            raise ValueError(
                "a MaskRCNN is saved as a .keras file, and its weights alone by "
                "save_weights('....weights.h5'): from Keras' old .h5 form it could not be loaded "
                f"again. Received: filepath={str(filepath)!r}"
            )
        super().save(filepath, overwrite=overwrite, **kwargs)

    def save_own_variables(self, store: Any) -> None:
        """Saves the samplers' random states, which Keras leaves out of its files."""
        for name in ("anchor_targets", "detection_targets"):
            store[name] = getattr(self, name).seed_generator.state

    def load_own_variables(self, store: Any) -> None:
        for name in {"anchor_targets", "detection_targets"}.intersection(store.keys()):
            getattr(self, name).seed_generator.state.assign(store[name])

    def load_weights(self, filepath: Any, skip_mismatch: bool = False, **kwargs: Any) -> None:
        """Loads weights that `save_weights` wrote.

        Args:
            filepath: a `.weights.h5` file, or a `.keras` file.
            skip_mismatch: leave layers of other shapes as they are, with a warning for each.
            **kwargs: of `keras.Model.load_weights`.

        Raises:
            ValueError: when the file is of another architecture or number of classes.
        """
        try:
            super().load_weights(filepath, skip_mismatch=skip_mismatch, **kwargs)
        except ValueError as error:
            raise ValueError(
                "expected weights of a model of the same architecture and number of classes, here "
                f"backbone={self.network.backbone.name!r} and num_classes={self.num_classes}; "
                "skip_mismatch=True leaves layers of other shapes as they are. "
                f"Received: filepath={str(filepath)!r}: {error}"
            ) from error

    def export(
        self,
        filepath: str | os.PathLike[str],
        format: str = "tf_saved_model",
        verbose: Any = None,
        **options: Any,
    ) -> None:
        """Writes a model for TensorFlow Serving, ONNX or LiteRT, which runs without this package.

        Args:
            filepath: folder of all versions of a SavedModel; or a file `.onnx` or `.tflite`.
            format: `"tf_saved_model"`, `"onnx"` or `"litert"`.
            verbose: `False` does not print what was written.
            **options: see `keras_maskrcnn.export.export_model`, which tells inputs and outputs too.
        """
        from keras_maskrcnn.export import export_model

        written = export_model(self, filepath, format, **options)
        if verbose is not False:
            print(f"exported: {written}")

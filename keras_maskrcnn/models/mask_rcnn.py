"""The model that users hold."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import keras
from keras import ops

from keras_maskrcnn.models.config import MaskRCNNConfig
from keras_maskrcnn.models.finite import FiniteGuard
from keras_maskrcnn.models.network import Network
from keras_maskrcnn.models.objective import has_whole_masks, loss_names
from keras_maskrcnn.models.presets import get_preset
from keras_maskrcnn.models.trainable import TrainableDetector
from keras_maskrcnn.tensorflow_errors import plain_errors
from keras_maskrcnn.weights import (
    backbone_conventions,
    load_backbone_weights,
    load_preset_weights,
)

logger = logging.getLogger("keras_maskrcnn")


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class MaskRCNN(TrainableDetector):
    """Mask R-CNN (He, Gkioxari, Dollár, Girshick 2017), as one Keras model.

    A Functional model from pictures to detections. `fit` and `evaluate` feed the ground truth
    through the same layers; no mode is switched by hand.

    Args:
        num_classes: foreground classes `K`. May be left out when `config` is given.
        weights: `None` for random weights; `"imagenet"` for a ResNet-50/101 backbone through
            Keras' own download; or a path to backbone weights
            (see `keras_maskrcnn.weights.load_backbone_weights`).
        config: a `MaskRCNNConfig`; other fields replace its values.
        name: of the model.
        dtype: dtype policy of the heavy layers, such as `"mixed_bfloat16"`; by default Keras'
            global one. Coordinates and losses stay float32. A saved model keeps its policy.
        **fields: any field of `MaskRCNNConfig`, such as `backbone="resnet101"`.

    Call arguments:
        inputs: `[B, H, W, 3]` RGB pictures 0..255, or a dict of `images` and `image_sizes`
            (int32 `[B, 2]`, height and width of the valid area; the rest is padding).

    Returns:
        dict of `boxes` float32 `[B, D, 4]` in pixels of the input, `scores` float32 `[B, D]`
        falling, `classes` int32 `[B, D]` (-1 where padded), `counts` int32 `[B]`, and `masks`
        float32 `[B, D, M, M]`: the probability that a pixel of the box belongs to the object.

    Example:

    ```python
    data = keras_maskrcnn.load_coco("instances.json", "pictures/")
    model = MaskRCNN(num_classes=len(data.class_names), class_names=data.class_names)
    model.compile()
    model.fit(data.batches(2, shuffle=True, augment=True), epochs=12)
    detections = model.predict("picture.jpg")[0]
    ```
    """

    def __init__(
        self,
        num_classes: int | None = None,
        *,
        weights: str | None = None,
        config: MaskRCNNConfig | None = None,
        name: str = "mask_rcnn",
        dtype: Any = None,
        **fields: Any,
    ) -> None:
        if num_classes is not None:
            fields["num_classes"] = num_classes
        if config is not None:
            fields = {**config.to_dict(), **fields}
        elif num_classes is None:
            raise ValueError(
                "MaskRCNN needs num_classes, or a config. Received: num_classes=None, config=None"
            )
        elif weights is not None:
            # Strides and pixels as these weights were trained with, unless the caller knows better.
            fields = {
                **backbone_conventions(fields.get("backbone", "resnet50"), weights),
                **fields,
            }
        config = MaskRCNNConfig(**fields)
        images = keras.Input((None, None, 3), dtype="float32", name="images")
        image_sizes = keras.Input((2,), dtype="int32", name="image_sizes")
        outside = keras.config.dtype_policy()
        keras.config.set_dtype_policy(outside if dtype is None else dtype)
        try:
            network = Network(config)
            super().__init__(
                inputs={"images": images, "image_sizes": image_sizes},
                outputs=network.inference(images, image_sizes),
                name=name,
            )
        finally:
            keras.config.set_dtype_policy(outside)
        self.config = config
        self.network = network
        # Layers that only training uses: tracked for their random state.
        self.anchor_targets = network.anchor_targets
        self.detection_targets = network.detection_targets
        # Held by a function, so that Keras does not count its layers twice.
        graphs: dict[bool, keras.Model] = {}

        def training_graph(whole_masks: bool = False) -> keras.Model:
            if whole_masks not in graphs:
                graphs[whole_masks] = network.training_graph(whole_masks)
            return graphs[whole_masks]

        self.training_graph = training_graph
        self._finite_guard = FiniteGuard()
        self._loss_means = [keras.metrics.Mean(name=name) for name in loss_names(config)]
        if weights is not None:
            self._load_backbone(weights)

    def _load_backbone(self, weights: str) -> None:
        stages = [m for m in (self.network.backbone, self.network.stage5) if m is not None]
        report = load_backbone_weights(stages, weights, preprocessing=self.config.preprocessing)
        self.load_report = report
        logger.warning(
            "%s\nOnly the backbone has these weights: feature pyramid, RPN and heads are random "
            "and must be trained before predictions mean anything.",
            report,
        )

    @classmethod
    def from_preset(
        cls,
        preset: str,
        *,
        weights_file: str | Path | None = None,
        load_weights: bool = True,
        name: str = "mask_rcnn",
        **fields: Any,
    ) -> MaskRCNN:
        """A published model, with the weights of torchvision, detectron2 or Matterport.

        Args:
            preset: a name of `keras_maskrcnn.PRESETS`, such as `"mask_rcnn_R_50_FPN"`.
            weights_file: path of the published file; `None` downloads it once and checks it.
            load_weights: `False` gives the architecture with random weights.
            name: of the model.
            **fields: fields of `MaskRCNNConfig` to change. Another `num_classes` leaves the layers
                that depend on it fresh, and says which.

        Returns:
            The model; `load_report` tells what became of every tensor of the file.

        Raises:
            ValueError: for an unknown preset, or a file that does not fit exactly.
        """
        published = get_preset(preset)
        model = cls(config=published.config(**fields), name=name)
        if load_weights:
            model.load_report = load_preset_weights(model, published, weights_file)
        return model

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the foreground classes."""
        config = self.config
        return config.class_names or tuple(f"class_{i}" for i in range(config.num_classes))

    @property
    def input_spec(self) -> None:
        """Nothing to enforce: `call` accepts plain pictures and dicts."""
        return None

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if not isinstance(inputs, dict):
            inputs = {"images": inputs}
        if "boxes" in inputs:
            graph = self.training_graph(has_whole_masks(inputs))
            return graph({name: inputs[name] for name in graph.input}, training=training)
        images = inputs["images"]
        sizes = inputs.get("image_sizes")
        if sizes is None:
            batch, height, width = ops.shape(images)[:3]
            row = ops.cast(ops.stack([height, width]), "int32")[None]
            sizes = ops.tile(row, (batch, 1))
        return super().call({"images": images, "image_sizes": sizes}, training=training)

    @plain_errors()
    def predict(self, x: Any, batch_size: int = 1, verbose: Any = "auto") -> list[Any]:
        """Finds the objects of pictures.

        Args:
            x: a picture's path, a picture as an array `[H, W, 3]` (RGB, 0..255) or of Pillow, a
                list of these, a `DetectionData`, or a data set of `(images, targets)` as `fit`
                takes.
            batch_size: pictures per step; pictures of a data set come batched.
            verbose: `0` hides the progress bar.

        Returns:
            one `Detections` per picture, in the pixels of the picture as given (of a data set: as
            on disk).

        Raises:
            TypeError, ValueError: for what is no picture, with its position.
        """
        # Pictures and results are not needed to build or train a model.
        from keras_maskrcnn.models.prediction import predict_dataset, predict_pictures

        show = verbose not in (0, "0")
        if hasattr(x, "element_spec"):
            return predict_dataset(self, x, show)
        return predict_pictures(self, x, batch_size, show)

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
                f"backbone={self.config.backbone!r} and num_classes={self.config.num_classes}; "
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

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "dtype": self.dtype_policy.name,
            "config": self.config.to_dict(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> MaskRCNN:
        return cls(
            config=MaskRCNNConfig(**config["config"]), name=config["name"], dtype=config["dtype"]
        )

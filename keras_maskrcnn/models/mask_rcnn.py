"""The model that users hold."""

from __future__ import annotations

import logging
from typing import Any

import keras
from keras import ops

from keras_maskrcnn import losses
from keras_maskrcnn.evaluation import CocoEvaluation
from keras_maskrcnn.models.config import MaskRCNNConfig
from keras_maskrcnn.models.network import Network
from keras_maskrcnn.weights import backbone_conventions, load_backbone_weights

Tensor = Any

logger = logging.getLogger("keras_maskrcnn")

_TARGETS = ("image_sizes", "boxes", "classes", "crowd_boxes")


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class MaskRCNN(keras.Model):
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
        dtype: Keras dtype policy of the heavy layers; coordinates and losses stay float32.
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
        network = Network(config)
        images = keras.Input((None, None, 3), name="images")
        image_sizes = keras.Input((2,), dtype="int32", name="image_sizes")
        super().__init__(
            inputs={"images": images, "image_sizes": image_sizes},
            outputs=network.inference(images, image_sizes),
            name=name,
        )
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
        self._loss_means = [
            keras.metrics.Mean(name=loss_name)
            for loss_name in (
                "rpn_class_loss",
                "rpn_box_loss",
                "class_loss",
                "box_loss",
                *(["mask_loss"] if config.predict_masks else []),
                *(["keypoint_loss"] if config.num_keypoints else []),
                "regularization_loss",
            )
        ]
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

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the foreground classes."""
        config = self.config
        return config.class_names or tuple(f"class_{i}" for i in range(config.num_classes))

    @property
    def input_spec(self) -> None:
        """Nothing to enforce: `call` accepts plain pictures and dicts."""
        return None

    def compile(self, optimizer: Any = None, **kwargs: Any) -> None:
        """Configures training.

        Args:
            optimizer: any Keras optimizer; by default SGD with momentum .9, learning rate .0025
                (.02 per 16 pictures, for batches of 2) and gradients clipped at norm 10.
            **kwargs: of `keras.Model.compile`. Losses are the model's own.
        """
        if kwargs.get("loss") is not None:
            raise ValueError(f"MaskRCNN brings its own losses. Received: loss={kwargs['loss']!r}")
        if optimizer is None:
            optimizer = keras.optimizers.SGD(0.0025, momentum=0.9, global_clipnorm=10.0)
        super().compile(optimizer=optimizer, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles a loaded model as it was saved, optimizer state included."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if not isinstance(inputs, dict):
            inputs = {"images": inputs}
        if "boxes" in inputs:
            graph = self.training_graph(_has_whole_masks(inputs))
            return graph({name: inputs[name] for name in graph.input}, training=training)
        images = inputs["images"]
        sizes = inputs.get("image_sizes")
        if sizes is None:
            batch, height, width = ops.shape(images)[:3]
            row = ops.cast(ops.stack([height, width]), "int32")[None]
            sizes = ops.tile(row, (batch, 1))
        return super().call({"images": images, "image_sizes": sizes}, training=training)

    def _join(self, data: Any) -> Any:
        """Moves the ground truth to the model's input: targets depend on the proposals."""
        images, targets, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if sample_weight is not None:
            raise ValueError(
                "MaskRCNN does not weight samples. Received: a data set of three parts"
            )
        if not isinstance(targets, dict) or not set(_TARGETS) <= set(targets):
            raise ValueError(
                "training needs a data set of (images, targets), targets a dict with "
                f"{_TARGETS}. Received: targets={type(targets).__name__}"
                + (f" with {sorted(targets)}" if isinstance(targets, dict) else "")
            )
        return {"images": images, **targets}, targets

    def train_step(self, data: Any) -> Any:
        return super().train_step(self._join(data))

    def test_step(self, data: Any) -> Any:
        return super().test_step(self._join(data))

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        config = self.config
        images = ops.cast(ops.shape(y["boxes"])[0], "float32")
        rpn_class, rpn_box = losses.rpn_losses(
            y_pred["rpn_logits"],
            y_pred["rpn_deltas"],
            y_pred["rpn_labels"],
            y_pred["rpn_target_deltas"],
            config.rpn_samples * images,
            config.box_beta,
        )
        parts = [
            rpn_class,
            rpn_box,
            losses.class_loss(y_pred["class_logits"], y_pred["roi_classes"]),
            losses.box_loss(
                y_pred["box_deltas"],
                y_pred["roi_classes"],
                y_pred["roi_target_deltas"],
                config.num_classes,
                config.box_beta,
            ),
        ]
        if config.predict_masks:
            parts.append(losses.mask_loss(y_pred["mask_logits"], y_pred["mask_targets"]))
        if config.num_keypoints:
            parts.append(
                losses.keypoint_loss(
                    y_pred["keypoint_logits"], y_pred["keypoint_cells"], y_pred["keypoint_valid"]
                )
            )
        parts.append(self._regularization())
        for mean, part in zip(self._loss_means, parts, strict=True):
            mean.update_state(part, sample_weight=images)
        return sum(parts[1:], parts[0])

    def fit(self, x: Any = None, **kwargs: Any) -> keras.callbacks.History:
        """Trains on a data set of `(images, targets)`.

        Args:
            x: a `tf.data.Dataset`, such as `DetectionData.batches` gives.
            **kwargs: of `keras.Model.fit`. A `CocoEvaluation` among the callbacks goes first, so
                that the others can monitor its numbers.

        Returns:
            Keras' history.
        """
        callbacks = kwargs.pop("callbacks", None)
        if isinstance(callbacks, list | tuple):
            callbacks = sorted(callbacks, key=lambda item: not isinstance(item, CocoEvaluation))
        # The data set shuffles itself; Keras would warn that it cannot.
        return super().fit(x, callbacks=callbacks, **{"shuffle": False, **kwargs})

    def _regularization(self) -> Tensor:
        """`weight_decay / 2` times the squared sum of all trained kernels."""
        kernels = [v for v in self.trainable_variables if v.name == "kernel"]
        if not kernels or not self.config.weight_decay:
            return ops.zeros(())
        squares = [ops.sum(ops.square(ops.cast(v, "float32"))) for v in kernels]
        return 0.5 * self.config.weight_decay * sum(squares[1:], squares[0])

    def predict(self, x: Any, batch_size: int = 1, verbose: Any = "auto") -> list[Any]:
        """Finds the objects of pictures.

        Args:
            x: a picture's path, a picture `[H, W, 3]` (RGB, 0..255), a list of these, or a data
                set of `(images, targets)` as `fit` takes.
            batch_size: pictures per step; pictures of a data set come batched.
            verbose: `0` hides the progress bar.

        Returns:
            one `Detections` per picture, in the pixels of the picture as given (of a data set: as
            on disk).
        """
        # Pictures and results are not needed to build or train a model.
        from keras_maskrcnn.models.prediction import predict_dataset, predict_pictures

        show = verbose not in (0, "0")
        if hasattr(x, "element_spec"):
            return predict_dataset(self, x, show)
        return predict_pictures(self, x, batch_size, show)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "config": self.config.to_dict()}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> MaskRCNN:
        return cls(config=MaskRCNNConfig(**config["config"]), name=config["name"])


def _has_whole_masks(targets: dict[str, Tensor]) -> bool:
    """Whether masks `[B, N, H, W]` cover the pictures rather than the boxes."""
    if "masks" not in targets:
        return False
    return tuple(targets["masks"].shape[2:]) == tuple(targets["images"].shape[1:3])

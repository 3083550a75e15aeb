"""How a detector learns: through Keras' own `compile`, `fit` and `evaluate`."""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_maskrcnn.checks import known_names
from keras_maskrcnn.evaluation import CocoEvaluation
from keras_maskrcnn.models import replicas
from keras_maskrcnn.models.finite import CompiledGuard, FiniteGuard
from keras_maskrcnn.models.input_checks import shown
from keras_maskrcnn.models.network import Network
from keras_maskrcnn.models.objective import (
    join_targets,
    loss_names,
    loss_parts,
    require_outlines,
)
from keras_maskrcnn.models.training_data import as_batches, fit_arguments
from keras_maskrcnn.tensorflow_errors import plain_errors

Tensor = Any


class TrainableDetector(keras.Model):
    """A model whose training outputs hold predictions and their targets side by side.

    Attributes:
        network: set by the subclass, as what follows.
        weight_decay: L2 penalty coefficient.
        _loss_means: a `keras.metrics.Mean` for each of `loss_names(network)`.
        _loss_weights: of losses that do not count as 1, by name.
        _finite_guard: looks at each step.
        _compiled_guard: looks at each step where XLA compiles it; `None` where not.
        _adds_decay: while `train_step` itself adds the gradient of the L2 penalty.
        _prepared: identity of the validation data of a `fit` that is running.
    """

    network: Network
    weight_decay: float
    _loss_means: list[keras.metrics.Mean]
    _loss_weights: Mapping[str, float] = types.MappingProxyType({})
    _finite_guard: FiniteGuard
    _compiled_guard: CompiledGuard | None = None
    _adds_decay: bool = False
    _prepared: int | None = None

    def compile(
        self,
        optimizer: Any = None,
        loss_weights: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Configures training.

        Args:
            optimizer: any Keras optimizer; by default SGD with momentum .9, learning rate .0025
                (.02 per 16 pictures, for batches of 2) and gradients clipped at norm 10.
            loss_weights: what losses count for, by their names in the logs, such as
                `{"mask_loss": 2.0}`; 1 where nothing is said. The logs show the losses themselves,
                and `loss` as the weighted sum. With weights of 0, the RPN and the heads can be
                trained one after the other.
            **kwargs: of `keras.Model.compile`. Losses are the model's own. With `jit_compile=True`
                XLA compiles the steps of `fit`, `evaluate` and `predict`; with `"auto"`, the
                default, it never does.

        Raises:
            ValueError: for a loss of another kind, the weight of a loss that there is not, or XLA
                on several replicas.
        """
        if kwargs.get("loss") is not None:
            raise ValueError(
                f"MaskRCNN brings its own losses. Received: loss={shown(kwargs['loss'])}"
            )
        if optimizer is None:
            optimizer = keras.optimizers.SGD(0.0025, momentum=0.9, global_clipnorm=10.0)
        known_names("loss_weights", loss_weights or {}, loss_names(self.network))
        self._loss_weights = dict(loss_weights or {})
        super().compile(optimizer=optimizer, loss_weights=loss_weights, **kwargs)
        replicas.prepare(self)

    @property
    def jit_compile(self) -> bool:
        """Whether XLA compiles the steps; their layers are then those of `models.xla`."""
        return self._compiled_guard is not None

    @jit_compile.setter
    def jit_compile(self, value: bool) -> None:
        # Keras would ask the layers of the model itself, which XLA does not meet.
        if value:
            count = self.distribute_strategy.num_replicas_in_sync
            if count > 1:
                raise ValueError(f"jit_compile=True needs one replica. Received: {count} replicas")
        self._compiled_guard = CompiledGuard() if value else None

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles a loaded model as it was saved, optimizer state included."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def train_step(self, data: Any) -> Any:
        inputs, targets = join_targets(self.network, data)
        ids = replicas.gathered(inputs["image_ids"]) if "image_ids" in inputs else None
        check = functools.partial(self._finite_guard.check, self.optimizer, ids)
        inputs = replicas.require_pictures(inputs)
        guard = None
        if self._compiled_guard is not None:
            guard = functools.partial(self._compiled_guard.update, self.optimizer)
        self._adds_decay = True
        try:
            logs = replicas.train_step(self, inputs, targets, check, self._with_decay, guard)
        finally:
            self._adds_decay = False
        return replicas.as_logs(logs)

    def _with_decay(self, gradients: list[Tensor]) -> list[Tensor]:
        """Adds the gradient of the L2 penalty, of each kernel when that of the losses is there.

        Differentiated with the losses, it would be computed as soon as the backward pass begins,
        since it depends on weights alone, and a second copy of all weights kept until its end.

        Args:
            gradients: of the losses, one per trained variable, or `None`.
        """
        decay = self.weight_decay * self._loss_weights.get("regularization_loss", 1.0)
        if decay == 0:
            return gradients
        decay = self.optimizer.scale_loss(decay)
        result = []
        for variable, gradient in zip(self.trainable_variables, gradients, strict=True):
            if _decays(variable):
                known = [] if gradient is None else [gradient]
                with tf.control_dependencies(known):
                    known.append(decay * variable.value)
                gradient = tf.add_n(known)
            result.append(gradient)
        return result

    def test_step(self, data: Any) -> Any:
        inputs, targets = join_targets(self.network, data)
        return replicas.as_logs(super().test_step((replicas.require_pictures(inputs), targets)))

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        kernels = [v for v in self.trainable_variables if _decays(v)]
        parts = loss_parts(self.network, y_pred, kernels, self.weight_decay, replicas.total)
        if self._adds_decay:
            parts["regularization_loss"] = ops.stop_gradient(parts["regularization_loss"])
        whole = {name: replicas.total(part) for name, part in parts.items()}
        images = ops.shape(y["boxes"])[0]
        weighted = [
            sum(self._loss_weights.get(name, 1.0) * part for name, part in losses.items())
            for losses in (parts, whole)
        ]
        for mean in self._loss_means:
            mean.update_state(whole[mean.name], sample_weight=images)
        return replicas.with_value_of(*weighted)

    @plain_errors()
    def fit(self, x: Any = None, y: Any = None, **kwargs: Any) -> keras.callbacks.History:
        """Trains on pictures with ground truth.

        The first batch is checked as it is read: what the model cannot learn from is an error, and
        pictures of another size than `predict` gives them are told in a warning.

        Args:
            x: a `tf.data.Dataset` of `(images, targets)`, such as `DetectionData.batches` gives;
                a `DetectionData`, whose pictures are read in a new order in each pass, resized as
                by `predict`, and not augmented; a `PyDataset` or generator of
                `(images, targets)`; or an array of images.
            y: dict of targets, with an array of images.
            **kwargs: of `keras.Model.fit`. `batch_size` is of a `DetectionData` or of arrays, and 2
                by default; `validation_data` is anything that `x` may be, or a tuple of images and
                targets. A `CocoEvaluation` among the callbacks goes first, so that the others can
                monitor its numbers.

        Returns:
            Keras' history.

        Raises:
            TypeError: when `x` is no such data.
            ValueError: when the data cannot be that of this model, or a picture cannot be read.
            NonFiniteError: at the first step whose loss or gradient is not finite; the weights
                are those before that step.
        """
        require_outlines(self.network, x, kwargs.get("validation_data"))
        callbacks = kwargs.pop("callbacks", None)
        if isinstance(callbacks, list | tuple):
            callbacks = sorted(callbacks, key=lambda item: not isinstance(item, CocoEvaluation))
        if self._compiled_guard is not None:
            callbacks = [*tf.nest.flatten(callbacks or []), self._compiled_guard]
        arguments = fit_arguments(self, {"x": x, "y": y, **kwargs})
        replicas.build_optimizer(self)
        validation = arguments.get("validation_data")
        if validation is not None:
            self._prepared = id(validation[0] if isinstance(validation, tuple) else validation)
        try:
            with self._finite_guard.explained(self):
                return super().fit(callbacks=callbacks, **arguments)
        finally:
            self._prepared = None

    @plain_errors()
    def evaluate(self, x: Any = None, y: Any = None, **kwargs: Any) -> Any:
        """Computes the losses on pictures with ground truth; `evaluate_coco` computes AP.

        Args:
            x: as of `fit`; a `DetectionData` is read in its own order.
            y: as of `fit`.
            **kwargs: of `keras.Model.evaluate`; `batch_size` as of `fit`.

        Returns:
            The losses, as Keras gives them.

        Raises:
            TypeError, ValueError: as `fit`.
        """
        # Within `fit`, Keras hands in what `fit` prepared.
        if id(x) != self._prepared:
            x, y, kwargs["batch_size"] = as_batches(self, x, y, batch_size=kwargs.get("batch_size"))
        return super().evaluate(x, y, **kwargs)


def _decays(variable: keras.Variable) -> bool:
    """Whether the L2 penalty is of this variable: of kernels, not of biases and norms."""
    return variable.name == "kernel"

"""Training ends at the first number that is not finite, before a weight has taken it in."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

Tensor = Any

_NAMED = 16


class NonFiniteError(ArithmeticError):
    """Training met a loss, a gradient or a weight that is nan or infinite.

    Args:
        what: what is not finite, as a sentence.
        step: steps of the optimizer, this one included.
        image_ids: of the batch; `None` where the data set has none.
        advice: what may help, one entry each.
        files: path of each picture, where the caller knows them.
    """

    def __init__(
        self,
        what: str,
        step: int,
        image_ids: Sequence[int] | None = None,
        advice: Sequence[str] = (),
        files: Mapping[int, str] | None = None,
    ) -> None:
        super().__init__(what, step, image_ids, advice, files)
        self.what = what
        self.step = step
        self.image_ids = image_ids
        self.advice = advice
        self.files = files or {}

    def with_files(self, files: Mapping[int, str]) -> NonFiniteError:
        """The same error, which names the pictures' files too."""
        return NonFiniteError(self.what, self.step, self.image_ids, self.advice, files)

    def __str__(self) -> str:
        text = f"Training stopped at step {self.step}: {self.what}."
        if self.image_ids is not None:
            named = [
                f"{key} ({self.files[key]})" if key in self.files else str(key)
                for key in self.image_ids[:_NAMED]
            ]
            more = len(self.image_ids) - _NAMED
            text += f" Image ids of its batch: {', '.join(named)}"
            text += f" and {more} more." if more > 0 else "."
        return text + (f" What may help: {'; '.join(self.advice)}." if self.advice else "")


class FiniteGuard:
    """Checks each step of a model's training within its graph, and tells what it found."""

    def __init__(self) -> None:
        self._found: tuple[float, float, int, list[int] | None] | None = None

    def check(
        self, optimizer: Any, image_ids: Tensor | None, loss: Tensor, gradients: list[Tensor]
    ) -> list[tf.Operation]:
        """What an update has to wait for: it fails when loss or gradients are not finite.

        It costs one pass over the gradients, as clipping their norm does.

        Args:
            optimizer: a `LossScaleOptimizer` has its own answer to gradients that overflow.
            image_ids: int `[B]`, if known.
            loss: scalar.
            gradients: one per variable, or `None`.

        Returns:
            operations for `tf.control_dependencies`.
        """
        finite, norm = _are_finite(optimizer, loss, gradients)
        found = [loss, norm, tf.convert_to_tensor(optimizer.iterations)]
        found += [] if image_ids is None else [image_ids]

        def fail() -> tf.Operation:
            # An error raised in Python would be logged with its traceback by each of TensorFlow's
            # layers that it passes.
            noted = tf.numpy_function(self._note, found, [])
            with tf.control_dependencies([] if noted is None else [noted]):
                return tf.raw_ops.Assert(condition=False, data=["not finite"])

        passed = tf.cond(finite, tf.no_op, fail)
        # Eagerly, a failure has been raised by now, and there is no operation to wait for.
        return [] if passed is None else [passed]

    def _note(
        self, loss: np.ndarray, norm: np.ndarray, steps: np.ndarray, ids: np.ndarray | None = None
    ) -> None:
        self._found = float(loss), float(norm), int(steps), None if ids is None else ids.tolist()

    @contextlib.contextmanager
    def explained(self, model: keras.Model) -> Iterator[None]:
        """Raises a `NonFiniteError` in place of TensorFlow's, when a step in it has failed."""
        self._found = None
        try:
            yield
        except tf.errors.OpError:
            if self._found is None:
                raise
            loss, norm, steps, image_ids = self._found
            raise _error(model, loss, norm, steps + 1, image_ids) from None


class CompiledGuard(keras.callbacks.Callback):
    """Guards steps that XLA compiles, which can neither fail nor call Python: as a callback.

    A step whose loss or gradients are not finite changes no weight, nor does one after it, and
    training ends when it is over.
    """

    def __init__(self) -> None:
        super().__init__()
        # Loss, norm and number of the first step that failed; 0 as long as none did.
        self._found = tf.Variable(tf.zeros(3), trainable=False)

    def update(
        self,
        optimizer: Any,
        loss: Tensor,
        gradients: list[Tensor],
        update: Callable[[list[Tensor]], None],
    ) -> None:
        """Updates the weights if all is finite.

        Args:
            optimizer, loss, gradients: as of `FiniteGuard.check`.
            update: makes new weights from the gradients.
        """
        finite, norm = _are_finite(optimizer, loss, gradients)
        before = self._found.read_value()
        step = tf.convert_to_tensor(optimizer.iterations) + 1
        found = tf.stack([tf.cast(value, tf.float32) for value in (loss, norm, step)])
        passed = before[2] == 0
        self._found.assign(tf.where(passed & ~finite, found, before))

        def apply() -> tf.Operation:
            update(gradients)
            return tf.no_op()

        tf.cond(passed & finite, apply, tf.no_op)

    def on_train_begin(self, logs: Any = None) -> None:
        self._found.assign(tf.zeros(3))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        loss, norm, step = map(float, self._found.numpy())
        if step:
            raise _error(self.model, loss, norm, int(step), None)


def _are_finite(optimizer: Any, loss: Tensor, gradients: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Whether loss and gradients are, and the norm of the latter."""
    norm = tf.linalg.global_norm([g for g in gradients if g is not None])
    finite = tf.math.is_finite(loss)
    if not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        finite &= tf.math.is_finite(norm)
    return finite, norm


def _error(
    model: keras.Model, loss: float, norm: float, step: int, image_ids: list[int] | None
) -> NonFiniteError:
    what = f"the loss is {loss}"
    if np.isfinite(loss):
        what = f"the loss is {loss:.4g}, but the norm of its gradient is {norm}"
    look = [] if image_ids is None else ["a look at these pictures and their annotations"]
    return NonFiniteError(what, step, image_ids, _advice(model) + look)


def require_finite_weights(model: keras.Model) -> None:
    """Makes sure that a model is worth saving.

    Raises:
        NonFiniteError: when a weight or statistic is nan or infinite; the message names it.
    """
    bad = [v.path for v in model.variables if not np.isfinite(keras.ops.convert_to_numpy(v)).all()]
    if bad:
        more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
        what = f"{bad[0]}{more} holds values that are not finite"
        raise NonFiniteError(what, int(model.optimizer.iterations), None, _advice(model))


def _advice(model: keras.Model) -> list[str]:
    """What usually helps, as far as it is not done yet."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    rate = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
    advice = [f"a lower learning rate (it is {rate:.3g} here)", "a longer warm-up"]
    clips = (optimizer.global_clipnorm, optimizer.clipnorm, optimizer.clipvalue)
    if all(limit is None for limit in clips):
        advice.append("a limit of the gradient's norm, such as global_clipnorm=10")
    else:
        advice.append("a lower limit of the gradient's norm")
    if model.dtype_policy.compute_dtype != model.dtype_policy.variable_dtype:
        advice.append(f"float32 instead of {model.dtype_policy.name}")
    return advice

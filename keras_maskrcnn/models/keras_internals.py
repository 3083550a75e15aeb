"""Keras' and TensorFlow's private names: all that this package uses stand here, and nowhere else.

On several replicas Keras has no public way to accumulate gradients or to leave out its own building
of a model. `models.replicas` imports this module there alone, so a new Keras that lacks one of the
names breaks nothing but training on several replicas, and does so before the first step.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

Tensor = Any


def require(owner: Any, *names: str) -> None:
    """Makes sure that a class or object of Keras or TensorFlow still has these names.

    Raises:
        RuntimeError: with the name that is gone, and the versions that are known to have it.
    """
    for name in names:
        if not hasattr(owner, name):
            kind = owner if isinstance(owner, type) else type(owner)
            raise RuntimeError(
                f"training on several replicas needs {kind.__module__}.{kind.__qualname__}.{name}, "
                f"which this version lacks. Expected {' and '.join(_known_versions())}. "
                f"Received: keras {keras.__version__}, tensorflow {tf.__version__}"
            )


def _known_versions() -> list[str]:
    """`keras>=a,<b` and the like, as this package's metadata tells them."""
    needed = importlib.metadata.requires("maskrcnn-keras") or []
    return [line for line in needed if line.startswith(("keras", "tensorflow")) and ";" not in line]


require(keras.Model, "_maybe_symbolic_build")
require(
    keras.optimizers.Optimizer,
    "_apply_weight_decay",
    "_backend_reset_gradient_accumulators",
    "_backend_update_step",
    "_clip_gradients",
    "_get_variable_index",
)
require(tf.distribute.StrategyExtended, "_in_multi_worker_mode")


def replace_symbolic_build(model: keras.Model, build: Callable[[keras.Model], None]) -> None:
    """Puts something else in place of what Keras does before an epoch.

    It reads a batch and takes the mean of the replicas' shares, which may differ in size, and fails
    with several workers.

    Args:
        model: made under the strategy, and compiled.
        build: makes the optimizer's variables; all else of the model is built.
    """
    model._maybe_symbolic_build = lambda iterator=None, data_batch=None: build(model)


def has_several_workers(strategy: tf.distribute.Strategy) -> bool:
    """Whether the replicas are spread over several machines."""
    several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    return several and strategy.extended._in_multi_worker_mode()


def accumulate(optimizer: Any, gradients: list[Tensor], variables: list[Any]) -> None:
    """What a Keras optimizer with `gradient_accumulation_steps` does with gradients.

    Its own branch between keeping and applying them lies within a replica, where TensorFlow allows
    no branch that replicas must take together (Keras issue 20582). Here all take it together.

    Args:
        optimizer: built.
        gradients: whole on the first replica and zeros on the others; `None` for some variables.
        variables: of the gradients.

    Raises:
        ValueError: for an optimizer that averages weights too.
    """
    if optimizer.use_ema:
        raise ValueError(
            "On several replicas an optimizer either accumulates gradients or averages weights. "
            f"Received: gradient_accumulation_steps={optimizer.gradient_accumulation_steps}, "
            "use_ema=True"
        )
    require(optimizer, "_accumulated_gradients", "_iterations")
    steps = optimizer.gradient_accumulation_steps
    known = [(g, v) for g, v in zip(gradients, variables, strict=True) if g is not None]
    trained = [v for _, v in known]
    sums = [optimizer._accumulated_gradients[optimizer._get_variable_index(v)] for v in trained]

    def keep(gradients: list[Tensor]) -> None:
        for kept, gradient in zip(sums, gradients, strict=True):
            kept.assign(kept + gradient)

    def apply(gradients: list[Tensor]) -> None:
        means = [(g + kept) / steps for g, kept in zip(gradients, sums, strict=True)]
        means = optimizer._clip_gradients(means)
        optimizer._apply_weight_decay(trained)
        optimizer._backend_update_step(means, trained, optimizer.learning_rate)
        optimizer._backend_reset_gradient_accumulators()

    def together(strategy: tf.distribute.Strategy, gradients: list[Tensor]) -> None:
        def on_each(function: Any) -> None:
            strategy.extended.call_for_each_replica(function, args=(gradients,))

        last = tf.equal((optimizer._iterations.value + 1) % steps, 0)
        tf.cond(last, lambda: on_each(apply), lambda: on_each(keep))

    tf.distribute.get_replica_context().merge_call(together, args=([g for g, _ in known],))
    optimizer._iterations.assign_add(1)

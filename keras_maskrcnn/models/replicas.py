"""Training on several replicas at once (`tf.distribute`): the numbers of one replica.

Keras adds up the replicas' gradients, so every replica divides by the counts of all of them: then
the sum is the gradient of the loss of the whole batch, however its pictures are spread. On one
replica every function here gives back what it was given.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_maskrcnn.ops.gpu_forms import in_few_launches

Tensor = Any
Check = Callable[[Tensor, list[Tensor]], list[tf.Operation]]
Addition = Callable[[list[Tensor]], list[Tensor]]
Guard = Callable[[Tensor, list[Tensor], Callable[[list[Tensor]], None]], None]


def replica_count() -> int:
    """How many replicas take part in a step."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def total(value: Tensor) -> Tensor:
    """Sum of a number over all replicas, without a gradient."""
    if replica_count() == 1:
        return value
    return _sum(tf.stop_gradient(value))


def gathered(value: Tensor) -> Tensor:
    """What all replicas have, along the first axis."""
    if replica_count() == 1:
        return value
    # With one replica on each worker TensorFlow asks for the value's device: what came from a data
    # set within a graph has none yet.
    return tf.distribute.get_replica_context().all_gather(tf.identity(value), axis=0)


def with_value_of(loss: Tensor, whole: Tensor) -> Tensor:
    """A replica's share of the loss, with its own gradient and the value that Keras expects.

    Keras' logs take a replica's loss times the number of replicas, and average over pictures.

    Args:
        loss: share of this replica.
        whole: sum of all shares.
    """
    if replica_count() == 1:
        return loss
    return loss + tf.stop_gradient(whole / replica_count() - loss)


def require_pictures(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Fails where a batch has fewer pictures than there are replicas.

    TensorFlow gives the replicas that are left over pictures without pixels.

    Args:
        inputs: of the model, with `images`.
    """
    if replica_count() == 1:
        return inputs
    images = inputs["images"]
    enough = tf.debugging.assert_greater(
        tf.shape(images)[0],
        0,
        f"every batch needs at least one picture for each of the {replica_count()} replicas: pass "
        "drop_remainder=True to DetectionData.batches, or another batch_size. "
        "Received: a batch with fewer",
    )
    # None where the number is known beforehand.
    with tf.control_dependencies([] if enough is None else [enough]):
        return {**inputs, "images": tf.identity(images)}


def no_check(loss: Tensor, gradients: list[Tensor]) -> list[tf.Operation]:
    """Lets every step pass."""
    return []


def nothing_added(gradients: list[Tensor]) -> list[Tensor]:
    """Leaves the gradients as they are."""
    return gradients


def train_step(
    model: keras.Model,
    x: Any,
    y: Any,
    check: Check = no_check,
    add: Addition = nothing_added,
    guard: Guard | None = None,
) -> dict[str, Tensor]:
    """Keras' training step, with gradients that are complete before the optimizer sees them.

    Keras' optimizers clip and check the gradients of each replica alone, before they add them up:
    a norm would be clipped at another place than on one replica.

    Args:
        model: a compiled model whose `compute_loss` gives this replica's share of the loss.
        x: input.
        y: targets.
        check: called with this replica's loss and the gradients; gives what the update waits for.
        add: called with the gradients of the whole batch, one per variable or `None`; gives them
            with what the loss leaves out.
        guard: in the place of `check`, on one replica: called with the loss, the gradients and what
            updates the weights from these, which it may leave undone.

    Returns:
        what `train_step` of a Keras model returns.
    """
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x=x, y=y, y_pred=y_pred, training=True)
        scaled = model.optimizer.scale_loss(loss)
    pictures = tf.shape(tf.nest.flatten(x)[0])[0]
    mean_loss = next(metric for metric in model.metrics if metric.name == "loss")
    mean_loss.update_state(loss * replica_count(), sample_weight=pictures)
    variables = model.trainable_variables
    gradients = add(_whole(tape.gradient(scaled, [v.value for v in variables])))
    update = functools.partial(_update, model.optimizer, variables)
    if guard is not None:
        guard(loss, gradients, update)
        return model.compute_metrics(x, y, y_pred)
    with tf.control_dependencies(check(loss, gradients)):
        # A replica's update may be run by another thread, which waits for the gradients only.
        gradients = [None if g is None else tf.identity(g) for g in gradients]
        gradients = _for_one_replica(gradients)
        if replica_count() > 1 and model.optimizer.gradient_accumulation_steps:
            from keras_maskrcnn.models import keras_internals

            keras_internals.accumulate(model.optimizer, gradients, variables)
        else:
            in_few_launches(update)(gradients)
    return model.compute_metrics(x, y, y_pred)


def _update(optimizer: Any, variables: list[Any], gradients: list[Tensor]) -> None:
    optimizer.apply_gradients(zip(gradients, variables, strict=True))


def prepare(model: keras.Model) -> None:
    """Makes a model that has been compiled ready for several replicas, where it is to have them.

    Raises:
        RuntimeError: when this Keras lacks what that needs.
    """
    if model.distribute_strategy.num_replicas_in_sync > 1:
        from keras_maskrcnn.models import keras_internals

        keras_internals.replace_symbolic_build(model, build_optimizer)


def build_optimizer(model: keras.Model) -> None:
    """Makes the optimizer's variables before the first step.

    Replicas cannot make them; and a step that makes variables is traced twice by `tf.function`.
    """
    optimizer = getattr(model, "optimizer", None)  # Keras refuses a model that is not compiled.
    if optimizer is not None and not optimizer.built:
        with model.distribute_strategy.scope():
            optimizer.build(model.trainable_variables)


def as_logs(logs: dict[str, Tensor]) -> dict[str, Tensor]:
    """With several workers, Keras averages logs along an axis, which plain numbers lack."""
    if replica_count() == 1:
        return logs
    from keras_maskrcnn.models import keras_internals

    if keras_internals.has_several_workers(tf.distribute.get_strategy()):
        return {name: tf.reshape(value, (1,)) for name, value in logs.items()}
    return logs


def _whole(gradients: list[Tensor]) -> list[Tensor]:
    """The sum of the replicas' gradients, on each of them."""
    if replica_count() == 1:
        return gradients
    whole = iter(_sum([g for g in gradients if g is not None]))
    return [None if g is None else next(whole) for g in gradients]


def _for_one_replica(gradients: list[Tensor]) -> list[Tensor]:
    """The whole gradients on the first replica and zeros on the others.

    The optimizer's own sum over replicas then changes nothing, and what it does before, clipping
    and accumulation, it does to the whole gradient.
    """
    if replica_count() == 1:
        return gradients
    is_first = tf.equal(tf.distribute.get_replica_context().replica_id_in_sync_group, 0)
    return [None if g is None else tf.where(is_first, g, tf.zeros_like(g)) for g in gradients]


def _sum(values: Any) -> Any:
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.SUM, values)

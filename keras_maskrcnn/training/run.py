"""From a model and two data sets to a run folder: what `maskrcnn train` and the demo share.

A run folder holds `history.csv`, whose epochs count from 1, `best.keras` (by the number that the
options name), `last.keras`, from which an interrupted run goes on, `learning_curves.png` and, at
the end, `predictions.png`.
"""

from __future__ import annotations

import contextlib
import logging
import os
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from keras_maskrcnn.data.digest import data_digest
from keras_maskrcnn.data.plan import PassPlan
from keras_maskrcnn.evaluation import CocoEvaluation
from keras_maskrcnn.models.finite import NonFiniteError
from keras_maskrcnn.notebook import bar_verbosity
from keras_maskrcnn.training.averages import WeightAverages
from keras_maskrcnn.training.checkpoints import RunCheckpoint
from keras_maskrcnn.training.folder import RunFolder
from keras_maskrcnn.training.freezing import Freeze
from keras_maskrcnn.training.monitors import monitored
from keras_maskrcnn.training.optimizers import make_optimizer
from keras_maskrcnn.training.options import TrainingOptions
from keras_maskrcnn.training.state import TrainingState, state_from_json, state_to_json
from keras_maskrcnn.training.timing import TimedBar, TimedRun
from keras_maskrcnn.training.together import Agreement, ChiefValidation
from keras_maskrcnn.training.workers import Workers

if TYPE_CHECKING:
    from keras_maskrcnn.data.detection_data import DetectionData

logger = logging.getLogger("keras_maskrcnn")

_WARNINGS_SHOWN = 5
# More than time allows: what time ends has no number of epochs.
_NO_END = 10**9


class _EpochReport(keras.callbacks.Callback):
    """Before and after each epoch one line in the package's log, and the learning curves anew."""

    def __init__(self, run: RunFolder, data: DetectionData, options: TrainingOptions) -> None:
        super().__init__()
        self.run = run
        self.plan = PassPlan(
            data, options.sampling, options.seed, shuffle=True, tiling=options.tiling
        )

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logger.info("%s: %s", self._named(epoch), self.plan.describe(epoch))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        numbers = "  ".join(f"{name} {value:.4f}" for name, value in (logs or {}).items())
        logger.info("%s: %s", self._named(epoch), numbers)
        self.run.draw_learning_curves()

    def _named(self, epoch: int) -> str:
        return f"epoch {epoch + 1} of {self.params['epochs']}"


def train_model(
    model: keras.Model,
    train_data: DetectionData,
    val_data: DetectionData,
    folder: str | os.PathLike[str] | RunFolder,
    options: TrainingOptions,
) -> list[dict[str, float]]:
    """Trains a model into a run folder, or goes on where an interrupted run in it stopped.

    A run that was interrupted, by whatever and whenever, goes on at the beginning of the epoch it
    was in, and comes to the numbers and weights of one that was not: on a CPU bit for bit, unless
    time ends it (`minutes`). Pictures that cannot be read are left out before the first epoch, and
    named in the log.

    A model that was made in the scope of a `MultiWorkerMirroredStrategy` is trained by all of its
    workers together: all call this, outside of the scope, with the same options and pictures. The
    first one's weights and folder count; it alone evaluates and writes. A last batch of a pass that
    is not full is left out.

    Args:
        model: a `MaskRCNN`; it is compiled here. Afterwards it has the last epoch's weights, with
            `ema` their averages.
        train_data, val_data: pictures to train on, and to validate on after each epoch.
        folder: the run folder; it is created.
        options: how to train.

    Returns:
        The history: one dictionary of numbers per epoch, earlier parts of the run included.

    Raises:
        ValueError: when another run is in the folder, it holds something else than a run on as
            many pictures, or no picture can be read; when several workers have unlike options or
            pictures, `minutes`, or a batch that they cannot share.
        OSError: when a file cannot be written, as on a full disk.
        NonFiniteError: at the first loss or gradient that is nan or infinite; the folder keeps
            the epoch before. The message names the pictures.
    """
    run = folder if isinstance(folder, RunFolder) else RunFolder(folder)
    workers = Workers(model.distribute_strategy)
    _check_workers(workers, options)
    with run.lock() if workers.is_chief else contextlib.nullcontext():
        if workers.is_chief:
            run.remove_partials()
        train_data, val_data = (_readable(data, options) for data in (train_data, val_data))
        state = _begin(run, workers, train_data, val_data, options)
        try:
            state = _fit(model, train_data, val_data, run, options, state, workers)
        except NonFiniteError as error:
            files = {record.image_id: record.path for record in train_data.records}
            raise error.with_files(files) from None
        if workers.is_chief and not run.is_finished():
            best = keras.saving.load_model(run.best_file, compile=False)
            run.draw_predictions(best, val_data, tiling=options.tiling)
        workers.from_chief(None)  # A worker that ends takes the others with it.
        return list(state.history)


def _check_workers(workers: Workers, options: TrainingOptions) -> None:
    """Refuses what several workers cannot do."""
    if not workers.are_several:
        return
    if options.minutes is not None:
        raise ValueError(
            f"Expected epochs with {workers.count} workers, whose clocks would part. "
            f"Received: minutes={options.minutes}"
        )
    if tf.distribute.has_strategy():
        raise ValueError(
            "Expected train_model outside of strategy.scope(), in which the model is made. "
            "Received: a call within it"
        )
    workers.require_equal_shares(options.batch_size)


def _begin(
    run: RunFolder,
    workers: Workers,
    train_data: DetectionData,
    val_data: DetectionData,
    options: TrainingOptions,
) -> TrainingState:
    """Where the run begins, on all workers."""
    state = TrainingState(pictures=len(train_data))
    if workers.is_chief:
        state = run.state() or state
    if state.pictures != len(train_data):
        raise ValueError(
            f"Expected the {state.pictures} training pictures with which the run in {run.path} "
            f"began. Received: {len(train_data)}"
        )
    if not workers.are_several:
        return state
    workers.require_same(
        {
            **options.describe(),
            "classes": list(train_data.class_names),
            "training pictures": len(train_data),
            "validation pictures": len(val_data),
            "digest of validation pictures and objects": data_digest(val_data),
        }
    )
    return state_from_json(workers.from_chief(state_to_json(state)))


def _readable(data: DetectionData, options: TrainingOptions) -> DetectionData:
    """The data without the pictures that cannot be read, which are named in the log."""
    # Its imports are not needed to read a run folder.
    from keras_maskrcnn.data.readable import leave_out_unreadable

    checked = leave_out_unreadable(data, by_parts=options.tiling is not None)
    lines = checked.warnings[len(data.warnings) :]
    if lines:
        logger.warning("%s: left out %d pictures:", data.name, len(lines))
    for number, line in enumerate(lines):
        # All of them in the log file, the first ones on the terminal.
        logger.log(logging.WARNING if number < _WARNINGS_SHOWN else logging.INFO, "  %s", line)
    if len(lines) > _WARNINGS_SHOWN:
        logger.warning("  and %d more", len(lines) - _WARNINGS_SHOWN)
    return checked


def _fit(
    model: keras.Model,
    train_data: DetectionData,
    val_data: DetectionData,
    run: RunFolder,
    options: TrainingOptions,
    state: TrainingState,
    workers: Workers,
) -> TrainingState:
    """Trains the epochs that are left; gives the state after the last."""
    train, steps = workers.batches(
        train_data, model=model, first_pass=state.epochs_done, **options.batch_settings()
    )
    tiles: dict[str, Any] = {"tile": options.tile, "overlap": options.overlap}
    val = val_data.batches(options.batch_size, model=model, **tiles)
    if workers.are_several:
        logger.warning(
            "%d workers take %d steps in an epoch, each of %d pictures: a rest is left out",
            *(workers.count, steps, options.batch_size),
        )
    monitor = monitored(model, options)
    total = None if options.epochs is None else steps * options.epochs
    freeze = None
    with model.distribute_strategy.scope():
        model.compile(optimizer=make_optimizer(options, total))
        variables = model.trainable_variables
        if options.freeze is not None:
            freeze = Freeze(model, options.freeze, options.freeze_epochs)
            variables = freeze.begin(state.epochs_done)
        model.optimizer.build(variables)
    averages = None if options.ema is None else WeightAverages(model, variables)
    if state.epochs_done and workers.is_chief:
        run.restore(model, state, monitor, averages)
    workers.share_variables([*model.variables, *model.optimizer.variables])
    if state.is_over(options.epochs):
        if averages is not None:
            averages.put()
        return state
    timed = None if options.minutes is None else TimedRun(options, state.seconds)
    checkpoint = None
    callbacks: list[keras.callbacks.Callback | None] = []
    if workers.is_chief:
        run.predictions_file.unlink(missing_ok=True)  # Not finished any more.
        evaluation = CocoEvaluation(val_data, options.batch_size, options.evaluate_every, **tiles)
        checkpoint = RunCheckpoint(
            *(run, state, monitor, evaluation),
            averages=averages,
            patience=options.patience,
            timed=timed,
        )
        pictures, scalars = None, None
        if options.tensorboard:
            pictures, scalars = _boards(run, val_data, evaluation, options)
        # In this order: what looks at the averages, what saves the weights, what tells of both.
        judges = [evaluation, *([] if pictures is None else [pictures])]
        if workers.are_several:
            callbacks = [ChiefValidation(model, val, judges, averages)]
        else:
            callbacks = [*judges, averages]
        callbacks += [checkpoint, scalars, _EpochReport(run, train_data, options)]
    agreement = Agreement(workers, state, checkpoint)
    callbacks += [agreement, freeze, timed, None if timed is None else TimedBar(timed)]
    model.fit(
        train,
        steps_per_epoch=steps if workers.are_several else None,
        validation_data=None if workers.are_several else val,
        shuffle=False,  # The data set does that itself.
        epochs=options.epochs or _NO_END,
        initial_epoch=state.epochs_done,
        verbose=bar_verbosity() if workers.is_chief else 0,
        callbacks=[callback for callback in callbacks if callback is not None],
    )
    return agreement.state


def _boards(
    run: RunFolder, data: DetectionData, evaluation: CocoEvaluation, options: TrainingOptions
) -> tuple[keras.callbacks.Callback, keras.callbacks.Callback]:
    """Of TensorBoard, which only these need."""
    from keras_maskrcnn.training.boards import PictureBoard, scalar_board

    return PictureBoard(run, data, evaluation, options.tiling), scalar_board(run)

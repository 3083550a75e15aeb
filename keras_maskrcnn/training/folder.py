"""The folder that a training run leaves behind: what is in it and how it is drawn."""

from __future__ import annotations

import contextlib
import csv
import json
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_maskrcnn.training.files import is_partial, remove_partials, replacing
from keras_maskrcnn.training.lock import locked
from keras_maskrcnn.training.state import TrainingState, best_epoch, load_state, save_model
from keras_maskrcnn.training.weights_only import copy_without_optimizer

if TYPE_CHECKING:
    import keras

    from keras_maskrcnn.data.detection_data import DetectionData
    from keras_maskrcnn.images.tiling import Tiling
    from keras_maskrcnn.training.averages import WeightAverages

logger = logging.getLogger("keras_maskrcnn")


class RunFolder:
    """Paths and contents of a run folder.

    A run goes on from `last.keras`: the model after an epoch and all else that the run knew, in
    one file that appears in one step. What a kill at any moment can leave out of date, `best.keras`
    (the model alone) and `history.csv`, follows from that file and is written again when the run
    goes on.

    Args:
        path: the folder; it need not exist yet.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.config_file = self.path / "config.json"
        self.history_file = self.path / "history.csv"
        self.best_file = self.path / "best.keras"
        self.last_file = self.path / "last.keras"
        self.lock_file = self.path / "lock"
        self.log_file = self.path / "log.txt"
        self.curves_file = self.path / "learning_curves.png"
        self.predictions_file = self.path / "predictions.png"
        self.board_folder = self.path / "tensorboard"
        # Of a search for a learning rate, before a run.
        self.rates_file = self.path / "learning_rate.csv"
        self.rates_plot = self.path / "learning_rate.png"
        self._is_locked = False

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Makes the folder and keeps other runs out of it, this object's own locks excepted.

        A folder that is made for it and still empty in the end is removed.

        Raises:
            ValueError: when another run is in the folder; the message names its process.
        """
        if self._is_locked:
            yield
            return
        is_made_here = not self.path.exists()
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            with locked(self.lock_file):
                self._is_locked = True
                yield
        finally:
            self._is_locked = False
            if is_made_here:
                with contextlib.suppress(OSError):  # Not empty.
                    self.path.rmdir()

    def is_unused(self) -> bool:
        """Whether nothing is in the folder but what a run killed in its first moment leaves, or a
        search for a learning rate."""
        before = (self.lock_file, self.rates_file, self.rates_plot)
        return not self.path.exists() or all(
            item in before or is_partial(item) for item in self.path.iterdir()
        )

    def remove_partials(self) -> None:
        """Removes what a killed run left half written, with a line in the log for each."""
        for name in remove_partials(self.path):
            logger.warning("Passed over a half-written %s in %s", name, self.path)

    def is_finished(self) -> bool:
        """Whether its run came to its end: `predictions.png` is the last that it writes."""
        return self.predictions_file.exists()

    def write_config(self, config: dict[str, Any]) -> None:
        """Writes `config.json`; values must be what JSON can hold."""
        self.path.mkdir(parents=True, exist_ok=True)
        with replacing(self.config_file) as partial:
            partial.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

    def read_config(self) -> dict[str, Any]:
        """Reads `config.json` back.

        Raises:
            ValueError: when the folder holds no such file, or it is not JSON.
        """
        try:
            return json.loads(self.config_file.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise ValueError(
                f"Expected a run folder with config.json. Received: {self.path}"
            ) from error
        except json.JSONDecodeError as error:
            raise ValueError(f"Expected JSON in {self.config_file}: {error}") from error

    def state(self) -> TrainingState | None:
        """Where a run in this folder goes on; `None`: at its beginning.

        Raises:
            ValueError: when `last.keras` is damaged, or was not left by a run.
        """
        return load_state(self.last_file)

    def restore(
        self,
        model: keras.Model,
        state: TrainingState,
        monitor: str,
        averages: WeightAverages | None = None,
    ) -> None:
        """Brings a model, and what follows from `last.keras`, to the state that this file is in.

        Args:
            model: compiled as the run's model was; it gets weights, optimizer and samplers.
            state: what `state` gave.
            monitor: name of the number whose best epoch `best.keras` keeps.
            averages: what `best.keras` holds in place of the weights.
        """
        model.optimizer.build(model.trainable_variables)
        model.load_weights(self.last_file)
        self._follow(model, state, monitor, averages)

    def save(
        self,
        model: keras.Model,
        state: TrainingState,
        monitor: str,
        averages: WeightAverages | None = None,
    ) -> None:
        """Writes what an epoch leaves: `last.keras`, and what follows from it.

        Args:
            model: after the epoch.
            state: with the epoch's numbers as its last.
            monitor: name of the number whose best epoch `best.keras` keeps.
            averages: what `best.keras` holds in place of the weights.
        """
        save_model(model, self.last_file, state)
        self._follow(model, state, monitor, averages)

    def _follow(
        self,
        model: keras.Model,
        state: TrainingState,
        monitor: str,
        averages: WeightAverages | None,
    ) -> None:
        if best_epoch(state.history, monitor) == state.epochs_done - 1:
            self._write_best(model, averages)
        self._write_history(state.history)

    def _write_best(self, model: keras.Model, averages: WeightAverages | None) -> None:
        """Writes `best.keras` when `last.keras` has been written for the same epoch."""
        if averages is None:
            with replacing(self.best_file) as partial:
                copy_without_optimizer(self.last_file, partial)
            return
        with averages.in_model(), replacing(self.best_file) as partial:
            whole = partial.with_name("whole.keras")
            model.save(whole)
            copy_without_optimizer(whole, partial)

    def _write_history(self, history: Sequence[dict[str, float]]) -> None:
        columns = ["epoch", *sorted(set(history[0]) - {"epoch"})]
        with (
            replacing(self.history_file) as partial,
            partial.open("w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows({**row, "epoch": int(row["epoch"])} for row in history)

    def history(self) -> list[dict[str, float]]:
        """One dictionary of numbers per finished epoch, counted from 1, from `history.csv`.

        A line that is cut, or holds something else than numbers, is left out, and named in the
        log. Of an epoch that stands there twice, the later line counts.
        """
        if not self.history_file.exists():
            return []
        lines = self.history_file.read_text(encoding="utf-8").splitlines(keepends=True)
        by_epoch: dict[float, dict[str, float]] = {}
        for line, row in zip(lines[1:], csv.DictReader(lines), strict=False):
            try:
                # A line without an end may end within a number.
                numbers = {name: float(row[name]) for name in row} if line[-1] == "\n" else {}
                by_epoch[numbers["epoch"]] = numbers
            except (KeyError, TypeError, ValueError):
                logger.warning("Left out of %s: the line %r", self.history_file, line)
        return [by_epoch[epoch] for epoch in sorted(by_epoch)]

    def draw_learning_curves(self) -> None:
        """Draws losses and COCO metrics over the epochs into `learning_curves.png`.

        Without matplotlib a run goes on without them, and its log says so after the first epoch.
        """
        from keras_maskrcnn.plots import plot_history

        history = self.history()
        try:
            with replacing(self.curves_file) as partial:
                plot_history({name: [row[name] for row in history] for name in history[0]}, partial)
        except ImportError as error:
            if len(history) == 1:
                logger.warning("no %s: %s", self.curves_file.name, error)

    def draw_predictions(
        self,
        model: keras.Model,
        data: DetectionData,
        count: int = 8,
        tiling: Tiling | None = None,
    ) -> None:
        """Draws ground truth beside predictions for evenly chosen pictures into `predictions.png`.

        Where hardly a score reaches .5, lower ones are drawn, and the page says so.

        Args:
            model: a `MaskRCNN`.
            data: where the pictures come from.
            count: how many pictures, at most.
            tiling: `None`: of whole pictures.
        """
        from keras_maskrcnn.training.predictions import draw_predictions

        with replacing(self.predictions_file) as partial:
            draw_predictions(model, data, partial, count=count, tiling=tiling)

"""The folder that a training run leaves behind: what is in it and how it is drawn."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

    from keras_maskrcnn.data.records import DetectionData


class RunFolder:
    """Paths and contents of a run folder.

    Args:
        path: the folder; it need not exist yet.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.config_file = self.path / "config.json"
        self.history_file = self.path / "history.csv"
        self.best_file = self.path / "best.keras"
        self.last_file = self.path / "last.keras"
        self.backup_dir = self.path / "backup"
        self.log_file = self.path / "log.txt"
        self.curves_file = self.path / "learning_curves.png"
        self.predictions_file = self.path / "predictions.png"

    def write_config(self, config: dict[str, Any]) -> None:
        """Writes `config.json`; values must be what JSON can hold."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.config_file.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

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

    def history(self) -> list[dict[str, float]]:
        """One dictionary of numbers per finished epoch, from `history.csv`.

        An epoch that an interrupted run had to repeat counts once, with its later numbers.
        """
        if not self.history_file.exists():
            return []
        with self.history_file.open(encoding="utf-8", newline="") as file:
            rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
        by_epoch = {row["epoch"]: row for row in rows}
        return [by_epoch[epoch] for epoch in sorted(by_epoch)]

    def epochs_done(self) -> int:
        """From which epoch a run in this folder goes on."""
        state = self.backup_dir / "training_metadata.json"
        if state.exists():
            return int(json.loads(state.read_text(encoding="utf-8"))["epoch"])
        # `BackupAndRestore` removes its folder when training has ended.
        return len(self.history())

    def draw_learning_curves(self) -> None:
        """Draws losses and COCO metrics over the epochs into `learning_curves.png`."""
        from keras_maskrcnn.plots import plot_history

        history = self.history()
        plot_history(
            {name: [row[name] for row in history] for name in history[0]}, self.curves_file
        )

    def draw_predictions(self, model: keras.Model, data: DetectionData, count: int = 8) -> None:
        """Draws ground truth beside predictions for evenly chosen pictures into `predictions.png`.

        Args:
            model: a `MaskRCNN`.
            data: where the pictures come from.
            count: how many pictures, at most.
        """
        from keras_maskrcnn.data.pipeline import read_image
        from keras_maskrcnn.visualize import prediction_page

        places = np.linspace(0, len(data) - 1, min(count, len(data))).round().astype(int)
        chosen = [(read_image(data.records[i].path), data.records[i]) for i in places]
        found = model.predict([image for image, _ in chosen], verbose=0)
        prediction_page(
            [(image, record, f) for (image, record), f in zip(chosen, found, strict=True)],
            data.class_names,
            self.predictions_file,
            tile=480,
        )

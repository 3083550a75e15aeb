"""Models on disk that are always whole."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import keras


class SafeCheckpoint(keras.callbacks.Callback):
    """Saves the whole model after an epoch, never leaving a half-written file.

    `keras.callbacks.ModelCheckpoint` writes in place, so that an interrupt while it writes loses
    the good file that was there. This one writes beside it and then renames.

    Args:
        path: a `.keras` file.
        monitor: name of a number in the logs, larger is better: the file is written when it is
            larger than ever before. `None`: written after every epoch.
        best: the largest value of an earlier part of the run.
    """

    def __init__(
        self, path: str | os.PathLike[str], monitor: str | None = None, best: float | None = None
    ) -> None:
        super().__init__()
        self.path = Path(path)
        if self.path.suffix != ".keras":
            raise ValueError(f"path must end with .keras. Received: path={str(path)!r}")
        self.monitor = monitor
        self.best = best

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.monitor is not None:
            if self.monitor not in (logs or {}):
                raise ValueError(
                    f"monitor must be in the logs, which hold {sorted(logs or {})}. "
                    f"Received: monitor={self.monitor!r}"
                )
            current = float((logs or {})[self.monitor])
            # Written so that nan (nothing to find in the data) counts as no improvement.
            if self.best is not None and not current > self.best:
                return
            self.best = None if math.isnan(current) else current
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(f"{self.path.stem}.partial.keras")
        self.model.save(partial)
        os.replace(partial, self.path)

"""What TensorBoard shows of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from keras_maskrcnn.evaluation import CocoEvaluation
from keras_maskrcnn.optional import needed_for
from keras_maskrcnn.training.folder import RunFolder
from keras_maskrcnn.training.predictions import draw_predictions

if TYPE_CHECKING:
    from keras_maskrcnn.data.detection_data import DetectionData
    from keras_maskrcnn.images.tiling import Tiling

# Pictures whose predictions are shown, small enough to be looked at beside each other.
_PICTURES = 4
_TILE = 320


def scalar_board(run: RunFolder) -> keras.callbacks.Callback:
    """Writes losses, metrics and learning rate of each epoch.

    Raises:
        ImportError: without the package `tensorboard`.
    """
    with needed_for("tensorboard=True", "tensorboard"):
        import tensorboard  # noqa: F401
    return keras.callbacks.TensorBoard(run.board_folder, write_graph=False)


class PictureBoard(keras.callbacks.Callback):
    """Writes a page of predictions beside ground truth whenever the model has been evaluated.

    Args:
        run: the folder.
        data: pictures that are validated on.
        evaluation: of the run; it comes before among the callbacks.
        tiling: as of `draw_predictions`.
    """

    def __init__(
        self,
        run: RunFolder,
        data: DetectionData,
        evaluation: CocoEvaluation,
        tiling: Tiling | None = None,
    ) -> None:
        super().__init__()
        self.run = run
        self.data = data
        self.evaluation = evaluation
        self.tiling = tiling
        self._shown: object = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._writer = tf.summary.create_file_writer(str(self.run.board_folder / "validation"))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.evaluation.metrics is self._shown:
            return
        self._shown = self.evaluation.metrics
        page = draw_predictions(
            self.model, self.data, count=_PICTURES, tile=_TILE, tiling=self.tiling
        )
        with self._writer.as_default():
            tf.summary.image("predictions", page[None], step=epoch)
        self._writer.flush()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._writer.close()

"""COCO's numbers at the end of an epoch, where stock callbacks can see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from keras_maskrcnn.evaluation.coco import evaluate_coco

if TYPE_CHECKING:
    from keras_maskrcnn.data.detection_data import DetectionData


class CocoEvaluation(keras.callbacks.Callback):
    """Adds `val_box_ap`, `val_mask_ap`, ... to the logs of an epoch.

    Callbacks that come after it in the list see the numbers as they see losses: `EarlyStopping`,
    `ModelCheckpoint`, `CSVLogger`, `TensorBoard`; so does the history. Larger is better, which
    Keras cannot know: give `mode="max"` where a callback monitors one of them.

    The model is evaluated after the first epoch of a run, after every `every`-th epoch and after
    the last, also where a callback stopped training within that. The epochs between repeat the
    latest numbers, since a `CSVLogger` fixes its columns in the first epoch and `EarlyStopping`
    needs a value in each; count its `patience` in epochs.

    Args:
        data: the pictures and their ground truth.
        batch_size: pictures per step.
        every: epochs between evaluations.
        prefix: put before the names of the numbers. `"val_"` is what `TensorBoard` expects.
        **options: further arguments of `evaluate_coco`, such as `iou_types` or `min_size`.

    Raises:
        ValueError: when `every` is under 1.
        ImportError: without faster-coco-eval.

    Example:

    >>> model.fit(
    ...     train,
    ...     epochs=20,
    ...     callbacks=[
    ...         CocoEvaluation(val_data, batch_size=2),
    ...         keras.callbacks.ModelCheckpoint(
    ...             "best.keras", monitor="val_mask_ap", mode="max", save_best_only=True
    ...         ),
    ...     ],
    ... )
    """

    def __init__(
        self,
        data: DetectionData,
        batch_size: int = 1,
        every: int = 1,
        prefix: str = "val_",
        **options: Any,
    ) -> None:
        # Before the first epoch, not after.
        import keras_maskrcnn.evaluation.scoring  # noqa: F401

        super().__init__()
        if every < 1:
            raise ValueError(f"every must be at least 1 epoch. Received: every={every}")
        self.data = data
        self.batch_size = batch_size
        self.every = every
        self.prefix = prefix
        self.options = {"progress": False, **options}
        self.metrics: dict[str, float] | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.metrics = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        last = epoch + 1 == self.params.get("epochs") or self.model.stop_training
        if self.metrics is None or last or (epoch + 1) % self.every == 0:
            self.metrics = evaluate_coco(
                self.model, self.data, batch_size=self.batch_size, **self.options
            )
        if logs is not None:
            logs.update({self.prefix + name: value for name, value in self.metrics.items()})

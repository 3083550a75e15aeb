"""What an analysis shows, as matplotlib figures, for notebooks and papers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_maskrcnn.evaluation.analysis import Confusion, Curves, ErrorTypes, ScoreThresholds
from keras_maskrcnn.optional import needed_for

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INK = "#4b5563"
_BLUE, _ORANGE, _GREEN = "#2374c6", "#d6511f", "#1f8a4c"


def precision_recall_figure(curves: Curves, class_name: str | None = None) -> Figure:
    """Precision by recall, a curve for each IoU threshold.

    Args:
        curves: such as `analysis.comparisons["segm"].curves`.
        class_name: of one class; `None`: mean over the classes that have objects.

    Raises:
        ValueError: for an unknown class.
        ImportError: without matplotlib.
    """
    figure, axis = _figure("precision_recall_figure")
    if class_name is None:
        precision = curves.mean
    else:
        precision = curves.precision[..., _place(curves.class_names, class_name)]
    for t, iou in enumerate(curves.ious):
        label = f"IoU {iou:.2f}: AP {100 * precision[t].mean():.1f}"
        axis.plot(
            curves.recalls,
            precision[t],
            color=_BLUE,
            alpha=1 - 0.08 * t,
            linewidth=1.6,
            label=label,
        )
    _finish(axis, "recall", "precision", class_name or "all classes")
    axis.legend(frameon=False, fontsize=8, labelcolor=_INK)
    return figure


def thresholds_figure(thresholds: ScoreThresholds, class_name: str) -> Figure:
    """Precision, recall and F1 of a class by score threshold, and the best.

    Args:
        thresholds: such as `analysis.comparisons["segm"].thresholds`.
        class_name: the class.

    Raises:
        ValueError: for an unknown class.
        ImportError: without matplotlib.
    """
    figure, axis = _figure("thresholds_figure")
    k = _place(thresholds.class_names, class_name)
    lines = (("precision", _BLUE), ("recall", _ORANGE), ("f1", _GREEN))
    for name, color in lines:
        axis.plot(thresholds.scores, getattr(thresholds, name)[:, k], color=color, label=name)
    if not np.isnan(thresholds.best[k]):
        label = f"best: {thresholds.best[k]:g}, F1 {thresholds.best_f1[k]:.2f}"
        axis.axvline(thresholds.best[k], color=_INK, linestyle="--", linewidth=1, label=label)
    _finish(axis, "score threshold", "", class_name)
    axis.legend(frameon=False, fontsize=8, labelcolor=_INK)
    return figure


def confusion_figure(confusion: Confusion) -> Figure:
    """What is there by what was found; shades are parts of a row.

    Args:
        confusion: such as `analysis.comparisons["segm"].confusion`.

    Raises:
        ImportError: without matplotlib.
    """
    names = confusion.names
    side = max(4.4, 0.4 * len(names) + 2)
    figure, axis = _figure("confusion_figure", (side, side))
    shares = confusion.counts / np.maximum(confusion.counts.sum(axis=1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(confusion.counts):
        if count:
            color = "white" if shares[row, column] > 0.6 else _INK
            axis.text(column, row, str(count), ha="center", va="center", fontsize=8, color=color)
    axis.set_xticks(range(len(names)), names, rotation=90)
    axis.set_yticks(range(len(names)), names)
    axis.set_xlabel("found", color=_INK)
    axis.set_ylabel("there", color=_INK)
    axis.tick_params(colors=_INK)
    return figure


def errors_figure(errors: ErrorTypes) -> Figure:
    """How much AP at IoU .5 each kind of errors costs.

    Args:
        errors: such as `analysis.comparisons["segm"].errors`.

    Raises:
        ImportError: without matplotlib.
    """
    figure, axis = _figure("errors_figure")
    dap = errors.dap
    bars = axis.barh(list(dap), [100 * value for value in dap.values()], color=_ORANGE)
    axis.bar_label(bars, fmt="%.1f", padding=3, color=_INK)
    axis.invert_yaxis()
    axis.set_xlabel("dAP50: points that mending it would add", color=_INK)
    axis.tick_params(colors=_INK)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    return figure


def _figure(use: str, size: tuple[float, float] = (5.4, 4.2)) -> tuple[Figure, Any]:
    with needed_for(use, "maskrcnn-keras[plots]"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    FigureCanvasAgg(figure)  # Its own canvas: the caller's pyplot is left as it is.
    return figure, figure.subplots()


def _finish(axis: Any, x_label: str, y_label: str, title: str) -> None:
    axis.set(xlim=(0, 1), ylim=(0, 1.02))
    axis.set_xlabel(x_label, color=_INK)
    axis.set_ylabel(y_label, color=_INK)
    axis.set_title(title, color=_INK, fontsize=11)
    axis.grid(True, color="#e5e7eb", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.tick_params(colors=_INK)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def _place(names: tuple[str, ...], name: str) -> int:
    if name not in names:
        raise ValueError(f"class_name must be one of {list(names)}. Received: class_name={name!r}")
    return names.index(name)

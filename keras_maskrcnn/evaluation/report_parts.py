"""What a page tells of one comparison: tables, charts, and what they mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

import numpy as np

from keras_maskrcnn.evaluation.analysis import Comparison, KeypointPrecision
from keras_maskrcnn.evaluation.charts import Line, cost_bar, key, line_chart, matrix_table
from keras_maskrcnn.html_page import html_table

# Of each; the JSON holds all.
_CLASSES_DRAWN = 12
_CONFUSIONS_SHOWN = 20
# A matrix of more classes is a list of what is confused most, and a longer table is folded.
_MATRIX_CLASSES = 20
_ROWS_OPEN = 30

_KINDS = {
    "class": (
        "an object of another class",
        "See which classes are confused, below: are they told apart in the annotations? More "
        "pictures of the rarer one help.",
    ),
    "localisation": (
        "near an object of its class, but overlaps it by .1 to .5 only",
        "Longer training and larger pictures (--min-size) draw boxes and masks closer.",
    ),
    "both": ("near an object of another class", "As of the two above."),
    "duplicate": (
        "finds an object that was found already",
        "Detections.mask_nms() leaves out results whose masks lie over one another.",
    ),
    "background": (
        "on nothing that is annotated",
        "Is it an object that was not annotated? Else a higher threshold leaves it out.",
    ),
    "missed": (
        "objects that no result finds or is near to",
        "More pictures of such objects help; of small ones, larger pictures (--min-size). A lower "
        "threshold finds more, and more that is wrong.",
    ),
}


def tell_summary(comparison: Comparison) -> Iterator[str]:
    """What was found, and what would help most."""
    pictures, objects = comparison.pictures, int(comparison.matching.objects.sum())
    right, wrong = int(pictures.right.sum()), int(pictures.wrong.sum())
    worst, gain = max(comparison.errors.dap.items(), key=lambda item: np.nan_to_num(item[1]))
    text = (
        f"With the best threshold of each class, {right} of {objects} objects are found (IoU .5 "
        f"or more), and {wrong} results are wrong."
    )
    if gain > 0:
        title, advice = _KINDS[worst]
        text += f" Most is lost by “{worst}” ({title}): {100 * gain:.1f} points of AP50. {advice}"
    yield f"<p class=verdict>{escape(text)}</p>"


def tell_errors(comparison: Comparison) -> Iterator[str]:
    """What each kind of errors costs."""
    errors = comparison.errors
    dap, counts = errors.dap, errors.counts.sum(axis=1).tolist()
    most = max(1e-9, *np.nan_to_num(list(dap.values())).tolist())
    rows = "".join(
        f"<tr><td>{name}</td><td>{count}</td><td>{percent(dap[name])}</td>"
        f"<td class=words>{cost_bar(dap[name] / most)}</td>"
        f"<td class=words>{escape(_KINDS[name][0])}</td></tr>\n"
        for name, count in zip(dap, counts, strict=True)
    )
    yield (
        "<h3>What the errors cost</h3>"
        "<p class=advice>Points of AP at IoU .5 that the model would gain if errors of one kind "
        "were mended (TIDE, Bolya et al. 2020), and how many there are among results of any "
        "score. A mended result is right where its object is not found otherwise, or else gone. "
        "Gains do not add up.</p>"
        "<div class=wide><table><tr><th>kind</th><th>times</th><th>dAP50</th><th></th><th></th>"
        f"</tr>\n{rows}</table></div>"
    )
    per_class = (
        [name, percent(errors.ap[k]), *errors.counts[:, k].tolist()]
        for k, name in enumerate(errors.class_names)
    )
    table = html_table(["class", "AP50", *dap], per_class)
    yield folded("errors by class", table, _ROWS_OPEN + 1)


def tell_thresholds(comparison: Comparison, model: str) -> Iterator[str]:
    """The best thresholds, and how to use them."""
    thresholds, objects = comparison.thresholds, comparison.matching.objects.tolist()
    yield "<h3>From which score results should count</h3>"
    if thresholds.by_name():
        yield (
            "<p class=advice>Scores with the best F1, the mean of precision (how many results are "
            "right) and recall (how many objects are found), on these pictures at IoU .5. Of a "
            "class with few objects here it is a guess.</p>"
            f"<pre>{escape(thresholds.command(model))}</pre>"
            f"<pre>detections.above({escape(repr(thresholds.by_name()))})</pre>"
        )
    rows = (
        [
            name,
            objects[k],
            "-" if np.isnan(thresholds.best[k]) else f"{thresholds.best[k]:g}",
            *(
                percent(column[k])
                for column in (
                    thresholds.best_precision,
                    thresholds.best_recall,
                    thresholds.best_f1,
                )
            ),
        ]
        for k, name in enumerate(thresholds.class_names)
    )
    table = html_table(["class", "objects", "threshold", "precision", "recall", "F1"], rows)
    yield folded("thresholds by class", table, len(objects))
    lines = (("precision", 0), ("recall", 1), ("f1", 2))
    charts = [
        line_chart(
            f"{thresholds.class_names[k]}, {objects[k]} objects",
            [
                Line(name, thresholds.scores, getattr(thresholds, name)[:, k], color)
                for name, color in lines
            ],
            "score threshold",
            "",
            thresholds.best[k],
        )
        for k in _most_objects(objects)
    ]
    yield f"<p>{key([('precision', 0), ('recall', 1), ('F1', 2)])}</p>" if charts else ""
    yield _charts(charts, objects)


def tell_curves(comparison: Comparison) -> Iterator[str]:
    """Precision-recall curves."""
    curves, objects = comparison.curves, comparison.matching.objects.tolist()
    if not sum(objects):
        return
    yield (
        "<h3>Precision by recall</h3><p class=advice>A curve for each overlap (IoU) from which an "
        "object counts as found, from .5 (strong) to .95 (pale). The area below is the average "
        "precision.</p>"
    )

    def chart(title: str, precision: np.ndarray) -> str:
        lines = [
            Line(f"IoU {iou:.2f}", curves.recalls, precision[t], 0, 1 - 0.08 * t)
            for t, iou in enumerate(curves.ious)
        ]
        ap = precision.mean(axis=1)
        title = f"{title}: AP {percent(ap.mean())}, AP50 {percent(ap[0])}"
        return line_chart(title, lines, "recall", "precision")

    charts = [chart("all classes", curves.mean)] if np.count_nonzero(objects) > 1 else []
    charts += [
        chart(curves.class_names[k], curves.precision[..., k]) for k in _most_objects(objects)
    ]
    yield _charts(charts, objects)


def tell_confusion(comparison: Comparison) -> Iterator[str]:
    """A matrix, or what is confused most."""
    confusion = comparison.confusion
    yield (
        "<h3>What is taken for what</h3><p class=advice>Objects by what they were found as, with "
        "the best threshold of each class (.5 where there is none). In the last column stand "
        "objects that were not found, in the last row results on nothing, and second ones of an "
        "object.</p>"
    )
    if len(confusion.class_names) <= _MATRIX_CLASSES:
        columns = (*confusion.class_names, "not found")
        yield matrix_table("there \\ found", confusion.names, confusion.counts, columns)
        return
    rows = [
        [there, "not found" if found == confusion.names[-1] else found, count]
        for there, found, count in confusion.most_frequent(_CONFUSIONS_SHOWN)
    ]
    yield html_table(["there", "found", "times"], rows)
    yield "<p>All are in report.json.</p>"


def tell_groups(comparison: Comparison) -> Iterator[str]:
    """Tables by size and crowding."""

    def row(group: Any, words: str) -> list[Any]:
        numbers = (group.ap, group.ap50, group.recall)
        return [f"{group.name} ({words})", group.objects, *map(percent, numbers)]

    words = ("under 32² pixels", "to 96²", "above", "apart", "IoU up to .2", "IoU above .2")
    groups = [*comparison.sizes, *comparison.crowding]
    rows = [row(group, text) for group, text in zip(groups, words, strict=True)]
    yield "<h3>Small and large, alone and crowded</h3>"
    yield html_table(["objects", "number", "AP", "AP50", "recall"], rows)
    yield (
        "<p class=advice>Crowding of an object is the largest overlap (IoU) of its box with that "
        "of another object, of any class. Wrong results count in the group of their own size, and "
        "of the object that their box overlaps most; those on nothing in all three by crowding.</p>"
    )


def tell_keypoints(keypoints: KeypointPrecision) -> Iterator[str]:
    """How exact keypoints are, and what is not told of them."""
    objects = ~np.isnan(keypoints.ap).all(axis=0)
    yield (
        "<p class=advice>In place of overlap stands the similarity of keypoints (OKS): 1 where all "
        "are in place, and less the further they are off for the object's size. The table has the "
        "average precision by the similarity from which an object counts as found: what is high "
        "at .5 and low at .9 finds the objects and places their keypoints roughly.</p>"
    )
    rows = [("all classes", keypoints.mean)] if np.count_nonzero(objects) > 1 else []
    rows += [(name, keypoints.ap[:, k]) for k, name in enumerate(keypoints.class_names)]
    columns = ["AP at OKS", *(f"{value:.2f}" for value in keypoints.similarities)]
    table = html_table(columns, ([name, *map(percent, ap)] for name, ap in rows))
    yield folded("AP by similarity", table, len(rows))
    if objects.any():
        line = Line("AP", keypoints.similarities, keypoints.mean)
        yield (
            f"<div class=charts>{line_chart('all classes', [line], 'similarity (OKS)', 'AP')}</div>"
        )
    yield (
        "<p class=advice>Keypoints are analysed no further: kinds of errors, score thresholds, "
        "confusion, sizes, crowding and pictures are told of boxes and masks alone, and no single "
        "keypoint is looked at by its name.</p>"
    )


def _charts(charts: Sequence[str], objects: Sequence[int]) -> str:
    more = int(np.count_nonzero(objects)) - _CLASSES_DRAWN
    rest = f"<p>and {more} more classes: see report.json</p>" if more > 0 else ""
    return f"<div class=charts>{''.join(charts)}</div>{rest}\n"


def _most_objects(objects: Sequence[int]) -> list[int]:
    """The classes that are drawn."""
    order = np.argsort(-np.asarray(objects), kind="stable")[:_CLASSES_DRAWN]
    return [int(k) for k in order if objects[k]]


def folded(title: str, content: str, rows: int) -> str:
    """Content of many rows, which opens where there are not too many."""
    state = " open" if rows <= _ROWS_OPEN else ""
    return f"<details{state}><summary>{escape(title)}</summary>{content}</details>\n"


def percent(value: float | None) -> str:
    """With one decimal; `-` for what is not known, nothing for what there is not."""
    if value is None:
        return ""
    return "-" if np.isnan(value) else f"{100 * value:.1f}"

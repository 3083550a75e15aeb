"""An analysis as one page of HTML, which needs no other file, and as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from html import escape
from pathlib import PurePath

from keras_maskrcnn.evaluation.analysis import Analysis, Comparison
from keras_maskrcnn.evaluation.charts import STYLE
from keras_maskrcnn.evaluation.drawn import draw_pair
from keras_maskrcnn.evaluation.metrics import PREFIXES
from keras_maskrcnn.evaluation.report_parts import (
    folded,
    percent,
    tell_confusion,
    tell_curves,
    tell_errors,
    tell_groups,
    tell_keypoints,
    tell_summary,
    tell_thresholds,
)
from keras_maskrcnn.html_page import html_page, html_table, picture_address, save_report_files

_TITLE = "Evaluation report"
_NAMES = {"bbox": "Boxes", "segm": "Masks"}
_PICTURES_SHOWN = 6

_STYLE = """\
.pair { display: grid; gap: 8px;
  grid-template-columns: repeat(auto-fit, minmax(min(300px, 100%), 1fr)); }
.pair img { width: 100%; }
.card { margin-bottom: 14px; }
pre { background: var(--fine); border-radius: 6px; padding: .6em .8em; white-space: pre-wrap;
  overflow-wrap: anywhere; }
td.words { text-align: left; color: var(--pale); } td.words:last-child { min-width: 14em; }
.right { color: var(--c0); } .wrong { color: var(--c1); }
"""


def save_report(
    analysis: Analysis, folder: str | os.PathLike[str], *, model: str = "MODEL"
) -> None:
    """Writes `report.json`, and `report.html`; arguments and errors as of `Analysis.save`."""
    # In lines of its own, each of some hundred thousand numbers would take four times the room.
    content = json.dumps(analysis.to_json(), allow_nan=False)
    save_report_files(folder, report_page(analysis, model=model), content)


def report_page(analysis: Analysis, *, model: str = "MODEL") -> str:
    """The whole page.

    Args:
        analysis: what it shows.
        model: what it calls the model in commands to copy.
    """
    body = [f"<h1>{_TITLE}</h1>", *_metrics(analysis)]
    for iou_type in sorted(analysis.comparisons, reverse=True):  # Masks first, where there are any.
        comparison = analysis.comparisons[iou_type]
        body += [
            f'<h2 id="{iou_type}">{_NAMES[iou_type]}</h2>',
            *tell_summary(comparison),
            *tell_errors(comparison),
            *tell_thresholds(comparison, model),
            *tell_curves(comparison),
            *tell_confusion(comparison),
            *tell_groups(comparison),
            *_pictures(analysis, comparison),
        ]
    if analysis.keypoints is not None:
        body += ['<h2 id="keypoints">Keypoints</h2>', *tell_keypoints(analysis.keypoints)]
    return html_page(_TITLE, body, STYLE + _STYLE)


def _metrics(analysis: Analysis) -> Iterator[str]:
    metrics = analysis.metrics
    kinds = [kind for kind in PREFIXES.values() if f"{kind}_ap" in metrics]
    columns = list(dict.fromkeys(name.split("_", 1)[1] for name in metrics))
    rows = (
        [kind, *(percent(metrics.get(f"{kind}_{column}")) for column in columns)] for kind in kinds
    )
    sizes = analysis.compared.sizes
    yield f"<p>{len(sizes)} pictures, {len(analysis.compared.class_names)} classes.</p>"
    yield html_table(["", *(name.replace("_", " ") for name in columns)], rows)
    yield (
        "<p class=advice>COCO's numbers in percent. ap: average precision, mean over overlaps "
        "(IoU) from .5 to .95; ap50, ap75: at one; ar: recall; s, m, l: of small, medium and large "
        "objects (32² and 96² pixels part them). -: there are no such objects.</p>"
    )
    names = [name for name in metrics if name.split("_", 1)[1].startswith("ap")]
    per_class = ([k, *(percent(row[n]) for n in names)] for k, row in metrics.per_class.items())
    table = html_table(["class", *(name.replace("_", " ") for name in names)], per_class)
    yield folded(f"{len(metrics.per_class)} classes", table, len(metrics.per_class))


def _pictures(analysis: Analysis, comparison: Comparison) -> Iterator[str]:
    scores, compared = comparison.pictures, analysis.compared
    if not compared.paths:
        yield "<p>No pictures are drawn: their folder was not given.</p>"
        return
    worst = scores.worst(_PICTURES_SHOWN).tolist()
    best = [p for p in scores.best(2 * _PICTURES_SHOWN).tolist() if p not in worst]
    for title, places in (("Worst pictures", worst), ("Best pictures", best[:_PICTURES_SHOWN])):
        if places:
            yield (
                f"<h3>{title}</h3><p class=advice>Left as annotated, right as found with the best "
                "thresholds. <b class=right>Blue</b>: found, or right. <b class=wrong>Orange</b>: "
                "missed, or wrong, with the kind of error. Grey: crowd regions, and what was found "
                "in them.</p>"
            )
        for place in places:
            yield _card(analysis, comparison, place)


def _card(analysis: Analysis, comparison: Comparison, place: int) -> str:
    scores, compared = comparison.pictures, analysis.compared
    image_id = int(scores.image_ids[place])
    path = str(compared.paths.get(image_id, ""))
    counts = (scores.right[place], scores.missed[place], scores.wrong[place])
    caption = f"{PurePath(path).name or f'image id {image_id}'}: {counts[0]} found, " + (
        f"{counts[1]} missed, {counts[2]} wrong"
    )
    pair = draw_pair(compared, comparison, place)
    if pair is None:
        shown = "<p>The picture cannot be read, or is of another size than annotated.</p>"
    else:
        images = (
            f'<img src="{picture_address(picture)}" alt="{escape(f"{what}: {caption}")}">'
            for what, picture in zip(("annotated", "found"), pair, strict=True)
        )
        shown = f"<div class=pair>{''.join(images)}</div>"
    where = f"image id {image_id}: {path}"
    return (
        f"<div class=card>{shown}<div>{escape(caption)}</div><small>{escape(where)}</small></div>\n"
    )

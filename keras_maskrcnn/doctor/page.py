"""The report as one page of HTML, which needs no other file.

Names of classes and files come from anywhere: every text is escaped, and the page forbids scripts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby
from typing import Any

from keras_maskrcnn.doctor.anchors import as_setting
from keras_maskrcnn.doctor.findings import Finding, Place
from keras_maskrcnn.doctor.report import Report, known_kinds
from keras_maskrcnn.doctor.statistics import Histogram
from keras_maskrcnn.doctor.thumbnails import thumbnail

# Of each kind; the JSON holds all. A page of all pictures could not be opened.
_SHOWN = 12
_PICTURES_SHOWN = 2
_CLASSES_SHOWN = 200
# A longer table of classes is folded.
_CLASSES_OPEN = 30

_HEAD = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>Data report</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2430; max-width: 1060px;
  margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.6em; margin-bottom: .3em; }
h2 { font-size: 1.25em; margin: 2em 0 .4em; border-bottom: 1px solid #d5dae2; }
h3 { font-size: 1.05em; margin: 1.8em 0 .2em; }
table { border-collapse: collapse; margin: .6em 0; }
th, td { padding: .2em .8em; border-bottom: 1px solid #e4e8ee; text-align: right; }
th:first-child, td:first-child { text-align: left; overflow-wrap: anywhere; min-width: 7em; }
summary { cursor: pointer; }
.verdict { padding: .7em 1em; border-radius: 6px; background: #e3f4e6; }
.verdict.error { background: #fbe0de; }
.error, .warning, .note { font-weight: 600; }
b.error { color: #b3261e; } b.warning { color: #96620a; } b.note { color: #3a6ea5; }
.advice { color: #4a5564; margin: .1em 0 .6em; }
.found { display: grid; grid-template-columns: repeat(auto-fill, minmax(310px, 1fr)); gap: 14px; }
.found.plain { display: block; }
.card { border: 1px solid #d5dae2; border-radius: 6px; padding: 8px; overflow-wrap: anywhere; }
.found.plain .card { border: 0; border-bottom: 1px solid #e4e8ee; padding: 3px 0; }
.card img { max-width: 100%; display: block; margin-bottom: 4px; }
.card small { color: #4a5564; display: block; }
.bars { display: flex; flex-wrap: wrap; gap: 24px; }
figure { margin: 0; } figcaption { max-width: 420px; }
</style>
</head>
<body>
"""


def page(report: Report) -> str:
    """The whole page."""
    verdict = (
        "<p class=verdict>Training makes sense.</p>"
        if report.makes_sense
        else '<p class="verdict error">Training makes no sense: see the errors.</p>'
    )
    return "".join(
        [
            _HEAD,
            f"<h1>Data report</h1>{verdict}",
            _splits(report),
            _overview(report),
            _classes(report),
            _distributions(report),
            "<h2>Findings</h2>" if report.findings else "",
            *_findings(report),
            "</body>\n</html>\n",
        ]
    )


def _table(head: Sequence[Any], rows: Iterable[Sequence[Any]]) -> str:
    lines = ["<table><tr>", *(f"<th>{escape(str(cell))}</th>" for cell in head), "</tr>\n"]
    for row in rows:
        lines += ["<tr>", *(f"<td>{escape(str(cell))}</td>" for cell in row), "</tr>\n"]
    return "".join([*lines, "</table>\n"])


def _splits(report: Report) -> str:
    names = list(next(iter(report.splits.values())))
    head = ["split", *(name.replace("_", " ") for name in names)]
    return _table(head, ([split, *n.values()] for split, n in report.splits.items()))


def _overview(report: Report) -> str:
    kinds = known_kinds()
    if not report.findings:
        return "<p>Nothing was found.</p>"
    rows = "".join(
        f"<tr><td><a href='#{escape(name)}'>{escape(kinds[name].title)}</a></td>"
        f"<td><b class={kinds[name].severity}>{kinds[name].severity}</b></td>"
        f"<td>{count}</td><td>{escape(kinds[name].fix or 'for a person')}</td></tr>\n"
        for name, count in report.counts.items()
    )
    return f"<table><tr><th>found<th><th>times<th>--fix</tr>\n{rows}</table>\n"


def _classes(report: Report) -> str:
    splits = list(report.splits)
    shown = list(report.classes.items())[:_CLASSES_SHOWN]
    rows = ([name, *(counts.get(s, "-") for s in splits)] for name, counts in shown)
    more = len(report.classes) - len(shown)
    rest = f"<p>and {more} more classes: see report.json</p>" if more else ""
    fold = " open" if len(shown) <= _CLASSES_OPEN else ""
    return (
        f"<h2>Objects by class</h2><details{fold}><summary>{len(report.classes)} classes</summary>"
        f"{_table(['class', *splits], rows)}{rest}</details>"
    )


def _distributions(report: Report) -> str:
    anchors, pixels, size = report.anchors, report.pixels, report.input_size
    lines = [
        f"The network sees pictures with a shorter side of {size['min_size']} and a longer of at "
        f"most {size['max_size']} pixels."
    ]
    if anchors["mean_best_iou"] is not None:
        sizes, proposed = anchors["anchor_sizes"], anchors["proposed_anchor_sizes"]
        lines.append(
            f"Anchors of {_listed(sizes)} pixels overlap the objects by "
            f"{anchors['mean_best_iou']:.2f} on average (intersection over union, centred)."
        )
        if proposed != sizes:
            lines.append(
                f"Proposed: {as_setting(proposed)}, with {anchors['proposed_mean_best_iou']:.2f}."
            )
        else:
            lines.append("No other ladder of sizes fits much better.")
    if pixels["mean"] is not None:
        count = len(pixels["mean"])
        names = "red, green, blue" if count == 3 else ", ".join(map(str, range(count)))
        lines.append(
            f"Values of {names if count == 3 else f'channels {names}'}: "
            f"mean {_listed(pixels['mean'])}, "
            f"standard deviation {_listed(pixels['std'])}."
        )
    bars = "".join(_bars(histogram) for histogram in report.histograms.values())
    return f"<h2>Distributions</h2><p>{escape(' '.join(lines))}</p><div class=bars>{bars}</div>"


def _listed(numbers: Iterable[float]) -> str:
    return ", ".join(f"{number:.4g}" for number in numbers)


def _bars(histogram: Histogram) -> str:
    """A histogram as SVG."""
    step, height, top = 38, 110, 16
    most = max([1, *histogram.counts])
    names = [f"{end:g}" for end in histogram.upper] + [f">{histogram.upper[-1]:g}"]
    parts = []
    for place, (count, name) in enumerate(zip(histogram.counts, names, strict=True)):
        x, tall = place * step, height * count / most
        middle = x + step / 2
        parts.append(
            f"<rect x={x + 2} y={top + height - tall:.1f} width={step - 4} height={tall:.1f} "
            'fill="#5b8def"/>'
            f"<text x={middle} y={top + height - tall - 3:.1f}>{count or ''}</text>"
            f"<text x={middle} y={top + height + 13}>{escape(name)}</text>"
        )
    width = step * len(names)
    return (
        f'<figure><svg width={width} height={top + height + 18} font-size=10 fill="#4a5564" '
        f"text-anchor=middle role=img>{''.join(parts)}</svg>"
        f"<figcaption>{escape(histogram.title)}; upper ends of the bars</figcaption></figure>"
    )


def _findings(report: Report) -> Iterable[str]:
    kinds = known_kinds()
    for name, group in groupby(report.findings, key=lambda finding: finding.kind):
        kind, findings = kinds[name], list(group)
        plain = "" if any(finding.pictures for finding in findings) else " plain"
        yield (
            f"<h3 id='{escape(name)}'>{escape(kind.title)} "
            f"<b class={kind.severity}>{kind.severity}</b></h3>"
            f"<p class=advice>{escape(kind.advice)}</p><div class='found{plain}'>\n"
        )
        for finding in findings[:_SHOWN]:
            yield _card(report, finding)
        more = len(findings) - _SHOWN
        yield "</div>\n" + (f"<p>and {more} more: see report.json</p>\n" if more > 0 else "")


def _card(report: Report, finding: Finding) -> str:
    parts = ["<div class=card>"]
    shown = finding.pictures[:_PICTURES_SHOWN]
    for number, place in enumerate(shown):
        source = drawn(report, place, finding.annotation_ids if number == 0 else ())
        alt = f"picture {place.image_id}"
        if source:
            parts.append(f'<img src="{source}" alt="{escape(alt)}">')
    parts.append(f"<div>{escape(finding.words)}</div>")
    for place in shown:
        where = f"{place.split}, image id {place.image_id}: {place.path}"
        parts.append(f"<small>{escape(where)}</small>")
    if len(finding.pictures) > len(shown):
        parts.append(f"<small>and {len(finding.pictures) - len(shown)} more pictures</small>")
    return "".join([*parts, "</div>\n"])


def drawn(report: Report, place: Place, ids: Sequence[int]) -> str:
    """The address of a thumbnail; nothing for a picture that cannot be read."""
    from keras_maskrcnn.data.reading import read_image

    try:
        pixels = report.data[place.split].pixels
        image = pixels.displayed(read_image(place.path, pixels))
    except ValueError:
        return ""
    wanted = set(ids)
    record = next(r for r in report.data[place.split].records if r.image_id == place.image_id)
    # Where the picture as a whole is meant, all objects are of interest.
    shown = [i for i in record.instances if not wanted or i.annotation_id in wanted]
    return thumbnail(image, shown, near=bool(wanted))

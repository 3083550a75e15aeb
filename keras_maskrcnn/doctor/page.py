"""The report as one page of HTML, which needs no other file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby

from keras_maskrcnn.doctor.anchors import as_setting
from keras_maskrcnn.doctor.findings import Finding, Place
from keras_maskrcnn.doctor.report import Report, known_kinds
from keras_maskrcnn.doctor.statistics import Histogram
from keras_maskrcnn.doctor.thumbnails import thumbnail
from keras_maskrcnn.html_page import html_page, html_table

# Of each kind; the JSON holds all. A page of all pictures could not be opened.
_SHOWN = 12
_PICTURES_SHOWN = 2
_CLASSES_SHOWN = 200
# A longer table of classes is folded.
_CLASSES_OPEN = 30


def page(report: Report) -> str:
    """The whole page."""
    verdict = (
        "<p class=verdict>Training makes sense.</p>"
        if report.makes_sense
        else '<p class="verdict error">Training makes no sense: see the errors.</p>'
    )
    return html_page(
        "Data report",
        [
            f"<h1>Data report</h1>{verdict}",
            _splits(report),
            _overview(report),
            _classes(report),
            _distributions(report),
            "<h2>Findings</h2>" if report.findings else "",
            *_findings(report),
        ],
    )


def _splits(report: Report) -> str:
    names = list(next(iter(report.splits.values())))
    head = ["split", *(name.replace("_", " ") for name in names)]
    return html_table(head, ([split, *n.values()] for split, n in report.splits.items()))


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
    return (
        f"<div class=wide><table><tr><th>found<th><th>times<th>--fix</tr>\n{rows}</table></div>\n"
    )


def _classes(report: Report) -> str:
    splits = list(report.splits)
    shown = list(report.classes.items())[:_CLASSES_SHOWN]
    rows = ([name, *(counts.get(s, "-") for s in splits)] for name, counts in shown)
    more = len(report.classes) - len(shown)
    rest = f"<p>and {more} more classes: see report.json</p>" if more else ""
    fold = " open" if len(shown) <= _CLASSES_OPEN else ""
    return (
        f"<h2>Objects by class</h2><details{fold}><summary>{len(report.classes)} classes</summary>"
        f"{html_table(['class', *splits], rows)}{rest}</details>"
    )


def _distributions(report: Report) -> str:
    anchors, pixels, size = report.anchors, report.pixels, report.input_size
    lines = [
        f"The network sees pictures in tiles of {size['tile']} pixels."
        if "tile" in size
        else f"The network sees pictures with a shorter side of {size['min_size']} and a longer of "
        f"at most {size['max_size']} pixels."
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
            'fill="var(--bar)"/>'
            f"<text x={middle} y={top + height - tall - 3:.1f}>{count or ''}</text>"
            f"<text x={middle} y={top + height + 13}>{escape(name)}</text>"
        )
    width = step * len(names)
    return (
        f'<figure><svg viewBox="0 0 {width} {top + height + 18}" width={width} font-size=10 '
        f'fill="var(--pale)" text-anchor=middle role=img>{"".join(parts)}</svg>'
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

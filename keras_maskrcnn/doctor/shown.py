"""The report in a notebook: what `report.html` says, in short."""

from __future__ import annotations

from html import escape
from itertools import groupby

from keras_maskrcnn import notebook
from keras_maskrcnn.doctor.page import drawn
from keras_maskrcnn.doctor.report import Report, known_kinds

# Pictures, each of another kind of finding, the worst first.
_PICTURES = 6


def report_html(report: Report) -> str:
    """The verdict, the numbers of each part, the kinds of findings, and an example of the worst."""
    verdict = "Training makes sense." if report.makes_sense else "Training makes no sense."
    names = list(next(iter(report.splits.values())))
    kinds = known_kinds()
    parts = [
        notebook.line(verdict, strong=True),
        notebook.table(
            ["split", *(name.replace("_", " ") for name in names)],
            ([split, *numbers.values()] for split, numbers in report.splits.items()),
        ),
        notebook.table(
            ["found", "severity", "times", "fix"],
            (
                [kinds[name].title, kinds[name].severity, count, kinds[name].fix or "for a person"]
                for name, count in report.counts.items()
            ),
        )
        if report.findings
        else notebook.line("Nothing was found."),
        *_examples(report),
    ]
    if report.findings:
        parts.append(notebook.line("save('folder') writes all of it as report.html."))
    return "".join(parts)


def _examples(report: Report) -> list[str]:
    cards: list[str] = []
    for _, group in groupby(report.findings, key=lambda finding: finding.kind):
        finding = next((f for f in group if f.pictures), None)
        if finding is None or len(cards) == _PICTURES:
            continue
        source = drawn(report, finding.pictures[0], finding.annotation_ids)
        if source:
            cards.append(
                '<figure style="display:inline-block;width:300px;margin:.3em;vertical-align:top">'
                f'<img src="{source}" alt="{escape(finding.kind)}" style="max-width:100%">'
                f"<figcaption>{escape(f'{finding.severity}: {finding.words}')}</figcaption>"
                "</figure>\n"
            )
    return cards

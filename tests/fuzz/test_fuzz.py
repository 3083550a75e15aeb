"""Broken input is refused in clear words, or left out by name: nothing dies, hangs or is lost.

A small run of each kind here; the full one by `python tests/fuzz/run.py`, or
`pytest -m slow -s tests/fuzz`.
"""

import contextlib
import random

import pytest

from fuzz import annotations, http_requests, pictures, runner
from fuzz.bad_ends import ENDS
from fuzz.http import EXPORT
from fuzz.http_answers import parse
from fuzz.run import line, table
from fuzz.runner import KINDS, run_cases
from fuzz.verdicts import (
    ACCEPTED,
    CRASH,
    HANG,
    MEMORY,
    MEMORY_LIMIT,
    REFUSED,
    SILENT,
    UNCLEAR,
    SilentError,
    UnclearError,
    check_refusal,
)
from keras_maskrcnn.weights.safe_pickle import UnsafeFileError


def _assert_nothing_bad(kind, count):
    run = run_cases(kind, range(count))
    print(f"\n{table([run])}")
    assert "\n".join(line(kind, outcome) for outcome in run.failures) == ""
    assert run.peak < MEMORY_LIMIT
    assert [outcome.number for outcome in run.outcomes] == list(range(count))
    # Some of both: a reader that refuses everything would end no case badly.
    assert {ACCEPTED, REFUSED} <= {outcome.kind for outcome in run.outcomes}


@pytest.mark.parametrize("kind", KINDS)
def test_small_run(kind, request, monkeypatch):
    if kind == "http":
        monkeypatch.setenv(EXPORT, str(request.getfixturevalue("exported").path))
    _assert_nothing_bad(kind, KINDS[kind][1])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_full_run(kind):
    _assert_nothing_bad(kind, KINDS[kind][0])


def test_what_goes_wrong_is_found(monkeypatch):
    """One case of each bad end; those after a process' end run in another."""
    for name, value in (("_CASE_LIMIT", 8.0), ("MEMORY_LIMIT", 300e6), ("_KILL_BYTES", 600e6)):
        monkeypatch.setattr(runner, name, value)
    run = run_cases("bad_ends", range(len(ENDS)))
    found = [(ENDS[outcome.number], outcome.kind) for outcome in run.outcomes]
    assert found == [
        ("dies", CRASH),
        ("is well", ACCEPTED),
        ("waits for ever", HANG),
        ("takes memory", MEMORY),
        ("takes memory without end", MEMORY),
        ("loses something", SILENT),
        ("does not help", UNCLEAR),
        ("fails otherwise", UNCLEAR),
    ]
    assert all(ENDS[outcome.number] in outcome.detail for outcome in run.outcomes)
    assert "Segmentation fault" in run.outcomes[0].detail
    assert run.peak > 600e6


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (annotations.make, "annotations"),
        (pictures.make, "pictures"),
        (http_requests.make, "http"),
    ],
)
def test_cases_are_alike_by_number_and_unlike_between_numbers(make, kind):
    first, again = ([make(random.Random(f"{kind} {n}")) for n in range(60)] for _ in range(2))
    assert first == again
    assert len({what for _, what in first}) > 30


def test_answers_are_read_strictly():
    good = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    assert [answer.body for answer in parse(good * 2, ("POST", "POST"))] == [b"{}"] * 2
    in_chunks = (
        b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"
    )
    assert [(a.status, a.body) for a in parse(in_chunks, ("POST",))] == [(400, b"{}")]
    head = good.removesuffix(b"{}")
    assert len(parse(head, ("HEAD",))) == 1
    for broken in (head, good[4:], good + b"more", good.replace(b": ", b" "), in_chunks[:-6]):
        with pytest.raises(SilentError):
            parse(broken, ("POST",))


@pytest.mark.parametrize(
    ("error", "clear"),
    [
        (ValueError("w.pkl is cut off"), True),
        (UnsafeFileError("w.pkl is refused"), True),
        (ValueError("cut off"), False),
        (KeyError("w.pkl"), False),
        (UnicodeDecodeError("utf-8", b"w.pkl", 0, 1, "w.pkl"), False),
        (ValueError("w.pkl {{function_node x}}"), False),
        (ValueError("w.pkl <object at 0x7f1234567890>"), False),
        (ValueError("w.pkl " + "x" * 2000), False),
    ],
)
def test_words_that_help(error, clear):
    with contextlib.nullcontext() if clear else pytest.raises(UnclearError):
        check_refusal(error, "w.pkl")

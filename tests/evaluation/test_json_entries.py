"""Entries of JSON files one by one, against the whole file read at once."""

import json

import numpy as np
import pytest

from keras_maskrcnn.evaluation import json_entries
from keras_maskrcnn.evaluation.json_entries import read_json_entries, scan_json

ENTRIES = [
    {"text": "größer, 山", "list": [1, -2.5e-7, [None, {}]], "long": "x" * 300},
    {},
    123456789012,
    -1.5e300,
    "]},{",
    [True],
]


@pytest.mark.parametrize("block", [7, 64, 1000])
@pytest.mark.parametrize("ascii", [False, True])
def test_same_as_the_whole_file(block, ascii, tmp_path, monkeypatch):
    monkeypatch.setattr(json_entries, "_BLOCK", block)
    file = tmp_path / "a.json"
    entries = ENTRIES * 3
    for indent in (None, 2):
        file.write_text(json.dumps(entries, ensure_ascii=ascii, indent=indent), encoding="utf-8")
        found = list(scan_json(file))
        assert [entry.value for entry in found] == entries
        places = [(entry.offset, entry.length) for entry in found]
        order = np.random.default_rng(0).permutation(len(places))
        again = read_json_entries(file, [places[i] for i in order])
        assert list(again) == [entries[i] for i in order]
        content = {"é": {"a": [1]}, "first": entries, "b": 2.5, "second": [], "c": "}"}
        file.write_text(
            json.dumps(content, ensure_ascii=ascii, indent=indent), encoding="utf-8-sig"
        )
        found = list(scan_json(file, ("second", "first")))
        assert [(entry.part, entry.value) for entry in found] == [("first", e) for e in entries]


def test_memory_is_that_of_a_block(tmp_path, monkeypatch):
    monkeypatch.setattr(json_entries, "_BLOCK", 1000)
    file = tmp_path / "a.json"
    file.write_text(json.dumps(["x" * 90] * 5000))
    longest = 0
    text_of = json_entries._Text._more

    def more(self):
        nonlocal longest
        text_of(self)
        longest = max(longest, len(self._text))

    monkeypatch.setattr(json_entries._Text, "_more", more)
    assert sum(1 for _ in scan_json(file)) == 5000
    assert 1000 <= longest < 2500 < file.stat().st_size


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": [1, 2], "a": []}', "called 'a', once"),
        ('{"a": {}}', "called 'a', once"),
        ('{"b": []}', "a list called 'a'. Received: .*'b'"),
        ("[]", "a list called 'a'"),
        ('{"a": [1 2]}', "not valid JSON: .*line 1, column 10"),
        ('{"a": [1,]}', "not valid JSON"),
        ('{7: [], "a": [1]}', "not valid JSON"),
        ('{"a": [1]} 7', "not valid JSON: Extra data"),
        ('{"a": [1]', "not valid JSON"),
        ('{"a": ["\xff"]}', "not valid JSON"),
    ],
)
def test_other_files_are_refused(text, message, tmp_path):
    file = tmp_path / "a.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=rf"a\.json.*{message}"):
        list(scan_json(file, ("a",)))


def test_other_encodings_are_refused(tmp_path):
    file = tmp_path / "a.json"
    file.write_text("[1]", encoding="utf-16")
    with pytest.raises(ValueError, match=r"a\.json: expected JSON in UTF-8"):
        list(scan_json(file))

"""Which pictures `predict` takes, and what it calls its results."""

import json
from pathlib import Path

import pytest

from keras_maskrcnn.cli.predict import _ids, _named, _overlay_names, find_pictures


def test_files_and_folders_once_each(tmp_path):
    for name in ("b.PNG", "a.jpg", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "below.jpg").mkdir()
    a, b, notes = tmp_path / "a.jpg", tmp_path / "b.PNG", tmp_path / "notes.txt"
    files, skipped, failed = find_pictures([str(b), str(tmp_path), str(tmp_path)])
    assert (files, skipped, failed) == ([b, a], [tmp_path / "below.jpg", notes], [])


def test_what_is_missing_does_not_stop_the_rest(tmp_path):
    (tmp_path / "a.jpg").touch()
    (tmp_path / "empty").mkdir()
    missing, long = tmp_path / "c.jpg", tmp_path / ("d" * 300)
    given = [str(path) for path in (missing, tmp_path / "empty", long, tmp_path / "a.jpg")]
    files, skipped, failed = find_pictures(given)
    assert (files, skipped) == ([tmp_path / "a.jpg"], [])
    assert failed[0] == f"No such picture or folder: {missing}"
    assert failed[1].startswith("Expected pictures") and failed[1].endswith("empty")
    assert failed[2].startswith(f"Cannot read {long}: ") and len(failed) == 3
    with pytest.raises(ValueError, match=r"No such picture or folder: .*c\.jpg; Expected pictures"):
        find_pictures(given[:2])


def test_many_names_are_cut():
    paths = [Path(f"{number}.txt") for number in range(7)]
    assert _named(paths[:5]) == "0.txt, 1.txt, 2.txt, 3.txt, 4.txt"
    assert _named(paths) == "0.txt, 1.txt, 2.txt, 3.txt, 4.txt and 2 more"


def test_overlays_of_like_names_do_not_overwrite_each_other(tmp_path):
    files = [tmp_path / "x" / "a.jpg", tmp_path / "y" / "a.jpg", tmp_path / "x" / "b.jpg"]
    assert _overlay_names(files) == ["x_a.jpg.png", "y_a.jpg.png", "b.png"]


def test_ids_from_annotations(tmp_path):
    file = tmp_path / "a.jpg"
    image_ids, category_ids = _ids(None, [file])
    assert (image_ids, category_ids(["cat", "dog"])) == ({file: 1}, [1, 2])
    annotations = tmp_path / "val.json"
    content = {
        "images": [{"id": 70, "file_name": "val/a.jpg"}],
        "categories": [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}],
    }
    annotations.write_text(json.dumps(content))
    image_ids, category_ids = _ids(str(annotations), [file])
    assert (image_ids, category_ids(["cat", "dog"])) == ({file: 70}, [17, 18])
    with pytest.raises(ValueError, match=r"b\.jpg"):
        _ids(str(annotations), [tmp_path / "b.jpg"])
    with pytest.raises(ValueError, match="cow"):
        category_ids(["cow"])

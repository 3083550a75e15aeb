"""Which pictures `predict` takes, and what it calls its results."""

import json

import pytest

from keras_maskrcnn.cli.predict import _ids, _overlay_names, find_pictures


def test_files_and_folders_once_each(tmp_path):
    for name in ("b.PNG", "a.jpg", "notes.txt"):
        (tmp_path / name).touch()
    a, b = tmp_path / "a.jpg", tmp_path / "b.PNG"
    assert find_pictures([str(b), str(tmp_path)]) == [b, a]
    with pytest.raises(ValueError, match="No such picture"):
        find_pictures([str(tmp_path / "c.jpg")])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty"):
        find_pictures([str(tmp_path / "empty")])


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

"""Which pictures `predict` takes, what it calls its results, and GeoJSON among these."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from keras_maskrcnn.cli import main, predict
from keras_maskrcnn.cli.output_names import output_names
from keras_maskrcnn.cli.predict import _ids, _named, find_pictures
from keras_maskrcnn.images.georeference import Georeference
from keras_maskrcnn.images.pixels import PixelFormat
from keras_maskrcnn.results import Detections


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
    assert output_names(files, ".png") == ["x_a.jpg.png", "y_a.jpg.png", "b.png"]


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


def geotiff(path):
    """Half a metre a pixel, in UTM."""
    keys = (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633)
    tags = {33550: (0.5, 0.5, 0), 33922: (0, 0, 0, 500000, 4600000, 0)}
    extra = [(tag, "d", len(values), values, True) for tag, values in tags.items()]
    extra.append((34735, "H", len(keys), keys, True))
    path.parent.mkdir(exist_ok=True)
    tifffile.imwrite(path, np.zeros((8, 9, 3), "uint8"), photometric="rgb", extratags=extra)
    return path


def found_in(file):
    """A box at a place that is the file's own."""
    shift = len(str(file.parent.name))
    boxes = [[shift, 1, shift + 2, 4], [0, 0, 1, 1]]
    return Detections(boxes, [1, 0], [0.9, 0.1], None, (8, 9), ("cat", "dog"))


@pytest.fixture
def command(monkeypatch, tmp_path):
    """`maskrcnn predict` with a stand-in for the model."""
    asked = []

    def ask(file):
        asked.append(file)
        return found_in(file)

    monkeypatch.setattr(predict, "_ask_model", lambda args: (ask, PixelFormat()))

    def call(*words):
        words = ["predict", "m.keras", *map(str, words), "--output", str(tmp_path / "found")]
        return main(words), asked

    return call


def test_geojson(command, tmp_path):
    """On the map where the picture is, else in pixels; of equal stems each has its own."""
    pictures = [geotiff(tmp_path / "x" / "a.tif"), tmp_path / "yy" / "a.png", tmp_path / "b.png"]
    for path in pictures[1:]:
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (9, 8)).save(path)
    assert command(*pictures, "--geojson")[0] == 0
    names = ["x_a.tif", "yy_a.png", "b"]
    assert sorted(path.name for path in (tmp_path / "found").iterdir()) == sorted(
        [f"{name}.{kind}" for name in names for kind in ("png", "geojson")] + ["predictions.json"]
    )
    on_map = Georeference([[0.5, 0, 500000], [0, -0.5, 4600000]], 32633, True)
    for path, name, place in zip(pictures, names, (on_map, None, None), strict=True):
        written = json.loads((tmp_path / "found" / f"{name}.geojson").read_text())
        assert written == found_in(path)[:1].to_geojson(place)
        assert written["features"][0]["properties"]["category_id"] == 2


def test_geojson_only_where_asked_for(command, tmp_path):
    assert command(geotiff(tmp_path / "a.tif"))[0] == 0
    assert not list((tmp_path / "found").glob("*.geojson"))


def test_broken_georeference(command, tmp_path, capsys):
    """It is told before a prediction that may take an hour, and the rest goes on."""
    good, bad = geotiff(tmp_path / "good.tif"), tmp_path / "bad.png"
    Image.new("RGB", (9, 8)).save(bad)
    (tmp_path / "bad.pgw").write_text("nothing")
    code, asked = command(bad, good, "--geojson")
    assert (code, asked) == (1, [good])
    assert f"Cannot read the georeference in {tmp_path / 'bad.pgw'}" in capsys.readouterr().err
    assert (tmp_path / "found" / "good.geojson").is_file()
    # Without the option a georeference is of no account.
    assert command(bad)[0] == 0

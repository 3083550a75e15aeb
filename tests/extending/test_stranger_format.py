"""An annotation format that a stranger wrote in one file: it is found, read and trained on."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
from extending import csv_format
from format_files import outline_of
from helpers import make_data, tiny_model

from keras_maskrcnn.data import FORMATS, load_dataset


def write(folder, extra=()):
    """Pictures with a square and a bar each, and their outlines as CSV."""
    (folder / "pictures").mkdir()
    plain = make_data(folder / "pictures", [(64, 96)] * 2)
    lines = ["picture,class,outline"]
    for record in plain.records:
        for o in record.objects:
            outline = " ".join(map(str, outline_of(o)[0]))
            lines.append(f"{Path(record.path).name},{plain.class_names[o.category]},{outline}")
    (folder / "outlines.csv").write_text("\n".join([*lines, *extra]))
    return plain


def test_the_file_is_small_and_touches_nothing_private():
    text = Path(csv_format.__file__).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    assert not re.search(r"(\.|import )_[a-z]", text)
    assert "polygon_csv" in FORMATS.names


def test_it_is_found_read_and_trained_on(tmp_path, capsys):
    plain = write(tmp_path)
    data = load_dataset(tmp_path)
    told = capsys.readouterr().out
    assert f"{tmp_path}: CSV of polygons" in told
    assert "2 pictures, 0 of them without objects" in told and "4 objects: bar 2, square 2" in told
    assert data.class_names == ["bar", "square"] and data.warnings == []
    for record, other in zip(data.records, plain.records, strict=True):
        assert (record.path, record.height, record.width) == (other.path, 64, 96)
        for o, expected in zip(record.objects, other.objects, strict=True):
            assert (o.box, outline_of(o)) == (expected.box, outline_of(expected))
            assert o.area == pytest.approx(expected.area)
            assert data.class_names[o.category] == plain.class_names[expected.category]
    model = tiny_model()
    model.compile(keras.optimizers.SGD(1e-3))
    history = model.fit(data, batch_size=2, steps_per_epoch=1, verbose=0).history
    assert history["mask_loss"][0] > 0 and np.isfinite(history["loss"][0])


def test_what_it_cannot_use_is_named(tmp_path):
    write(tmp_path, ["0.png,bar,1 1 a", "gone.png,bar,1 1 5 1 5 5", "1.png,bar,1 1 5 1"])
    with pytest.warns(UserWarning, match="left out 3 items") as caught:
        data = load_dataset(tmp_path, verbose=False)
    assert Path(caught[0].filename) == Path(__file__)
    assert data.warnings == [
        "outlines.csv, line 6: outline is not made of numbers (1 1 a)",
        f"outlines.csv, line 7: picture is missing (gone.png in {tmp_path})",
        "outlines.csv, line 8: polygon has fewer than 3 points",
    ]
    with pytest.raises(ValueError, match=rf"{tmp_path}: left out 3 items"):
        load_dataset(tmp_path, on_error="raise", verbose=False)
    with pytest.raises(ValueError, match=r"one of .*'coco'.*Did you mean 'polygon_csv'"):
        load_dataset(tmp_path, "polygoncsv")

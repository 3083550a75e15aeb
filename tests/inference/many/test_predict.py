"""Archives: the same as one by one, in order, each once; resumed after a kill."""

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import picture_archive
import pytest
from helpers import tiny_model
from picture_archive import BROKEN, CLASSES, find_squares, make_archive, stub_model
from PIL import Image

from keras_maskrcnn.inference.many import predict_many, reading
from keras_maskrcnn.inference.many import work as many
from keras_maskrcnn.inference.many.tables import ENCODERS

COUNT = 23


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """A folder of pictures, and their squares."""
    monkeypatch.setattr(many, "predict_batch", find_squares)
    return tmp_path / "archive", make_archive(tmp_path / "archive", COUNT)


def table(folder, name):
    """All rows of a table, in the order of its parts."""
    files = sorted(Path(folder).glob(f"{name}-*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def predict(archive, output, **options):
    model = options.pop("model", stub_model())
    return predict_many(model, archive, output, **{"batch_size": 2, "part_size": 5} | options)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_picture_once_and_in_order(archive, tmp_path):
    folder, squares = archive
    told = []
    summary = predict(folder, tmp_path / "out", tell=lambda *numbers: told.append(numbers))
    assert (summary.pictures, summary.objects, summary.there) == (COUNT, COUNT - 2, 0)
    (broken,) = summary.unread
    assert broken.endswith(f"{BROKEN:04d}.png") and broken in summary.unread[broken]
    assert told[-1] == (COUNT, COUNT) and told == sorted(told)

    pictures, objects = table(tmp_path / "out", "pictures"), table(tmp_path / "out", "objects")
    assert len(list((tmp_path / "out").glob("pictures-*.jsonl"))) == 5
    assert [row["id"] for row in pictures] == list(range(1, COUNT + 1))
    for number, row in enumerate(pictures):
        assert Path(row["file_name"]).name == f"{number:04d}.png"
        size = [(48, 64), (64, 48), (40, 80)][number % 3]
        if number == BROKEN:
            assert row["height"] is row["width"] is None and broken in row["error"]
        else:
            assert (row["height"], row["width"]) == size and row["error"] is None
        assert row["objects"] == (number not in (0, BROKEN))
    found = [number for number in range(1, COUNT) if number != BROKEN]
    for number, row in zip(found, objects, strict=True):
        x1, y1, x2, y2 = squares[number]
        assert row["image_id"] == number + 1 and row["bbox"] == [x1, y1, x2 - x1, y2 - y1]
        assert row["category_id"] == 1 + number % 2
        assert row["category_name"] == CLASSES[number % 2]
        assert row["file_name"] == pictures[number]["file_name"]


def test_thresholds_and_ids(archive, tmp_path):
    folder, _ = archive
    options = {"threshold": 0.6, "category_ids": [30, 40]}
    predict(folder, tmp_path / "sure", **options)
    assert {row["category_id"] for row in table(tmp_path / "sure", "objects")} == {40}
    predict(folder, tmp_path / "both", class_thresholds={"grey": 0.5}, **options)
    assert {row["category_id"] for row in table(tmp_path / "both", "objects")} == {30, 40}


def test_what_is_there_is_not_looked_at_again(archive, tmp_path, monkeypatch):
    folder, _ = archive
    output = tmp_path / "out"
    predict(folder, output)
    whole = contents(output)
    # Killed after a part's objects were written: they alone are no part.
    for name in ("pictures-00001.jsonl", "pictures-00004.jsonl", "objects-00004.jsonl"):
        (output / name).unlink()
    seen = []

    def watched(model, pictures):
        seen.extend(pictures)
        return find_squares(model, pictures)

    monkeypatch.setattr(many, "predict_batch", watched)
    summary = predict(folder, output)
    # The broken picture lies in the second part.
    assert len(seen) == 5 - 1 + 3 and summary.pictures == 8 and summary.there == COUNT - 8
    assert contents(output) == whole
    assert predict(folder, output).pictures == 0 and len(seen) == 7


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model": stub_model(1.0)}, "model: "),
        ({"part_size": 6}, "part_size: 5 there, 6 here"),
        ({"threshold": 0.7}, "threshold: 0.05 there, 0.7 here"),
        ({"category_ids": [7, 8]}, r"category_ids: \[1, 2\] there, \[7, 8\] here"),
    ],
)
def test_another_job_is_refused(archive, tmp_path, change, told):
    folder, _ = archive
    predict(folder, tmp_path / "out")
    before = contents(tmp_path / "out")
    with pytest.raises(ValueError, match=f"results of another job.*{told}"):
        predict(folder, tmp_path / "out", **change)
    (folder / "0" / "0003.png").unlink()
    with pytest.raises(ValueError, match="list: .*pictures: 23 there, 22 here"):
        predict(folder, tmp_path / "out")
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"threshold": 2}, "threshold"),
        ({"format": "csv"}, "csv"),
        ({"category_ids": [1]}, r"an id for each of \d classes. Received: category_ids=\[1\]"),
        ({"class_thresholds": {"gray": 0.5}}, "Did you mean 'grey'"),
    ],
)
def test_arguments(archive, tmp_path, options, told):
    with pytest.raises(ValueError, match=told):
        predict(archive[0], tmp_path / "out", **options)


def test_killed_and_resumed(archive, tmp_path):
    folder, _ = archive
    predict(folder, tmp_path / "whole")
    command = [sys.executable, picture_archive.__file__, folder, tmp_path / "out", "0.05"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    # Seven batches are more than two parts.
    for _ in range(7):
        assert process.stdout.readline() == "looks\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 0 < len(table(tmp_path / "out", "pictures")) < COUNT
    predict(folder, tmp_path / "out")
    found = {n: c for n, c in contents(tmp_path / "out").items() if not n.startswith(".")}
    assert found == contents(tmp_path / "whole")


def test_few_pictures_are_held(archive, tmp_path, monkeypatch):
    """However many there are: those of a few batches are read and not yet looked at."""
    folder, _ = archive
    lock, held, most = threading.Lock(), [0], [0]
    read = reading.read_image

    def counting(*arguments):
        with lock:
            held[0] += 1
            most[0] = max(most[0], held[0])
        return read(*arguments)

    def watched(model, pictures):
        with lock:
            held[0] -= len(pictures)
        return find_squares(model, pictures)

    monkeypatch.setattr(reading, "read_image", counting)
    monkeypatch.setattr(many, "predict_batch", watched)
    (tmp_path / "copies").mkdir()
    whole = (path for path in sorted(folder.rglob("*.png")) if path.stem != f"{BROKEN:04d}")
    for path in whole:
        for number in range(20):
            (tmp_path / "copies" / f"{path.stem}_{number}.png").hardlink_to(path)
    assert predict(tmp_path / "copies", tmp_path / "out", part_size=1000, threads=3).pictures == 440
    # Two windows of four batches of two: one is decoded, one looked at; and two batches at once.
    assert most[0] <= 2 * 8 + 2 * 2


def test_batches_side_by_side(archive, tmp_path, monkeypatch):
    """The first traces the model, alone; of those that follow, two meet."""
    folder, _ = archive
    meet, seen, lock = threading.Barrier(2, timeout=30), [0], threading.Lock()

    def meeting(model, pictures):
        with lock:
            seen[0] += 1
            number = seen[0]
        if 1 < number <= 7:
            meet.wait()
        return find_squares(model, pictures)

    monkeypatch.setattr(many, "predict_batch", meeting)
    predict(folder, tmp_path / "side", part_size=COUNT)
    # Twenty-two that can be read: eleven batches of two.
    assert seen[0] == 11 and not meet.broken
    monkeypatch.setattr(many, "predict_batch", find_squares)
    predict(folder, tmp_path / "alone", part_size=COUNT)
    assert contents(tmp_path / "side") == contents(tmp_path / "alone")


def test_equal_to_predict(tmp_path):
    """A real model: pictures of unlike sizes, grey, and turned by their EXIF."""
    rng = np.random.default_rng(0)
    # Pairs of like sizes, which are padded together as each for itself.
    shapes = [(60, 90, 3), (90, 60, 3), (70, 70), (64, 96, 3), (60, 90, 3), (70, 70, 3)]
    paths = []
    for number, shape in enumerate(shapes):
        picture = Image.fromarray(rng.integers(0, 255, shape, dtype=np.uint8))
        path = tmp_path / f"{number}.png"
        exif = Image.Exif()
        exif[0x0112] = 6 if number == 4 else 1
        picture.save(path, exif=exif)
        paths.append(str(path))
    model = tiny_model(**{"box.score_threshold": 0.0})
    summary = predict_many(model, tmp_path, tmp_path / "out", batch_size=2, threshold=0.0)
    objects = table(tmp_path / "out", "objects")
    assert summary.pictures == 6 and summary.objects == len(objects) > 6
    for number, found in enumerate(model.predict(paths, verbose=0), 1):
        own = [row for row in objects if row["image_id"] == number]
        expected = found.to_coco(number, [1, 2])
        assert len(own) == len(expected)
        for row, one in zip(own, expected, strict=True):
            assert row["category_id"] == one["category_id"]
            np.testing.assert_allclose(row["score"], one["score"], atol=1e-5)
            np.testing.assert_allclose(row["bbox"], one["bbox"], atol=0.01)
            assert row["segmentation"]["size"] == one["segmentation"]["size"]
        row = table(tmp_path / "out", "pictures")[number - 1]
        assert (row["height"], row["width"]) == found.image_size


def test_parquet(archive, tmp_path):
    pq = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
    folder, _ = archive
    predict(folder, tmp_path / "lines")
    predict(folder, tmp_path / "out", format="parquet", part_size=1)
    for name in ("pictures", "objects"):
        files = sorted((tmp_path / "out").glob(f"{name}-*.parquet"))
        tables = [pq.read_table(file) for file in files]
        # Of the first part, too, which has no objects.
        assert len(tables) == COUNT and len({str(one.schema) for one in tables}) == 1
        rows = [row for one in tables for row in one.to_pylist()]
        for row, expected in zip(rows, table(tmp_path / "lines", name), strict=True):
            assert {k: v for k, v in row.items() if v is not None} == {
                k: v for k, v in expected.items() if v is not None
            }


def test_parquet_without_pyarrow(archive, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"Parquet needs.*maskrcnn-keras\[parquet\]"):
        predict(archive[0], tmp_path / "out", format="parquet")
    assert set(ENCODERS) == {"jsonl", "parquet"}

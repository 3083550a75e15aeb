"""`maskrcnn validate`: what it writes, what it returns, and that nothing is overwritten."""

import json

import pytest
from doctor_data import data_of, examined, loop, pixels, record, save, sound, thing
from written_scenes import with_hole

from keras_maskrcnn.cli import main
from keras_maskrcnn.cli.validate import _fix_files, _write_cleaned
from keras_maskrcnn.data import load_coco


def write_data(folder, splits, box=(10, 10, 42, 42), objects=1):
    """COCO files with ten pictures each, as an export of Roboflow lies on disk."""
    for number, split in enumerate(splits):
        images, annotations = [], []
        for key in range(10):
            save(folder / split / f"{key}.png", pixels(100 * number + key))
            images.append({"id": key, "file_name": f"{key}.png", "height": 60, "width": 80})
            for k in range(objects):
                x1, y1, x2, y2 = box
                entry = {"id": 10 * k + key, "image_id": key, "category_id": 1, "iscrowd": 0}
                sides = [x1, y1, x2 - x1, y2 - y1]
                annotations.append({**entry, "bbox": sides, "segmentation": [loop(box)]})
        content = {"images": images, "annotations": annotations}
        content["categories"] = [{"id": 1, "name": "cat"}]
        (folder / split / "_annotations.coco.json").write_text(json.dumps(content))
    return folder


def run(folder, *options):
    return main(["validate", "--data", str(folder), "--min-size", "60", *map(str, options)])


def test_sound_data(tmp_path, capsys):
    data = write_data(tmp_path / "data", ["train", "valid"])
    assert run(data, "--output", tmp_path / "out") == 0
    content = json.loads((tmp_path / "out" / "report.json").read_text())
    assert list(content["splits"]) == ["train", "valid"] and content["findings"] == []
    assert content["input_size"]["min_size"] == 60
    assert (tmp_path / "out" / "report.html").is_file()
    out = capsys.readouterr().out
    assert "train: 10 of 10 pictures can be read, 10 objects\n" in out
    assert out.endswith(f"Training makes sense.\n{tmp_path / 'out' / 'report.html'}\n")


def test_warnings_do_not_fail_and_are_fixed(tmp_path, capsys):
    data = write_data(tmp_path / "data", ["train", "valid"], objects=2)
    (data / "train" / "3.png").write_bytes(b"broken")
    before = {file: file.read_bytes() for file in sorted(data.rglob("*")) if file.is_file()}
    fix = tmp_path / "clean" / "all.json"
    assert run(data, "--output", tmp_path / "out", "--fix", fix) == 0
    out = capsys.readouterr().out
    assert "  warning: Pictures that cannot be read (1)" in out
    assert "  warning: Objects that are annotated twice (20)" in out
    assert (
        f"{tmp_path / 'clean' / 'all_train.json'}: 9 pictures, 9 objects; pictures in {data}" in out
    )
    assert {file: file.read_bytes() for file in sorted(data.rglob("*")) if file.is_file()} == before
    cleaned = load_coco(tmp_path / "clean" / "all_train.json", data, on_error="raise")
    assert [r.image_id for r in cleaned.records] == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert len(load_coco(tmp_path / "clean" / "all_valid.json", data, on_error="raise")) == 10


def test_what_a_cleaned_file_cannot_hold_is_told(tmp_path, capsys):
    holed = thing(2000, (35, 20, 55, 40), with_hole())
    path = save(tmp_path / "x.png", pixels(99))
    report = examined(data_of([*sound(tmp_path), record(77, path, [holed])]))
    _write_cleaned(report, {"data": tmp_path / "new" / "x.json"})
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path / 'new' / 'x.json'}: 11 pictures, 11 objects; pictures in {tmp_path}",
        "  1 x holes are joined to their outline by bridges of no width "
        "(first: x.png, object 2000)",
    ]


def test_no_objects_is_a_failure(tmp_path, capsys):
    data = write_data(tmp_path / "data", ["train"], objects=0)
    fix = tmp_path / "fix.json"
    assert run(data, "--output", tmp_path / "out", "--fix", fix) == 1
    assert "error: No objects (1)\n" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "report.json").read_text())["makes_sense"] is False
    assert not fix.exists()


@pytest.mark.parametrize("name", ["train/_annotations.coco.json", "notes.json", "fixed.txt"])
def test_nothing_is_overwritten(tmp_path, capsys, name):
    data = write_data(tmp_path / "data", ["train"])
    (data / "notes.json").write_text("mine")
    before = (data / "train" / "_annotations.coco.json").read_bytes()
    assert run(data, "--output", tmp_path / "out", "--fix", data / name) == 2
    assert "Received: --fix" in capsys.readouterr().err
    assert (data / "notes.json").read_text() == "mine" and not (tmp_path / "out").exists()
    assert (data / "train" / "_annotations.coco.json").read_bytes() == before


def test_what_is_no_data(tmp_path, capsys):
    assert run(tmp_path / "nowhere") == 2
    assert "Expected a folder or an annotation file" in capsys.readouterr().err
    assert run(tmp_path) == 2


def test_splits_get_files_of_their_own(tmp_path):
    file = tmp_path / "fix.json"
    files = _fix_files(file, ["train", "val 1"])
    assert [path.name for path in files.values()] == ["fix_train.json", "fix_val_1.json"]
    with pytest.raises(ValueError, match=r"names differ.*'val 1', 'val_1'"):
        _fix_files(file, ["val 1", "val_1"])


def test_in_tiles(tmp_path, capsys):
    data = write_data(tmp_path / "data", ["train", "valid"])
    words = ["validate", "--data", str(data), "--output", str(tmp_path / "out"), "--tile", "64"]
    assert main(words) == 0
    assert json.loads((tmp_path / "out" / "report.json").read_text())["input_size"] == {"tile": 64}
    assert "in tiles of 64 pixels" in (tmp_path / "out" / "report.html").read_text()
    assert main([*words, "--min-size", "32"]) == 2
    assert "Expected --tile without --min-size and --max-size" in capsys.readouterr().err

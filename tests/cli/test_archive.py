"""`maskrcnn predict --input`."""

import json
import re

import pytest
from picture_archive import BROKEN, find_squares, make_archive, stub_model

from keras_maskrcnn.cli import archive, main
from keras_maskrcnn.inference.many import work as many


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "Expected pictures, or --input"),
        (["a.jpg", "--input", "b"], r"pictures or --input. Received: a\.jpg and --input b"),
        (["a.jpg", "--part-size", "0"], "--part-size only with --input. Received: --part-size 0"),
        (["a.jpg", "--format", "parquet"], "--format only with --input"),
        *(
            (
                ["--input", "b", *words.split()],
                f"{words.split()[0]} only with pictures, not with --input. "
                f"Received: {words.split()[0]}{' .+' if len(words.split()) > 1 else '$'}",
            )
            for words in (
                *("--tta", "--tile 64", "--geojson", "--counts c.csv", "--annotations a.json"),
                *("--server http://localhost", "--display 0 0 0"),
            )
        ),
    ],
)
def test_what_does_not_go_together(options, told, capsys, monkeypatch):
    monkeypatch.setattr(archive, "load_model", lambda *_: pytest.fail("checked too late"))
    assert main(["predict", "model.keras", *options]) == 2
    error = capsys.readouterr().err
    assert re.search(told, error), error


def test_archive(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(archive, "load_model", lambda *_: stub_model())
    monkeypatch.setattr(many, "predict_batch", find_squares)
    make_archive(tmp_path / "pictures", 23)
    command = ["predict", "model.keras", "--input", str(tmp_path / "pictures")]
    command += ["--output", str(tmp_path / "out"), "--part-size", "10", "--threshold", "grey=0.6"]
    assert main(command) == 1
    output = capsys.readouterr()
    files = sorted(path.name for path in (tmp_path / "out").glob("*-*"))
    assert files == [f"{t}-0000{n}.jsonl" for t in ("objects", "pictures") for n in range(3)]
    objects = [
        json.loads(line)
        for file in sorted((tmp_path / "out").glob("objects-*"))
        for line in file.read_text().splitlines()
    ]
    # Of 22 squares 11 are white; one of these is in the file that is broken.
    assert len(objects) == 10 and {row["category_name"] for row in objects} == {"white"}
    assert "10 objects in 23 pictures: " in output.out
    assert f"{BROKEN:04d}.png: Cannot decode the picture" in output.err
    assert "Pictures that could not be read: 1, named in the tables" in output.err

    (tmp_path / "out" / "pictures-00002.jsonl").unlink()
    assert main(command) == 0  # What cannot be read lies in a part that was there.
    assert "1 objects in 3 pictures (20 more were there): " in capsys.readouterr().out
    assert main([*command[:-1], "0.3"]) == 2
    assert "results of another job" in capsys.readouterr().err
    for option in ("--batch-size", "--part-size"):
        assert main([*command, option, "0"]) == 2
        assert f"{option[2:].replace('-', '_')} must be at least 1" in capsys.readouterr().err
    assert main([*command[:3], str(tmp_path / "none")]) == 2
    assert "Expected pictures: a folder" in capsys.readouterr().err

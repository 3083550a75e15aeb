"""`maskrcnn predict` with videos."""

import json
import re
import sys

import numpy as np
import pytest
from picture_archive import find_squares, stub_model

av = pytest.importorskip("av", reason="needs av")

from clips import COUNT, LIT, make_clip, make_sound, spoil, told  # noqa: E402

from keras_maskrcnn.cli import main, video  # noqa: E402
from keras_maskrcnn.inference.video import stream, writing  # noqa: E402


@pytest.fixture
def stub(monkeypatch):
    def find(model, pictures):
        return find_squares(model, [np.select([p > 200, p > LIT], [255, 128]) for p in pictures])

    monkeypatch.setattr(video, "load_model", lambda *_: stub_model())
    monkeypatch.setattr(stream, "predict_batch", find)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("a.jpg --every 2", "--every only with videos. Received: --every 2"),
        ("--input b --every 2", "--every only with videos"),
        ("a.jpg clip.mp4", r"one kind at a time. Received: a\.jpg and clip\.mp4"),
        ("clip.MOV --every 0", "every must be at least 1. Received: every=0"),
        ("clip.mp4 --batch-size 0", "batch_size must be at least 1. Received: batch_size=0"),
        ("clip.mp4 --threshold high", "Expected --threshold SCORE or NAME=SCORE"),
        *(
            (f"clip.mp4 {words}", f"{words.split()[0]} only with pictures, not with videos")
            for words in (
                *("--tta", "--tile 64", "--overlap 8", "--geojson", "--counts c.csv"),
                *("--annotations a.json", "--server http://localhost", "--display 0 0 0"),
                *("--input b", "--format parquet", "--part-size 3", "--ray 2"),
            )
        ),
    ],
)
def test_what_does_not_go_together(words, told, capsys, monkeypatch):
    monkeypatch.setattr(video, "load_model", lambda *_: pytest.fail("checked too late"))
    assert main(["predict", "model.keras", *words.split()]) == 2
    error = capsys.readouterr().err
    assert re.search(told, error), error


def test_without_the_package(capsys, monkeypatch):
    monkeypatch.setattr(video, "load_model", lambda *_: pytest.fail("checked too late"))
    monkeypatch.setitem(sys.modules, "av", None)
    assert main(["predict", "model.keras", "clip.mp4"]) == 2
    assert "video needs a package that is not installed" in capsys.readouterr().err


def test_names():
    assert video.is_video_name("a/CLIP.MP4") and video.is_video_name("http://camera/clip.webm")
    assert not any(map(video.is_video_name, ("a.jpg", "mp4", "a.mp4/b.png", "a.mp4.txt")))


def test_videos(stub, tmp_path, capsys):
    (tmp_path / "b").mkdir()
    clips = [make_clip(tmp_path / "clip.mkv"), make_clip(tmp_path / "b" / "clip.mp4", 3)]
    command = ["predict", "model.keras", *map(str, clips), str(clips[0])]
    command += ["--output", str(tmp_path / "out"), "--threshold", "grey=0.6", "--every", "2"]
    assert main([*command, "--batch-size", "2"]) == 0
    names = [f"{tmp_path.name}_clip.mkv", "b_clip.mp4"]
    found = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert found == sorted(f"{name}.{kind}" for name in names for kind in ("jsonl", "mp4"))
    assert len(told(tmp_path / "out" / f"{names[0]}.mp4")[0]) == COUNT / 2
    # White squares are in odd frames.
    assert (tmp_path / "out" / f"{names[0]}.jsonl").read_text() == ""
    output = capsys.readouterr().out
    assert f"0 objects in 6 frames: {tmp_path / 'out' / names[0]}.mp4, " in output
    assert "0 objects in 2 frames: " in output and "no encoder" not in output


def test_what_is_wrong_is_told(stub, tmp_path, capsys, monkeypatch):
    """Of one video, and the others are done."""
    monkeypatch.setattr(writing, "ENCODERS", writing.ENCODERS[2:])
    bad = make_clip(tmp_path / "bad.mp4", g="1", bf="0")
    for number in range(2, 9):
        spoil(bad, number / 10)
    given = [tmp_path / "none.mp4", make_sound(tmp_path / "sound.mp4"), bad]
    good = make_clip(tmp_path / "good.mp4", 3)
    out = tmp_path / "out"
    assert main(["predict", "m.keras", *map(str, [*given, good]), "--output", str(out)]) == 1
    output = capsys.readouterr()
    assert re.search(r"Cannot open the video .*none\.mp4: ", output.err)
    assert re.search(r"sound\.mp4, of audio", output.err)
    assert output.err.count(f"{bad}: frame ") == 5 and f"{bad}: frame 2: it cannot" in output.err
    assert f"{bad}: 7 frames are lost or damaged, named in the table" in output.err
    assert "5 objects in 5 frames: " in output.out and "3 objects in 3 frames: " in output.out
    assert "bad.mp4 (MPEG-4 Part 2: no encoder of H.264 here), " in output.out
    rows = [json.loads(line) for line in (out / "bad.jsonl").read_text().splitlines()]
    assert [row["frame"] for row in rows if "error" in row] == list(range(2, 9))
    assert main(["predict", "m.keras", str(good), "--output", str(tmp_path)]) == 1
    assert re.search(r"beside the video.*Received: .*good\.mp4", capsys.readouterr().err)
    assert main(["predict", "m.keras", str(good), "--output", str(out)]) == 0

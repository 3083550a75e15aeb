"""Where data sets are written, and what their pictures become."""

import os
from pathlib import Path

import pytest
from format_files import load, save_picture
from written_scenes import CLASSES, instance, make_dataset

from keras_maskrcnn.data import DetectionData, ImageRecord, save_dataset
from keras_maskrcnn.data.writers.picture_files import picture_names
from keras_maskrcnn.outlines import Polygons


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


LAYOUTS = {
    "coco": ["annotations/instances_train.json", "train/{}"],
    "cvat": ["annotations.xml", "images/{}"],
    "label_studio": ["images/{}", "tasks.json"],
    "labelme": ["d.JPG", "d.json"],
    "voc": [
        *("Annotations/d.xml", "ImageSets/Segmentation/train.txt", "JPEGImages/{}"),
        *("SegmentationClass/d.png", "SegmentationObject/d.png", "labelmap.txt"),
    ],
    "yolo": ["data.yaml", "images/{}", "labels/d.txt"],
}


@pytest.mark.parametrize("name", sorted(LAYOUTS))
@pytest.mark.parametrize("link", [False, True])
def test_layout_and_pictures(tmp_path, name, link, capsys):
    data = make_dataset(tmp_path / "from", {"d.JPG": []})
    source = tmp_path / "from" / "d.JPG"
    saved = save_dataset(data, tmp_path / "to", name, link=link)
    assert files(tmp_path / "to") == [entry.format("d.JPG") for entry in LAYOUTS[name]]
    assert capsys.readouterr().out == f"{tmp_path / 'to'}: {saved.title}, 1 pictures\n"
    (picture,) = (tmp_path / "to").rglob("d.JPG")
    assert picture.read_bytes() == source.read_bytes()
    assert os.path.samefile(picture, source) == link and not picture.is_symlink()


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    data = make_dataset(tmp_path / "from", {"d.JPG": []})
    (tmp_path / "to").mkdir()
    save_dataset(data, tmp_path / "to", "yolo", verbose=False)
    before = files(tmp_path)
    for folder in (tmp_path / "to", tmp_path / "from", tmp_path / "from" / "d.JPG"):
        with pytest.raises(ValueError, match=r"new or empty folder. Received: folder="):
            save_dataset(data, folder, "coco", verbose=False)
    assert files(tmp_path) == before


def test_what_is_refused(tmp_path):
    data = make_dataset(tmp_path / "from", {"d.JPG": []})
    with pytest.raises(ValueError, match=r"format must be one of .*Did you mean 'coco'"):
        save_dataset(data, tmp_path / "to", "cocoa")
    for names in ({"a": data}, {"train": data, "training": data}, {}):
        with pytest.raises(ValueError, match=r"splits with names as train, val and test"):
            save_dataset(names, tmp_path / "to")
    other = DetectionData(data.records, ["a"], [1])
    with pytest.raises(ValueError, match=r"same classes in all splits. Received: \['red fig'.*'a'"):
        save_dataset({"train": data, "val": other}, tmp_path / "to")
    with pytest.raises(ValueError, match=r"at least one picture .* COCO JSON. Received: no pict"):
        save_dataset(DetectionData([], CLASSES, [1, 2]), tmp_path / "to")
    gone = DetectionData([ImageRecord(1, str(tmp_path / "gone.jpg"), 9, 9)], CLASSES, [1, 2])
    with pytest.raises(ValueError, match=r"picture is left out: picture cannot be read"):
        save_dataset(gone, tmp_path / "to")
    for name in ("a\nb", "a:b", "#a", "background"):
        bad = DetectionData(data.records, ["c", name], [1, 2])
        with pytest.raises(ValueError, match=r"at most 254 classes for VOC.* Received: 2 classes"):
            save_dataset(bad, tmp_path / "to", "voc")
    many = DetectionData(data.records, [f"c{k}" for k in range(255)], list(range(255)))
    with pytest.raises(ValueError, match=r"Received: 255 classes"):
        save_dataset(many, tmp_path / "to", "voc")
    assert not (tmp_path / "to").exists()


def test_a_link_to_another_place_that_cannot_be(tmp_path, monkeypatch):
    data = make_dataset(tmp_path / "from", {"d.JPG": []})

    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(ValueError, match=r"d\.JPG cannot be linked .*cross-device.*copy it"):
        save_dataset(data, tmp_path / "to", link=True)


def test_a_link_is_followed_to_the_picture(tmp_path):
    data = make_dataset(tmp_path / "real", {"d.JPG": []})
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "e.jpg").symlink_to(data.records[0].path)
    record = ImageRecord(1, str(tmp_path / "from" / "e.jpg"), 33, 47)
    save_dataset(
        DetectionData([record], CLASSES, [1, 2]), tmp_path / "to", link=True, verbose=False
    )
    assert not (tmp_path / "to" / "train" / "e.jpg").is_symlink()
    assert len(load(tmp_path / "to")) == 1


def test_names_that_several_pictures_have(tmp_path):
    paths = ["x/a.jpg", "y/A.png", "z/b.jpg", "y/a.gif", "u/y/a.bmp"]
    assert picture_names(paths) == ["a.jpg", "y_A.png", "b.jpg", "y_a_2.gif", "y_a_3.bmp"]
    assert picture_names(["x/a b\u2003c.jpg"], keeps_spaces=False) == ["a_b_c.jpg"]
    numbered = picture_names(["x/a.jpg", *(["y/b.jpg"] * 9)], is_numbered=True)
    assert numbered[:3] == ["01_a.jpg", "02_b.jpg", "03_b.jpg"]
    outline = Polygons([[1, 1, 5, 1, 5, 5]])
    records = [
        ImageRecord(
            k, str(save_picture(tmp_path / place / "a.jpg")), 60, 80, (instance(k, outline),)
        )
        for k, place in enumerate(("x", "y"), 1)
    ]
    data = DetectionData(records, CLASSES, [1, 2])
    for name in sorted(LAYOUTS):
        saved = save_dataset(data, tmp_path / name, name, verbose=False)
        assert [line for line in saved.losses if "a.jpg:" in line] == [
            "a.jpg: picture has a new name (y_a.jpg)"
        ]
        again = load(tmp_path / name)
        assert [Path(r.path).name for r in again.records] == ["a.jpg", "y_a.jpg"]
        assert [len(r.objects) for r in again.records] == [1, 1]


def test_what_not_every_tool_turns_is_told(tmp_path):
    """The picture keeps its orientation; see `formats/test_orientation.py` for what is read."""
    records = [
        ImageRecord(1, str(save_picture(tmp_path / "from" / "a.jpg", orientation=6)), 80, 60),
        ImageRecord(2, str(save_picture(tmp_path / "from" / "b.jpg")), 60, 80),
        ImageRecord(3, str(save_picture(tmp_path / "from" / "c.jpg", orientation=6)), 60, 80),
    ]
    data = DetectionData(records, CLASSES, [1, 2])
    for name in sorted(LAYOUTS):
        saved = save_dataset(data, tmp_path / name, name, verbose=False)
        assert saved.pictures == 2
        told = [line for line in saved.losses if "as its EXIF orientation shows it" in line]
        assert len(told) == (name in ("coco", "voc"))
        assert all(line.startswith("a.jpg: ") for line in told)
        (left_out,) = [line for line in saved.losses if "picture is left out" in line]
        assert "c.jpg: " in left_out and "(60 x 80, but it has 80 x 60)" in left_out

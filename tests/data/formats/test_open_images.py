"""Open Images' tables of masks."""

import numpy as np
import pytest
from format_files import drawn, load, outline_of, png_bytes, save_picture

from keras_maskrcnn.data import dataset_splits, load_dataset

HEAD = "MaskPath,ImageID,LabelName,BoxID,BoxXMin,BoxXMax,BoxYMin,BoxYMax,PredictedIoU,Clicks"
BOXES = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf"


def write(folder, rows, split="train", boxes=()):
    text = [HEAD, *(f"{path},{image},{label},b,0,1,0,1,0.9," for path, image, label in rows)]
    table = folder / f"{split}-annotations-object-segmentation.csv"
    table.write_text("\n".join(text))
    if boxes:
        lines = [f"{i},x,{label},1,{corners},0,0,{group}" for i, label, corners, group in boxes]
        (folder / f"{split}-annotations-bbox.csv").write_text("\n".join([BOXES, *lines]))
    (folder / "class-descriptions.csv").write_text('/m/01,Pear\n/m/02,"Fig, dried"\n')


def put_mask(folder, name, bits):
    (folder / "masks").mkdir(exist_ok=True)
    (folder / "masks" / name).write_bytes(png_bytes(np.asarray(bits, np.uint8) * 255))


def test_masks_of_another_size_are_stretched_to_their_picture(tmp_path, capsys):
    save_picture(tmp_path / "images" / "00a1.jpg")
    bits = np.zeros((30, 20), bool)  # Half as high, and a quarter as wide.
    bits[5:10, 5:15] = True
    put_mask(tmp_path, "half.png", bits)
    put_mask(tmp_path, "full.png", np.kron(bits, np.ones((2, 4), bool)))
    write(tmp_path, [("half.png", "00a1", "/m/01"), ("full.png", "00a1", "/m/02")])
    data = load(tmp_path)
    assert data.class_names == ["Fig, dried", "Pear"]
    for instance in data.records[0].objects:
        expected = np.zeros((60, 80), np.uint8)
        expected[10:20, 20:60] = 1
        np.testing.assert_array_equal(drawn(instance), expected)
        assert (instance.box, instance.area) == ((20, 10, 60, 20), 400)
    load_dataset(tmp_path)
    assert "Open Images\n  1 pictures" in capsys.readouterr().out


def test_groups_are_crowd_regions(tmp_path):
    save_picture(tmp_path / "00a1.jpg")
    put_mask(tmp_path, "m.png", np.ones((60, 80)))
    boxes = [
        ("00a1", "/m/01", "0.25,0.5,0.1,0.2", 1),
        ("00a1", "/m/01", "0,1,0,1", 0),  # Of the object that has a mask.
        ("00a1", "/m/09", "0,1,0,1", 1),  # Of a class without masks.
        ("00zz", "/m/01", "0,1,0,1", 1),  # Of a picture without masks.
    ]
    write(tmp_path, [("m.png", "00a1", "/m/01")], boxes=boxes)
    (record,) = load(tmp_path).records
    assert len(record.objects) == 1
    (crowd,) = record.crowds
    np.testing.assert_allclose(crowd.box, (20, 6, 40, 12))
    assert outline_of(crowd) is None


def test_splits_by_the_name_of_the_table(tmp_path):
    for split, name in (("train", "00a1"), ("validation", "00b1")):
        save_picture(tmp_path / f"{name}.jpg")
        put_mask(tmp_path, f"{name}_m.png", np.ones((60, 80)))
        write(tmp_path, [(f"{name}_m.png", name, "/m/01")], split)
    assert dataset_splits(tmp_path) == ["train", "validation"]
    assert [r.path for r in load(tmp_path, split="train").records] == [str(tmp_path / "00a1.jpg")]
    table = tmp_path / "validation-annotations-object-segmentation.csv"
    assert [r.path for r in load(table).records] == [str(tmp_path / "00b1.jpg")]


def test_what_cannot_be_used_is_named(tmp_path):
    save_picture(tmp_path / "00a1.jpg")
    put_mask(tmp_path, "m.png", np.ones((60, 80)))
    put_mask(tmp_path, "empty.png", np.zeros((60, 80)))
    (tmp_path / "masks" / "no.png").write_bytes(b"no picture")
    (tmp_path / "masks" / "out.png").symlink_to("/etc/hostname")
    rows = [("m.png", "00a1", "/m/01"), ("gone.png", "00a1", "/m/01"), ("", "00a1", "/m/01")]
    rows += [("empty.png", "00a1", "/m/01"), ("no.png", "00a1", "/m/01"), ("m.png", "00a1", "")]
    rows += [("out.png", "00a1", "/m/01"), ("m.png", "00zz", "/m/01"), ("m.png", "00zz", "/m/01")]
    write(tmp_path, rows)
    line = "train-annotations-object-segmentation.csv, line"
    data = load(
        tmp_path,
        f"{line} 3: mask is missing (gone.png)",
        f"{line} 4: mask is missing",
        f"{line} 5: mask is empty",
        f"{line} 6: mask cannot be read",
        f"{line} 7: object has no class",
        f"{line} 8: file_name leads out of the picture folder",
        "picture 00zz: picture is missing",
    )
    assert data.warnings[-1].endswith("and with it its 2 annotations")
    assert len(data.records[0].objects) == 1


@pytest.mark.parametrize("name", ["train-annotations-object-segmentation.csv", "names.csv"])
def test_a_table_that_cannot_be_parsed_is_refused_by_name(tmp_path, name):
    save_picture(tmp_path / "00a1.jpg")
    put_mask(tmp_path, "m.png", np.ones((60, 80)))
    write(tmp_path, [("m.png", "00a1", "/m/01")])
    (tmp_path / "names.csv").write_text("/m/01,Pear")
    with open(tmp_path / name, "a") as stream:
        stream.write(f"\n/m/02,{'x' * 200_000}\n")
    with pytest.raises(ValueError, match=f"{name} is not a valid CSV file: field larger"):
        load_dataset(tmp_path, verbose=False)

"""Masks as pictures: of ids, a file for each object, and Cityscapes'."""

import io

import numpy as np
import pytest
import tifffile
from format_files import drawn, load, outline_of, png_bytes, save_picture
from PIL import Image

from keras_maskrcnn.data import dataset_splits, load_dataset
from keras_maskrcnn.data.picture_files import MAX_PIXELS


def ids_of(dtype=np.uint8, first=1, second=2):
    """Two objects that touch; the first is of two pieces."""
    ids = np.zeros((60, 80), dtype)
    ids[10:30, 10:30] = ids[50:55, 70:80] = first
    ids[10:30, 30:50] = second
    return ids


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("pictures", "masks", "end"),
    [("PNGImages", "PedMasks", "_mask"), ("images", "masks", ""), ("photos", "instances", "")],
)
def test_a_picture_of_ids_beside_each(tmp_path, capsys, pictures, masks, end):
    save_picture(tmp_path / pictures / "a.png")
    put(tmp_path / masks / f"a{end}.png", png_bytes(ids_of()))
    save_picture(tmp_path / pictures / "b.png")
    put(tmp_path / masks / f"b{end}.png", png_bytes(np.zeros((60, 80), np.uint8)))
    data = load(tmp_path)
    assert [len(record.objects) for record in data.records] == [2, 0]
    for value, instance in enumerate(data.records[0].objects, 1):
        np.testing.assert_array_equal(drawn(instance), ids_of() == value)
    assert data.class_names == ["object"]
    assert load(tmp_path, class_names=["person"]).class_names == ["person"]
    load_dataset(tmp_path)
    assert "masks as pictures\n  2 pictures, 1 of them" in capsys.readouterr().out


@pytest.mark.parametrize(("first", "second"), [(256, 512), (1, 257), (40_000, 65_535)])
def test_ids_of_16_bits(tmp_path, first, second):
    """Cut to 8 bits, these would be none, one, or others."""
    save_picture(tmp_path / "images" / "a.jpg")
    ids = ids_of(np.uint16, first, second)
    put(tmp_path / "masks" / "a.png", png_bytes(ids))
    found = load(tmp_path).records[0].objects
    assert len(found) == 2
    np.testing.assert_array_equal(drawn(found[1]), ids == second)


def test_touching_objects_keep_their_ids(tmp_path):
    save_picture(tmp_path / "images" / "a.jpg", 4, 6)
    ids = np.arange(1, 25, dtype=np.uint8).reshape(4, 6)
    put(tmp_path / "masks" / "a.png", png_bytes(ids))
    found = load(tmp_path).records[0].objects
    assert len(found) == 24 and all(o.area == 1 for o in found)
    assert found[8].box == (2, 1, 3, 2)


def test_of_a_palette_the_index_counts(tmp_path):
    save_picture(tmp_path / "images" / "a.jpg")
    put(tmp_path / "masks" / "a.png", png_bytes(ids_of(), [0] * 768))
    assert len(load(tmp_path).records[0].objects) == 2


def test_a_file_for_each_object(tmp_path):
    for name in ("p1", "p2"):
        save_picture(tmp_path / "train" / name / "images" / f"{name}.png")
    for value in (1, 2):
        mask = (ids_of() == value).astype(np.uint8) * 255
        put(tmp_path / "train" / "p1" / "masks" / f"{value}xyz.png", png_bytes(mask))
    (tmp_path / "train" / "p2" / "masks").mkdir()
    data = load(tmp_path)
    assert [len(record.objects) for record in data.records] == [2, 0]
    np.testing.assert_array_equal(drawn(data.records[0].objects[1]), ids_of() == 2)
    assert len(load(tmp_path / "train")) == 2


def test_a_folder_of_objects_for_each_picture(tmp_path):
    save_picture(tmp_path / "images" / "a.jpg")
    save_picture(tmp_path / "images" / "b.jpg")
    rgba = np.zeros((60, 80, 4), np.uint8)
    rgba[..., :3] = 255  # White all over; only the alpha tells.
    rgba[5:9, 5:9, 3] = 255
    put(tmp_path / "masks" / "a" / "0.png", png_bytes(rgba))
    put(tmp_path / "masks" / "a" / "1.png", png_bytes(np.zeros((60, 80), np.uint8)))
    data = load(tmp_path, "masks/a/1.png: mask is empty", "images/b.jpg: picture has no mask")
    assert [o.box for o in data.records[0].objects] == [(5, 5, 9, 9)]


def test_the_nuclei_in_that_layout(shared, tmp_path):
    """Real outlines, written as a file for each object, come back as they were."""
    from pycocotools import mask as coco_mask

    from keras_maskrcnn.data import load_coco

    folder = shared / "data" / "nuclei"
    plain = load_coco(folder / "instances_val.json", folder / "images")
    for record in plain.records[:3]:
        name = record.path.rsplit("/", 1)[1].removesuffix(".png")
        place = tmp_path / name
        save_picture(place / "images" / f"{name}.png", record.height, record.width)
        for number, instance in enumerate(record.objects):
            bits = coco_mask.decode(dict(outline_of(instance)))
            put(place / "masks" / f"{number:04d}.png", png_bytes(bits * np.uint8(255)))
    data = load(tmp_path)
    by_name = {r.path.rsplit("/", 1)[1]: r for r in plain.records}
    for record in data.records:
        others = by_name[record.path.rsplit("/", 1)[1]].objects
        assert len(record.objects) == len(others)
        for one, other in zip(record.objects, others, strict=True):
            np.testing.assert_array_equal(
                coco_mask.decode(outline_of(one)), coco_mask.decode(dict(outline_of(other)))
            )


def test_what_cannot_be_used_is_named(tmp_path):
    jpeg = io.BytesIO()
    Image.fromarray(ids_of()).save(jpeg, "JPEG")
    large = io.BytesIO()
    Image.new("1", (MAX_PIXELS // 1000, 1001)).save(large, "PNG")
    files = {
        "a": png_bytes(ids_of()),
        "b": jpeg.getvalue(),
        "c": png_bytes(np.stack([ids_of()] * 3, axis=-1)),
        "d": png_bytes(ids_of()[:, :70]),
        "e": png_bytes(ids_of(first=255, second=255)),
        "f": png_bytes(ids_of())[:80],
        "g": large.getvalue(),
        "h": b"",
        "i": png_bytes(ids_of().astype(bool)),
    }
    for name, content in files.items():
        save_picture(tmp_path / "images" / f"{name}.jpg")
        put(tmp_path / "masks" / f"{name}.png", content)
    put(tmp_path / "masks" / "z.png", files["a"])
    no_ids = "mask has one value alone for what is not background, so no ids"
    save_picture(tmp_path / "images" / "k.jpg")
    for name in ("k", "k_mask"):
        put(tmp_path / "masks" / f"{name}.png", files["a"])
    data = load(
        tmp_path,
        "images/b.jpg: mask is no PNG, so that its values are not exact (JPEG)",
        "images/c.jpg: mask has 3 channels, so that its values are no ids",
        "images/d.jpg: mask is not of its picture's size (60 x 70, not 60 x 80)",
        f"images/e.jpg: {no_ids}",
        "images/f.jpg: mask cannot be decoded",
        "images/g.jpg: mask cannot be read",
        "images/h.jpg: mask cannot be read",
        f"images/i.jpg: {no_ids}",
        "images/k.jpg: picture has several masks of ids",
        "masks/z.png: mask is of no picture",
    )
    # A picture whose mask cannot be read is not one without objects.
    assert len(data) == 1
    assert len(data.records[0].objects) == 2


def write_cityscapes(folder, split="train", name="aachen_000000_000019", **values):
    ids = np.full((60, 80), 7, np.uint16)  # Road.
    for number, value in enumerate(values.values()):
        ids[10:20, 15 * number : 15 * number + 10] = value
    scene = folder / "gtFine" / split / "aachen"
    put(scene / f"{name}_gtFine_instanceIds.png", png_bytes(ids))
    put(scene / f"{name}_gtFine_labelIds.png", png_bytes(np.minimum(ids, 33).astype(np.uint8)))
    save_picture(folder / "leftImg8bit" / split / "aachen" / f"{name}_leftImg8bit.png")


def test_cityscapes_values(tmp_path):
    write_cityscapes(tmp_path, car=26001, rider=25000, group=24, truck=27012, trailer=30001)
    write_cityscapes(tmp_path, "val", "bonn_000000_000019")
    assert dataset_splits(tmp_path) == ["train", "val"]
    data = load(tmp_path, split="train")
    (record,) = data.records
    named = {data.class_names[o.category]: o.box for o in record.objects}
    expected = {"car": (0, 10, 10, 20), "rider": (15, 10, 25, 20), "truck": (45, 10, 55, 20)}
    assert named == expected
    # Less than 1000 of a class of things: a group, which is no single object.
    (group,) = record.crowds
    assert (data.class_names[group.category], group.box) == ("person", (30, 10, 40, 20))
    assert data.category_ids == [24, 25, 26, 27, 28, 31, 32, 33]
    assert record.path.endswith("aachen_000000_000019_leftImg8bit.png")
    assert [len(r.instances) for r in load(tmp_path, split="val").records] == [0]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32])
def test_ids_of_a_tiff(tmp_path, kind):
    """As microscopes' tools write them, with more than 255 objects."""
    ids = np.zeros((60, 80), kind)
    ids[5:25, 10:30], ids[30:50, 40:70] = 7, 120 if kind == np.uint8 else 700
    for folder, values in (("images", np.zeros((60, 80), np.uint8)), ("masks", ids)):
        (tmp_path / folder).mkdir()
        tifffile.imwrite(tmp_path / folder / "a.tif", values)
    (record,) = load(tmp_path).records
    assert [o.box for o in record.objects] == [(10, 5, 30, 25), (40, 30, 70, 50)]
    tifffile.imwrite(tmp_path / "masks" / "a.tif", ids.astype(np.float32))
    with pytest.raises(ValueError, match="expected integers. Received: values of type float32"):
        load_dataset(tmp_path)

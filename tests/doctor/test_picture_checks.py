"""Each check of pictures finds its fault, and nothing in the same data without it."""

import numpy as np
import pytest
import tifffile
from doctor_data import data_of, examined, findings, pixels, record, save, sound, thing
from format_files import ORIENTATION
from PIL import Image

from keras_maskrcnn.data import picture_files
from keras_maskrcnn.data.readable import leave_out_unreadable
from keras_maskrcnn.doctor import pictures
from keras_maskrcnn.doctor.checks.duplicates import difference_hash
from keras_maskrcnn.doctor.pictures import picture_facts
from keras_maskrcnn.images.pixels import PixelFormat


def found(tmp_path, *records, kind):
    return findings(examined(data_of([*sound(tmp_path), *records])), kind)


def test_unreadable_pictures_are_those_that_training_leaves_out(tmp_path):
    whole = save(tmp_path / "whole.jpg", pixels(90))
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(whole.read_bytes()[:-400])
    text = tmp_path / "text.png"
    text.write_text("no picture")
    # Pillow reads ICO, which training does not.
    icon = save(tmp_path / "a.ico", pixels(91))
    paths = [whole, cut, text, icon, tmp_path / "missing.png"]
    records = [record(50 + k, path, [thing(k)]) for k, path in enumerate(paths)]
    lines = found(tmp_path, *records, kind="unreadable_picture")
    assert [line.pictures[0].image_id for line in lines] == [51, 52, 53, 54]
    assert "cut.jpg" in lines[0].words
    left = leave_out_unreadable(data_of(records))
    assert [r.image_id for r in left.records] == [50]


def test_sizes_and_orientations(tmp_path):
    tall = save(tmp_path / "tall.png", pixels(91, 80, 60))
    assert found(tmp_path, record(50, tall, size=(80, 60)), kind="size_conflict") == []
    (finding,) = found(tmp_path, record(50, tall, size=(60, 80)), kind="size_conflict")
    numbers = {"annotated_height": 60, "annotated_width": 80, "height": 80, "width": 60}
    assert finding.numbers == numbers | {"orientation": 1}
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    turned = save(tmp_path / "turned.jpg", pixels(92, 80, 60), exif=exif)
    (finding,) = found(tmp_path, record(50, turned, size=(80, 60)), kind="size_conflict")
    upright = {"annotated_height": 80, "annotated_width": 60, "height": 60, "width": 80}
    assert finding.numbers == upright | {"orientation": 6}
    (finding,) = found(tmp_path, record(50, turned, size=(60, 80)), kind="exif_orientation")
    assert finding.numbers["orientation"] == 6
    assert found(tmp_path, record(50, tall, size=(80, 60)), kind="exif_orientation") == []
    # Half a turn does not change the sides: another size is another picture.
    exif[ORIENTATION] = 3
    half = save(tmp_path / "half.jpg", pixels(93, 80, 60), exif=exif)
    assert len(found(tmp_path, record(50, half, size=(60, 80)), kind="size_conflict")) == 1


def test_the_same_file_twice(tmp_path):
    one = save(tmp_path / "a" / "one.png", pixels(70))
    same = save(tmp_path / "b" / "same.png", pixels(70))
    other = save(tmp_path / "b" / "other.png", pixels(71))
    rich = record(51, same, [thing(1), thing(2, (50, 20, 70, 40))])
    (finding,) = found(tmp_path, record(50, one, [thing(3)]), rich, kind="identical_pictures")
    assert [place.image_id for place in finding.pictures] == [51, 50]  # The one with more objects.
    assert found(tmp_path, record(50, one), record(51, other), kind="identical_pictures") == []
    assert found(tmp_path, record(50, one), rich, kind="similar_pictures") == []


def test_leakage_between_splits(tmp_path):
    train, val = sound(tmp_path / "train"), sound(tmp_path / "val", first=20)
    report = examined((data_of(train), data_of(val)))
    assert report.findings == ()
    copy = save(tmp_path / "val" / "copy.png", pixels(3))
    report = examined((data_of(train), data_of([*val, record(40, copy, [thing(9)])])))
    (finding,) = report.findings
    assert finding.kind == "identical_in_splits"
    assert [(p.split, p.image_id) for p in finding.pictures] == [("val", 40), ("train", 3)]
    large = Image.fromarray(pixels(4)).resize((160, 120), Image.Resampling.BICUBIC)
    near = save(tmp_path / "val" / "near.jpg", np.asarray(large), quality=60)
    picture = record(41, near, [thing(9, (20, 20, 84, 84))], size=(120, 160))
    report = examined((data_of(train), data_of([*val, picture])))
    (finding,) = report.findings
    assert finding.kind == "similar_in_splits"
    assert [(p.split, p.image_id) for p in finding.pictures] == [("val", 41), ("train", 4)]


def test_copies_that_were_compressed_look_alike(tmp_path):
    jpeg = save(tmp_path / "copy.jpg", pixels(5), quality=50)
    (finding,) = found(tmp_path, record(50, jpeg, [thing(1)]), kind="similar_pictures")
    assert {place.image_id for place in finding.pictures} == {5, 50}
    mirrored = save(tmp_path / "mirrored.png", pixels(5)[:, ::-1].copy())
    assert found(tmp_path, record(50, mirrored), kind="similar_pictures") == []


def test_pictures_of_like_brightness_do_not_look_alike(tmp_path):
    """Columns that are lighter and darker in turn, by 4 levels: all bits of the hash differ."""
    rows = np.linspace(20, 200, 80).astype(np.uint8)[:, None, None].repeat(3, axis=2)
    places = []
    for key in range(2):
        column = 4 * ((np.arange(90) // 10 + key) % 2).astype(np.uint8)
        image = rows + column[None, :, None]
        path = save(tmp_path / f"rows{key}.png", image)
        places.append(record(50 + key, path, [thing(key)], size=(80, 90)))
    assert found(tmp_path, *places, kind="similar_pictures") == []


def test_plain_backgrounds_do_not_look_alike(tmp_path):
    places = []
    for key in range(2):
        image = np.full((60, 80, 3), 120, np.uint8)
        image[10:14, 30 * key + 5 : 30 * key + 9] = 0
        places.append(record(50 + key, save(tmp_path / f"plain{key}.png", image), [thing(key)]))
    assert found(tmp_path, *places, kind="similar_pictures") == []


def test_difference_hash_by_hand():
    small = np.zeros((8, 9, 3), np.uint8)
    assert difference_hash(small) == 0
    small[0, 1:] = 7  # Lighter than its left neighbour at one place alone: the first.
    assert difference_hash(small) == 1 << 63
    small[7, 8] = 1
    assert difference_hash(small) == (1 << 63) + 1


@pytest.mark.parametrize("value", [0, 255, (0, 0, 255)])
def test_blank_pictures(tmp_path, value):
    image = np.full((60, 80, 3), value, np.uint8)
    image[0, 0] ^= 1
    blank = record(50, save(tmp_path / "blank.png", image), [thing(1)])
    (finding,) = found(tmp_path, blank, kind="blank_picture")
    assert finding.numbers["high"] == int(image.max())
    image[:30] = 128
    fine = record(50, save(tmp_path / "fine.png", image), [thing(1)])
    assert found(tmp_path, fine, kind="blank_picture") == []


def test_low_contrast(tmp_path):
    """Levels 100 to 131 lie 31 apart, 100 to 132 do not."""
    for top, count in ((131, 1), (132, 0)):
        image = np.where(pixels(95) > 127, top, 100).astype(np.uint8)
        image[0, :4] = 255  # Less than a hundredth of all.
        flat = record(50, save(tmp_path / "flat.png", image), [thing(1)])
        lines = found(tmp_path, flat, kind="low_contrast")
        assert [line.numbers["spread"] for line in lines] == [31] * count


def test_grey_among_coloured(tmp_path):
    grey = pixels(96)[..., :1].repeat(3, axis=2)
    place = record(50, save(tmp_path / "grey.png", grey), [thing(1)])
    (finding,) = found(tmp_path, place, kind="grey_and_colour")
    assert finding.numbers == {"grey": 1, "pictures": 11}
    assert found(tmp_path, kind="grey_and_colour") == []
    assert findings(examined(data_of([place])), "grey_and_colour") == []


def test_facts_of_a_picture_by_hand(tmp_path):
    image = np.zeros((2, 4, 3), np.uint8)
    image[..., 1] = [[10, 10, 20, 20], [10, 10, 20, 20]]
    facts = picture_facts(str(save(tmp_path / "a.png", image)))
    assert facts.size == (2, 4) and facts.problem == "" and not facts.is_grey
    assert (facts.low, facts.high, facts.spread) == (0, 20, 10)
    np.testing.assert_allclose(facts.mean, [0, 15, 0])
    np.testing.assert_allclose(facts.square, [0, 250, 0])
    assert picture_facts(str(tmp_path / "none.png")).size is None


@pytest.mark.parametrize("name", ["a.npy", "a.tif", "grey.tif", "deep.tif", "a.svs"])
def test_a_picture_tells_part_by_part_what_it_tells_as_a_whole(tmp_path, name, monkeypatch):
    path, random = tmp_path / name, np.random.default_rng(0)
    values, channels = random.integers(20, 200, (600, 90, 3), dtype="uint8"), PixelFormat()
    values[300:] //= 2
    if name == "grey.tif":
        values = np.repeat(values[..., :1], 3, axis=2)
    if name == "deep.tif":
        values = random.integers(0, 4096, (600, 90, 5)).astype("uint16")
        channels = PixelFormat(5, (0, 4095))
    if name == "a.npy":
        np.save(path, values)
    else:
        photometric = "minisblack" if name == "deep.tif" else "rgb"
        tifffile.imwrite(path, values, photometric=photometric, planarconfig="contig")
    whole = picture_facts(str(path), channels)
    monkeypatch.setattr(pictures, "open_picture_file", lambda path: pytest.fail("read as a whole"))
    parts = picture_facts(str(path), channels, by_parts=True)
    np.testing.assert_allclose(parts.small.astype(int), whole.small, atol=1)
    for field in ("mean", "square"):
        np.testing.assert_allclose(getattr(parts, field), getattr(whole, field), rtol=1e-6)
    for field in ("problem", "size", "orientation", "digest", "low", "high", "spread", "is_grey"):
        assert getattr(parts, field) == getattr(whole, field), field
    assert whole.is_grey == (name == "grey.tif") and whole.spread > 100


def test_in_tiles_large_pictures_are_usable(tmp_path, monkeypatch):
    monkeypatch.setattr(picture_files, "MAX_PIXELS", 4900)
    good, other, cut, tiny, jpeg = (
        tmp_path / name for name in ("a.npy", "b.npy", "c.tif", "d.npy", "e.jpg")
    )
    for number, path in enumerate((good, other)):
        np.save(path, pixels(70 + number, 70, 80))
    tifffile.imwrite(cut, pixels(72, 70, 80), photometric="rgb")
    cut.write_bytes(cut.read_bytes()[:-400])
    np.save(tiny, pixels(73, 4, 60))  # Of fewer rows than its small picture.
    save(jpeg, pixels(74, 70, 80))
    sizes = [(70, 80), (80, 70), (70, 80), (4, 60), (70, 80)]
    paths = (good, other, cut, tiny, jpeg)
    records = [
        record(50 + k, path, [thing(k, (0, 0, 4, 4))], size=size)
        for k, (path, size) in enumerate(zip(paths, sizes, strict=True))
    ]
    data = data_of([*sound(tmp_path), *records])

    def told(**options):
        report, kinds = examined(data, **options), ("unreadable_picture", "size_conflict")
        return [
            (f.kind, place.image_id)
            for f in report.findings
            for place in f.pictures
            if f.kind in kinds
        ]

    # As in training: of JPEG no parts are read, and without tiles all are decoded as a whole.
    unreadable = [("unreadable_picture", image_id) for image_id in (50, 51, 52, 54)]
    assert told() == unreadable
    expected = [("unreadable_picture", 52), ("unreadable_picture", 54), ("size_conflict", 51)]
    assert told(tile=32) == expected
    left = leave_out_unreadable(data, by_parts=True)
    assert [r.image_id for r in left.records if r.image_id >= 50] == [50, 53]

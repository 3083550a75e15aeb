"""CVAT XML 1.1 of pictures and videos."""

import numpy as np
import pytest
from format_files import drawn, load, outline_of, save_picture

from keras_maskrcnn.data import load_dataset

META = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><labels>
    <label><name>dog</name><color>#fff</color><type>any</type></label>
    <label><name>cat</name></label>
    <label><name>nose</name><parent>cat</parent></label>
  </labels><original_size><width>80</width><height>60</height></original_size></task></meta>
"""
POLYGON = '<polygon label="cat" points="10.00,10.00;30.50,12.25;20.00,40.00" z_order="0"/>'


def image(*shapes, number=0, name="a.jpg", size='width="80" height="60"'):
    return f'<image id="{number}" name="{name}" {size}>{"".join(shapes)}</image>'


def write(folder, *parts, meta=META, name="annotations.xml"):
    save_picture(folder / "images" / "a.jpg")
    (folder / name).write_text(f"{meta}{''.join(parts)}</annotations>")
    return folder / name


def objects(data):
    return data.records[0].objects


def test_polygons_keep_their_vertices(tmp_path, capsys):
    save_picture(tmp_path / "images" / "b.jpg")
    write(tmp_path, image(POLYGON), image(number=1, name="b.jpg"))
    data = load(tmp_path)
    # The order of the labels; the points of a skeleton are no classes.
    assert data.class_names == ["dog", "cat"]
    assert [len(record.objects) for record in data.records] == [1, 0]
    assert outline_of(objects(data)[0]) == [[10, 10, 30.5, 12.25, 20, 40]]
    assert objects(data)[0].category == 1
    load_dataset(tmp_path)
    assert "CVAT XML 1.1\n  2 pictures" in capsys.readouterr().out


def test_masks_are_run_lengths_row_by_row_within_their_crop(tmp_path):
    # Read column by column, as COCO's are, this would be another shape.
    bits = np.array([[0, 1, 1, 1], [1, 0, 0, 0], [0, 0, 1, 1]], np.uint8)
    shape = '<mask label="cat" rle="1, 4, 5, 2" left="20" top="30" width="4" height="3"/>'
    full = '<mask label="dog" rle="0, 6" left="78" top="58" width="3" height="2"/>'
    write(tmp_path, image(shape, full))
    cat, dog = objects(load(tmp_path))
    expected = np.zeros((60, 80), np.uint8)
    expected[30:33, 20:24] = bits
    np.testing.assert_array_equal(drawn(cat), expected)
    assert (cat.box, cat.area) == ((20, 30, 24, 33), 6)
    assert (dog.box, dog.area) == ((78, 58, 80, 60), 4)  # It reaches out of the picture.


def test_boxes_and_ellipses_are_turned_clockwise(tmp_path):
    box = '<box label="cat" xtl="20" ytl="20" xbr="40" ybr="30"{}/>'
    oval = '<ellipse label="cat" cx="40" cy="30" rx="20" ry="5"{}/>'
    turned = ' rotation="90.0"'
    slanted = ' rotation="30"'
    shapes = (box.format(""), box.format(turned), box.format(slanted))
    write(tmp_path, image(*shapes, oval.format(""), oval.format(turned)))
    upright, quarter, part, lying, standing = objects(load(tmp_path))
    assert outline_of(upright) == [[20, 20, 40, 20, 40, 30, 20, 30]]
    np.testing.assert_allclose(quarter.box, (25, 15, 35, 35), atol=1e-9)
    # Worked by hand: the top right corner, 10 and -5 from the centre, by 30 degrees.
    cos, sin = np.cos(np.pi / 6), 0.5
    corner = (30 + 10 * cos + 5 * sin, 25 + 10 * sin - 5 * cos)
    np.testing.assert_allclose(outline_of(part)[0][2:4], corner)
    assert part.area == pytest.approx(200)
    np.testing.assert_allclose(lying.box, (20, 25, 60, 35), atol=0.05)
    np.testing.assert_allclose(standing.box, (35, 10, 45, 50), atol=0.05)


def test_groups_are_parts_of_one_object(tmp_path):
    shapes = [
        POLYGON.replace("/>", f' group_id="{group}"/>').replace("cat", label)
        for group, label in ((1, "cat"), (1, "cat"), (2, "cat"), (1, "dog"))
    ]
    mask = '<mask label="cat" rle="0,4" left="70" top="50" width="2" height="2" group_id="2"/>'
    write(tmp_path, image(*shapes, POLYGON, POLYGON, mask))
    found = objects(load(tmp_path))
    assert len(found) == 5
    assert len(outline_of(found[0])) == 2
    assert drawn(found[1])[50:52, 70:72].all() and drawn(found[1])[20, 20]


def test_tracks_by_frame_without_those_outside(tmp_path):
    for frame in (0, 1, 2, 4):
        save_picture(tmp_path / "images" / f"frame_{frame:06d}.PNG")
    box = '<box frame="{}" outside="{}" keyframe="1" xtl="1" ytl="2" xbr="{}" ybr="9"/>'
    track = '<track id="{}" label="cat" source="manual">{}</track>'
    first = "".join(box.format(frame, outside, 10 + frame) for frame, outside in enumerate("0011"))
    second = box.format(1, 0, 30) + box.format(3, 0, 30)
    file = write(tmp_path, track.format(0, first), track.format(1, second))
    (tmp_path / "images" / "a.jpg").unlink()
    data = load(file, "annotations.xml, frame 3: picture is missing (frame_000003 in")
    assert data.warnings[0].endswith("and with it its 1 annotations")
    boxes = [[o.box for o in record.objects] for record in data.records]
    assert boxes == [[(1, 2, 10, 9)], [(1, 2, 11, 9), (1, 2, 30, 9)], [], []]


def test_no_entity_is_expanded_and_nothing_is_fetched(tmp_path):
    entities = ('[<!ENTITY a "aa">]', '[<!ENTITY a SYSTEM "file:///x">]', 'SYSTEM "http://x/y.dtd"')
    for entity in entities:
        meta = META.replace("<annotations>", f"<!DOCTYPE x {entity}><annotations>")
        label = "&a;" if "ENTITY" in entity else "cat"
        file = write(tmp_path, image(POLYGON.replace("cat", label)), meta=meta)
        with pytest.raises(ValueError, match=r"annotations\.xml: expected XML without a document"):
            load_dataset(file)
    file.write_text("<annotations><image></annotations>")
    with pytest.raises(ValueError, match=r"annotations\.xml is not valid XML: mismatched tag"):
        load_dataset(file)


def test_pictures_are_found_by_their_end(tmp_path):
    save_picture(tmp_path / "photos" / "sub" / "b.jpg")
    write(tmp_path, image(POLYGON, name="job/sub/b.jpg"), image(name="a.jpg"))
    assert load(tmp_path).records[0].path == str(tmp_path / "photos" / "sub" / "b.jpg")


def test_what_cannot_be_used_is_named(tmp_path):
    mask = '<mask label="cat" rle="{}" left="2" top="3" width="{}" height="3"/>'
    shapes = {
        '<polyline label="cat" points="1,1;2,2;3,1"/>': "shape is no region (polyline)",
        '<points label="cat" points="1,1"/>': "shape is no region (points)",
        '<polygon label="cat" points="1,1;2"/>': "points are no pairs",
        '<polygon label="cat" points="1,1;2,x;3,3"/>': "points: a word is no number",
        '<polygon label="cat" points="1,1;2,nan;3,3"/>': "points: a number is not finite",
        '<polygon label="cat"/>': "points are no pairs",
        '<box label="cat" xtl="1" ytl="1" xbr="5"/>': "box: a word is no number",
        '<ellipse label="cat" cx="9" cy="9" rx="0" ry="1"/>': "radius is not positive",
        mask.format("1,4", 4): "runs do not add up to the mask's size (3 x 4)",
        mask.format("-2,14", 4): "runs do not add up",
        mask.format("0,12,", 4): "rle: a word is no number",
        mask.format("12", 10**9): "mask has no pixels, or too many",
        mask.format("12", "9" * 5000): "mask: a number is not finite",
    }
    late = {
        '<polygon label="bird" points="1,1;5,1;5,5"/>': "unknown class (bird)",
        '<polygon points="1,1;5,1;5,5"/>': "object has no class",
        '<polygon label="cat" points="1,1;5,5"/>': "polygon has fewer than 3 points",
        mask.format("12", 4): "mask is empty",
    }
    pictures = {
        image(POLYGON, name="gone.jpg"): "image 0 (gone.jpg): picture is missing",
        image(POLYGON, number=3, size='width="80" height="61"'): "was annotated before",
        image(POLYGON, name="b.jpg", size='width="8" height="6"'): "are not the picture's (6 x 8",
        image(POLYGON, name="b.jpg", size='width="8"'): "size: a word is no number",
    }
    save_picture(tmp_path / "b.jpg")
    write(tmp_path, image(POLYGON, "<tag label='cat'/>", *shapes, *late), *pictures)
    every = {**shapes, **late}
    lines = [f"image 0 (a.jpg), shape {k}: {text}" for k, text in enumerate(every.values(), 1)]
    data = load(tmp_path, *lines, *pictures.values())
    assert len(objects(data)) == 1
    assert all(len(line) < 500 for line in data.warnings)

"""Photographs with an EXIF orientation: the same object at the same place, however it is stored."""

import json
from contextlib import nullcontext

import numpy as np
import pytest
from format_files import ORIENTATION, write_json
from PIL import Image

from keras_maskrcnn.data import ImageRecord, Instance, load_coco, load_dataset, save_dataset
from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.formats.frames import Frames
from keras_maskrcnn.data.formats.problems import ItemError
from keras_maskrcnn.data.reading import read_image
from keras_maskrcnn.images.orientation import upright
from keras_maskrcnn.outlines import Polygons

TURNED = range(2, 9)
HEIGHT, WIDTH = 60, 80
# The object is the white part: x 10..30, y 5..45, with a corner cut off; two keypoints.
TRIANGLE = [10.0, 5.0, 30.0, 5.0, 10.0, 45.0]
BOX = (10.0, 5.0, 30.0, 45.0)
FRAMES = ["upright", "stored"]


def picture():
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[5:45, 10:30] = 255
    pixels[..., 2] = np.arange(WIDTH)
    return pixels


def save_turned(path, orientation, pixels=None):
    """The picture stored so that it is upright as its orientation says; lossless where PNG."""
    pixels = picture() if pixels is None else pixels
    back = {6: 8, 8: 6}.get(orientation, orientation)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(upright(pixels, back)).save(path, exif=exif)
    return path


def stored_points(points, orientation, height=HEIGHT, width=WIDTH):
    """Where points of the upright picture lie in the stored one: EXIF's table, by hand."""
    x, y = np.array(points, float).reshape(-1, 2).T
    places = {
        1: (x, y),
        2: (width - x, y),
        3: (width - x, height - y),
        4: (x, height - y),
        5: (y, x),
        6: (y, width - x),
        7: (height - y, width - x),
        8: (height - y, x),
    }[orientation]
    return np.stack(places, axis=1)


def coco(path, orientations, frame, size=(HEIGHT, WIDTH), **info):
    """A COCO file of a picture of each orientation, whose object counts pixels of that frame."""
    images, annotations = [], []
    for key, orientation in enumerate(orientations, 1):
        save_turned(path.parent / f"{key}.png", orientation, picture()[: size[0], : size[1]])
        points = np.array([TRIANGLE]).reshape(-1, 2)
        joints = np.array([[12.5, 7.5], [11.5, 40.5]])
        height, width = size
        if frame == "stored":
            points = stored_points(points, orientation, *size)
            joints = stored_points(joints, orientation, *size)
            height, width = size[::-1] if orientation >= 5 else size
        low, high = points.min(0), points.max(0)
        images.append({"id": key, "file_name": f"{key}.png", "height": height, "width": width})
        marks = np.c_[joints - 0.5, [2, 1]]
        annotations.append(
            {
                "id": key,
                "image_id": key,
                "category_id": 1,
                "iscrowd": 0,
                "bbox": [*low, *(high - low)],
                "segmentation": [points.ravel().tolist()],
                "keypoints": marks.ravel().tolist(),
            }
        )
    category = {"id": 1, "name": "a", "keypoints": ["tip", "end"]}
    return write_json(
        path,
        {"images": images, "annotations": annotations, "categories": [category], "info": info},
    )


def check_triangle(record, size=(HEIGHT, WIDTH)):
    (instance,) = record.instances
    assert (record.height, record.width) == size
    assert read_image(record.path).shape[:2] == size
    np.testing.assert_allclose(instance.box, BOX)
    (points,) = instance.outline.to_coco(0, 0)
    np.testing.assert_allclose(
        sorted(zip(points[::2], points[1::2], strict=True)),
        sorted(zip(TRIANGLE[::2], TRIANGLE[1::2], strict=True)),
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_are_read_upright(tmp_path, orientation):
    path = save_turned(tmp_path / "a.png", orientation)
    np.testing.assert_array_equal(read_image(path), picture())
    jpeg = save_turned(tmp_path / "a.jpg", orientation)
    difference = read_image(jpeg).astype(int) - picture()
    assert np.abs(difference[8:40, 14:24]).max() < 40  # Within the object, away from its edges.


@pytest.mark.parametrize("frame", FRAMES)
def test_sizes_tell_which_pixels_are_counted(tmp_path, frame):
    """Those of 5 to 8 are told by their own sizes, and the others by theirs."""
    file = coco(tmp_path / "a.json", range(1, 9), frame)
    if frame == "stored":
        with pytest.warns(UserWarning, match="7 pictures, such as 2.png, .* as they are stored"):
            data = load_coco(file, tmp_path)
    else:
        data = load_coco(file, tmp_path, on_error="raise")
        assert data.notes == []
    for record in data.records:
        check_triangle(record)
        np.testing.assert_allclose(
            record.instances[0].keypoints, [[12.5, 7.5, 2], [11.5, 40.5, 1]], atol=1e-5
        )


@pytest.mark.parametrize("orientation", [2, 3, 4])
@pytest.mark.parametrize("said", ["auto", "upright", "stored"])
def test_sizes_that_tell_nothing(tmp_path, orientation, said):
    """It is said with the file's name, and read as the user says."""
    frame = "stored" if said == "stored" else "upright"
    file = coco(tmp_path / "a.json", [orientation, orientation], frame)
    if said == "auto":
        with pytest.warns(UserWarning, match="nothing tells .* of 2 pictures .* such as 1.png"):
            data = load_coco(file, tmp_path)
    else:
        with pytest.warns(UserWarning) if said == "stored" else nullcontext():
            data = load_coco(file, tmp_path, orientation=said)
    for record in data.records:
        check_triangle(record)


@pytest.mark.parametrize("orientation", [6, 8])
def test_a_square_picture(tmp_path, orientation):
    """Both frames have its size; another picture tells."""
    both = tmp_path / "both"
    file = coco(both / "a.json", [5], "stored")
    content = json.loads(file.read_text())
    file = coco(tmp_path / "square" / "a.json", [orientation], "stored", size=(60, 60))
    square = json.loads(file.read_text())
    square["images"][0] |= {"id": 2, "file_name": "2.png"}
    square["annotations"][0] |= {"id": 2, "image_id": 2}
    (tmp_path / "square" / "1.png").rename(both / "2.png")
    for part in ("images", "annotations"):
        content[part] += square[part]
    write_json(both / "a.json", content)
    with pytest.warns(UserWarning, match="2 pictures, such as 1.png"):
        first, second = load_coco(both / "a.json", both).records
    check_triangle(first)
    check_triangle(second, (60, 60))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("frame", FRAMES)
def test_the_training_batch(tmp_path, orientation, frame):
    """The object lies in the white part of the picture."""
    file = coco(tmp_path / "a.json", [orientation, 6], frame)
    with pytest.warns(UserWarning) if frame == "stored" else nullcontext():
        data = load_coco(file, tmp_path)
    images, targets = next(iter(data.batches(2, min_size=HEIGHT, max_size=WIDTH, size_divisor=1)))
    for image, box in zip(images.numpy(), targets["boxes"].numpy()[:, 0], strict=True):
        np.testing.assert_allclose(box, BOX)
        np.testing.assert_array_equal(image, picture())


@pytest.mark.parametrize("format", ["coco", "cvat", "label_studio", "labelme", "voc", "yolo"])
@pytest.mark.parametrize("orientation", TURNED)
def test_every_format(tmp_path, format, orientation):
    """What is written of an upright picture is read upright, whatever its sizes tell."""
    path = save_turned(tmp_path / "from" / "a.png", orientation)
    square = Polygons([[10.0, 5.0, 30.0, 5.0, 30.0, 45.0, 10.0, 45.0]])
    instance = Instance(0, BOX, square, False, None, 1)
    record = ImageRecord(1, str(path), HEIGHT, WIDTH, (instance,))
    saved = save_dataset(
        DetectionData([record], ["a"], [1]), tmp_path / "to", format, verbose=False
    )
    told = [line for line in saved.losses if "EXIF" in line]
    assert len(told) == (format in ("coco", "voc"))
    is_unsure = told and orientation < 5
    with pytest.warns(UserWarning, match="nothing tells") if is_unsure else nullcontext():
        (read,) = load_dataset(tmp_path / "to", format, verbose=False).records
    assert (read.height, read.width) == (HEIGHT, WIDTH)
    np.testing.assert_array_equal(read_image(read.path), picture())
    np.testing.assert_allclose(read.instances[0].box, BOX, atol=1e-9)


@pytest.mark.parametrize("orientation", TURNED)
def test_masks_tell_by_their_size(tmp_path, orientation):
    """A mask that is stored as its picture is turned with it."""
    save_turned(tmp_path / "images" / "a.png", orientation)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[5:45, 10:30] = 7
    back = {6: 8, 8: 6}.get(orientation, orientation)
    (tmp_path / "masks").mkdir()
    Image.fromarray(upright(mask, back)).save(tmp_path / "masks" / "a.png")
    with pytest.warns(UserWarning):
        data = load_dataset(tmp_path, "masks", orientation="stored", verbose=False)
    (instance,) = data.records[0].instances
    assert instance.box == BOX
    np.testing.assert_array_equal(instance.outline.draw_whole(HEIGHT, WIDTH) > 0, mask > 0)
    if orientation >= 5:
        with pytest.warns(UserWarning, match="as they are stored"):
            told = load_dataset(tmp_path, "masks", verbose=False)
        assert told.records[0].instances[0].box == BOX


@pytest.mark.parametrize("orientation", [6, 8])
def test_label_studio_stretches(tmp_path, orientation):
    """Trap of `formats.md` (Label Studio 6608): parts of the upright one, times stored sides."""
    file = coco(tmp_path / "a.json", [orientation], "upright", contributor="Label Studio")
    content = json.loads(file.read_text())
    content["images"][0] |= {"height": WIDTH, "width": HEIGHT}
    scale = np.array([HEIGHT / WIDTH, WIDTH / HEIGHT])
    entry = content["annotations"][0]
    entry["segmentation"] = [(np.reshape(TRIANGLE, (-1, 2)) * scale).ravel().tolist()]
    entry["bbox"] = (np.reshape([10.0, 5.0, 20.0, 40.0], (-1, 2)) * scale).ravel().tolist()
    del entry["keypoints"]
    write_json(file, content)
    with pytest.warns(UserWarning, match="as they are stored"):
        (record,) = load_coco(file, tmp_path).records
    check_triangle(record)


def test_sizes_of_neither(tmp_path):
    turned = str(save_turned(tmp_path / "turned.png", 6))
    frames = Frames()
    assert frames.size(turned) == (60, 80)
    assert frames.size(turned, annotated=(80, 60)) == (80, 60)
    with pytest.raises(ItemError, match="annotated height and width are not the") as error:
        frames.size(turned, annotated=(80, 61))
    assert "80 x 61" in error.value.details and "60 x 80 or 80 x 60" in error.value.details
    assert Frames("stored").size(turned) == (80, 60)
    with pytest.raises(ItemError, match="annotated height and width are not the picture's"):
        Frames("stored").size(turned, annotated=(60, 80))
    with pytest.raises(ItemError, match="annotated height and width are not the picture's"):
        Frames("upright").size(turned, annotated=(80, 60))
    with pytest.raises(ValueError, match="orientation must be one of .*'stored'"):
        Frames("stord")


def test_headers_of_any_length(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "big.png")
    assert Frames().size(str(tmp_path / "big.png"), annotated=(300, 400)) == (300, 400)
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    profile = bytes(200_000)  # Of colours: in four segments before the frame.
    Image.fromarray(pixels).save(tmp_path / "long.jpg", exif=exif, icc_profile=profile)
    assert Frames().size(str(tmp_path / "long.jpg")) == (400, 300)
    (tmp_path / "no.jpg").write_bytes(b"nothing")
    for name in ("no.jpg", "gone.jpg"):
        with pytest.raises(ItemError, match="picture cannot be read"):
            Frames().size(str(tmp_path / name))

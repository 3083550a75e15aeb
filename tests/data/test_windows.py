"""Windows of picture files: as of the whole picture, and of most files no more is read."""

import importlib.util
import json
import os
import threading

import numpy as np
import pytest
import tifffile
from helpers import run_python
from PIL import Image

from keras_maskrcnn.data import load_coco
from keras_maskrcnn.data import windows as windows_module
from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.readable import leave_out_unreadable
from keras_maskrcnn.data.reading import read_image
from keras_maskrcnn.data.records import ImageRecord
from keras_maskrcnn.data.windows import PictureWindows, check_windows, open_parts
from keras_maskrcnn.images.formats import named_format
from keras_maskrcnn.images.pixels import PixelFormat

SIZE = (97, 150)
WINDOW = (33, 7, 141, 90)
RGB = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype="uint8")
PLAIN = PixelFormat()


def record_of(path, size=SIZE, image_id=5):
    return ImageRecord(image_id, str(path), *size)


def write(folder, kind):
    path = folder / f"a.{kind.split()[0]}"
    if kind == "npy":
        np.save(path, RGB)
    elif kind == "npy of columns":
        np.save(path, np.asfortranarray(RGB))
    elif kind == "tif in tiles":
        tifffile.imwrite(path, RGB, photometric="rgb", tile=(32, 32), compression="zlib")
    elif kind == "tif in one strip":
        tifffile.imwrite(path, RGB, photometric="rgb", byteorder=">")
    elif kind == "tif in planes":
        planes = np.moveaxis(RGB, -1, 0)
        tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate")
    elif kind == "tif upside down":
        turned = (274, "H", 1, 3, True)  # The tag Orientation.
        tifffile.imwrite(path, RGB[::-1, ::-1], photometric="rgb", extratags=[turned])
    elif kind == "tif by LZW":
        Image.fromarray(RGB).save(path, compression="tiff_lzw")
    else:
        Image.fromarray(RGB).save(path)
    return path


KINDS = ("npy", "npy of columns", "tif in tiles", "tif in one strip", "tif in planes")
WHOLE = ("tif upside down", "tif by LZW", "png")
HAS_CODECS = importlib.util.find_spec("imagecodecs") is not None


@pytest.mark.parametrize("kind", KINDS + WHOLE)
@pytest.mark.parametrize("keeps_all", [False, True])
def test_as_of_the_whole(tmp_path, kind, keeps_all):
    path = write(tmp_path, kind)
    windows = PictureWindows(PLAIN, keeps_all=keeps_all)
    x1, y1, x2, y2 = WINDOW
    np.testing.assert_array_equal(windows.read(record_of(path), WINDOW), RGB[y1:y2, x1:x2])
    np.testing.assert_array_equal(read_image(path), RGB)
    in_parts = kind in KINDS or (kind == "tif by LZW" and HAS_CODECS)
    assert windows.bytes_of(record_of(path)) == (0 if in_parts else 97 * 150 * 3)
    if keeps_all:
        path.unlink()
        np.testing.assert_array_equal(windows.read(record_of(path), (0, 0, 150, 97)), RGB)


@pytest.mark.parametrize("kind", ["npy", "tif in one strip"])
def test_depth(tmp_path, kind):
    values = np.random.default_rng(1).integers(0, 4096, (*SIZE, 5)).astype(">u2")
    path = tmp_path / f"a.{kind[:3]}"
    if kind == "npy":
        np.save(path, values)
    else:
        tifffile.imwrite(path, values, photometric="minisblack", planarconfig="contig")
    pixels = PixelFormat(5, (0, 4095))
    x1, y1, x2, y2 = WINDOW
    found = PictureWindows(pixels).read(record_of(path), WINDOW)
    np.testing.assert_array_equal(found, read_image(path, pixels)[y1:y2, x1:x2])
    assert found.dtype == np.float32


@pytest.mark.parametrize("suffix", named_format("TIFF").suffixes)
def test_depth_by_any_name(tmp_path, suffix):
    """What a batch holds has all values that the file has."""
    values = np.random.default_rng(1).integers(0, 2**16, (32, 32, 3)).astype("uint16")
    path = tmp_path / f"a{suffix}"
    tifffile.imwrite(path, values, photometric="rgb")
    data = DetectionData([record_of(path, (32, 32))], ["a"], [1])
    ((images, _),) = data.batches(1, min_size=32, max_size=32)
    np.testing.assert_array_equal(images[0], read_image(path))
    assert len(np.unique(images)) > 1000


def test_a_page_for_each_channel_is_decoded_whole(tmp_path):
    values = np.random.default_rng(1).integers(0, 256, (5, *SIZE), dtype="uint8")
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for page in values:
            file.write(page, photometric="minisblack", contiguous=False, metadata=None)
    pixels = PixelFormat(5)
    found = PictureWindows(pixels).read(record_of(tmp_path / "a.tif"), (10, 20, 30, 40))
    np.testing.assert_array_equal(found, np.moveaxis(values, 0, -1)[20:40, 10:30])


def test_no_more_is_read(tmp_path):
    """Of files whose other pixels are damaged."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RGB, photometric="rgb", tile=(32, 32), compression="zlib")
    with tifffile.TiffFile(path) as file:
        # Of five tiles a row: the last of all.
        place, count = file.pages[0].dataoffsets[-1], file.pages[0].databytecounts[-1]
    content = bytearray(path.read_bytes())
    content[place : place + count] = b"\0" * count
    path.write_bytes(content)
    record = record_of(path)
    windows = PictureWindows(PLAIN)
    np.testing.assert_array_equal(windows.read(record, (0, 0, 128, 96)), RGB[:96, :128])
    expected = r"Image id 5: Cannot decode the picture .*a\.tif"
    with pytest.raises(ValueError, match=expected):
        windows.read(record, (100, 60, 150, 97))
    with pytest.raises(ValueError, match=expected):
        check_windows(record, PLAIN)


@pytest.mark.parametrize(("bits", "depth"), [(8, 1), (16, 4)])
def test_what_pictures_in_shards_take_is_known_without_opening_these(bits, depth):
    record = ImageRecord(1, "none-00000-of-00001.tfrecord@0+99/a.png", 20, 30, bits=bits)
    assert PictureWindows(PLAIN).bytes_of(record) == 20 * 30 * 3 * depth


def test_pictures_that_cannot_be_read(tmp_path):
    windows = PictureWindows(PLAIN)
    np.save(tmp_path / "a.npy", RGB)
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "cut.npy").write_bytes(content[:-1])
    (tmp_path / "long.npy").write_bytes(content + b"\0")
    (tmp_path / "none.tif").write_bytes(b"II*\0 nothing")
    (tmp_path / "head.tif").write_bytes(b"II*\0")
    Image.fromarray(RGB).save(tmp_path / "cut.tif")
    (tmp_path / "cut.tif").write_bytes((tmp_path / "cut.tif").read_bytes()[:9000])
    (tmp_path / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    np.save(tmp_path / "wide.npy", RGB[:, :100])
    names = ("cut.npy", "long.npy", "none.tif", "head.tif", "cut.tif", "cut.png", "wide.npy")
    names += ("missing.npy",)
    for name in names:
        for read in (windows.read, lambda r, w: check_windows(r, PLAIN)):
            with pytest.raises(ValueError, match=rf"Image id 5: .*{name}"):
                read(record_of(tmp_path / name), (0, 0, 150, 97))
        assert windows.bytes_of(record_of(tmp_path / name)) >= 0
    records = [record_of(tmp_path / name, image_id=n) for n, name in enumerate(("a.npy", *names))]
    found = leave_out_unreadable(DetectionData(records, ["a"], [1]), by_parts=True)
    assert [record.image_id for record in found.records] == [0]
    assert len(found.warnings) == len(names)


@pytest.mark.parametrize("options", [{"tile": (16, 16), "compression": "zlib"}, {}])
def test_a_tiff_file_that_is_broken_in_any_way_is_refused(tmp_path, options):
    path, record = tmp_path / "a.tif", record_of(tmp_path / "a.tif", (20, 30))
    tifffile.imwrite(path, RGB[:20, :30], photometric="rgb", **options)
    whole = path.read_bytes()
    broken = [whole[:length] for length in range(0, len(whole), 41)]
    for place in range(0, 260, 2):  # Header and tags.
        for value in (0, 255):
            broken.append(whole[:place] + bytes([value]) + whole[place + 1 :])
    windows, refused = PictureWindows(PLAIN), 0
    for content in broken:
        path.write_bytes(content)
        try:
            assert windows.read(record, (5, 5, 30, 20)).shape == (15, 25, 3)
        except ValueError as error:
            refused += 1
            assert "Image id 5: " in str(error) and str(path) in str(error)
    assert refused > len(broken) / 5


def test_too_large_to_be_decoded_whole(tmp_path, monkeypatch):
    """A file whose parts cannot be read says why; others are refused in the usual words."""
    windows, record = PictureWindows(PLAIN), record_of(write(tmp_path, "tif upside down"))
    monkeypatch.setattr(windows_module, "MAX_PIXELS", 1000)
    assert open_parts(write(tmp_path, "npy")) is not None
    with pytest.raises(ValueError, match=r"Image id 5: .*a\.tif .*orientation 3"):
        windows.read(record, WINDOW)
    monkeypatch.setattr("keras_maskrcnn.data.picture_files.MAX_PIXELS", 1000)
    with pytest.raises(ValueError, match=r"Image id 5: .*at most 1000 pixels.*a\.png"):
        windows.read(record_of(write(tmp_path, "png")), WINDOW)
    if not HAS_CODECS:
        with pytest.raises(ValueError, match=r"compressed by LZW, .*maskrcnn-keras\[tiff\]"):
            open_parts(write(tmp_path, "tif by LZW"))


def test_a_picture_is_decoded_once(tmp_path, monkeypatch):
    """By however many threads; those that were used last are kept, as far as they fit."""
    paths = []
    for number in range(4):
        Image.fromarray(RGB + np.uint8(number)).save(tmp_path / f"{number}.png")
        paths.append(record_of(tmp_path / f"{number}.png"))
    decoded = []

    def counting(record, pixels):
        decoded.append(record.path[-5])
        return read(record, pixels)

    read = windows_module.read_picture
    monkeypatch.setattr(windows_module, "read_picture", counting)
    monkeypatch.setattr(windows_module, "DECODED_BYTES", 2 * RGB.nbytes)
    windows = PictureWindows(PLAIN)
    threads = [
        threading.Thread(target=windows.read, args=(paths[n % 2], WINDOW)) for n in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(decoded) == ["0", "1"]
    for number in (0, 2, 0, 2, 3, 2, 1):
        x1, y1, x2, y2 = WINDOW
        expected = (RGB + np.uint8(number))[y1:y2, x1:x2]
        np.testing.assert_array_equal(windows.read(paths[number], WINDOW), expected)
        assert sum(entry.bytes for entry in windows._decoded.values()) <= 2 * RGB.nbytes
    assert decoded[2:] == ["2", "3", "1"]
    # One that is larger alone is kept, too.
    monkeypatch.setattr(windows_module, "DECODED_BYTES", 10)
    windows.read(paths[3], WINDOW), windows.read(paths[3], WINDOW)
    assert decoded[5:] == ["3"] and len(windows._decoded) == 1


def test_a_data_set_may_have_pictures_beyond_the_limit(tmp_path):
    """Where windows of them are read alone; others are left out, and told."""
    side = 10_100
    np.lib.format.open_memmap(tmp_path / "a.npy", "w+", "uint8", (side, side, 3)).flush()
    tifffile.memmap(
        tmp_path / "b.tif", shape=(side, side, 3), dtype="uint8", photometric="rgb"
    ).flush()
    images = [
        {"id": n, "file_name": name, "height": side, "width": side}
        for n, name in enumerate(("a.npy", "b.tif", "c.png"))
    ]
    box = {"category_id": 1, "bbox": [9000, 9000, 40, 40], "iscrowd": 0}
    entries = [{"id": n, "image_id": n, **box} for n in range(3)]
    content = {"images": images, "annotations": entries, "categories": [{"id": 1, "name": "a"}]}
    (tmp_path / "data.json").write_text(json.dumps(content))
    with pytest.warns(UserWarning, match="image id 2: picture has more than 100000000 pixels"):
        data = load_coco(tmp_path / "data.json", tmp_path)
    assert [record.image_id for record in data.records] == [0, 1]
    for record in data.records:
        assert PictureWindows(PLAIN).read(record, (9000, 9000, 9040, 9050)).shape == (50, 40, 3)
        # Whole, they are refused as ever.
        with pytest.raises(ValueError, match="at most"):
            read_image(record.path)


_MEMORY = """
import numpy as np, tifffile
from pathlib import Path
from process_memory import status_bytes
from keras_maskrcnn.data.detection_data import DetectionData
from keras_maskrcnn.data.records import ImageRecord, Instance

folder, side = Path(sys.argv[1]), 12_000
# 432 MB each, of which nothing but the header is on the disk.
np.lib.format.open_memmap(folder / "a.npy", "w+", "uint8", (side, side, 3)).flush()
tifffile.memmap(folder / "b.tif", shape=(side, side, 3), dtype="uint8", photometric="rgb").flush()
instances = [
    Instance(0, (x, x, x + 50.0, x + 50.0), None, False, None, x) for x in range(0, side - 50, 200)
]
records = [ImageRecord(n, str(folder / f), side, side, tuple(instances))
           for n, f in enumerate(("a.npy", "b.tif"))]
data = DetectionData(records, ["a"], [1])
small = data.batches(2, tile=512, shuffle=True, seed=0)
print(len(small), small.element_spec[1]["boxes"].shape[1])
next(iter(small))
before = status_bytes("VmRSS")
for number, (images, _) in enumerate(small):
    if number == 100:
        break
print((status_bytes("VmHWM") - before) >> 20)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads /proc")
def test_memory_is_that_of_crops(tmp_path):
    """Of two pictures of 144 megapixels, 200 crops of 512 x 512 are read."""
    lines = run_python(_MEMORY, tmp_path).splitlines()
    batches, slots = map(int, lines[-2].split())
    assert batches == 27 * 27 and slots <= 6
    assert int(lines[-1]) < 200

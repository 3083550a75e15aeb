"""Pyramids and files of a page for each channel: each size as it was written, and no more read."""

import numpy as np
import pytest
import tifffile

from keras_maskrcnn.data.reading import read_image
from keras_maskrcnn.images.pixels import PixelFormat
from keras_maskrcnn.images.tiff_parts import TiffParts
from keras_maskrcnn.inference.tiling import Tiling
from keras_maskrcnn.inference.tiling.overview import overview
from keras_maskrcnn.inference.tiling.pictures import LargePicture, Level, as_large_picture
from keras_maskrcnn.inference.tiling.predict import predict_tiled
from keras_maskrcnn.results import Detections

TILES = {"tile": (32, 32), "compression": "zlib"}
# Neither side is a multiple of 4: the last pixels of the smaller sizes stand for less.
RGB = np.random.default_rng(0).integers(0, 256, (263, 301, 3), dtype="uint8")
SMALL = [RGB[::part, ::part] for part in (1, 2, 4)]


def write_pyramid(path, sizes, kind, **options):
    """A file of all sizes, as overviews of GeoTIFF are, as OME-TIFF, or as a plain one."""
    with tifffile.TiffWriter(path, ome=kind == "ome") as file:
        for number, values in enumerate(sizes):
            more = {} if number else {"metadata": {"axes": options.pop("axes", "YXS")}}
            if kind != "pages":
                more["subifds"] = 0 if number else len(sizes) - 1
            file.write(values, subfiletype=int(number > 0), **TILES, **options, **more)


@pytest.mark.parametrize("kind", ["pages", "subifds", "ome"])
def test_each_size_is_read_as_it_was_written(kind, tmp_path):
    path = tmp_path / "a.tif"
    write_pyramid(path, SMALL, kind, photometric="rgb")
    large = as_large_picture(path, 0)
    assert large.shape == (263, 301)
    levels = [large.level(scale) for scale in (1, 0.5, 0.25)]
    assert [level.part for level in levels] == [1, 2, 4]
    for level, values in zip(levels, SMALL, strict=True):
        assert level.shape == values.shape[:2]
        height, width = level.shape
        for x1, y1, x2, y2 in [(0, 0, width, height), (30, 9, 71, 45), (width - 1, 0, width, 1)]:
            np.testing.assert_array_equal(level.read((x1, y1, x2, y2)), values[y1:y2, x1:x2])
    # Of sizes between, the one that need not be made larger.
    assert [large.level(scale).part for scale in (2, 0.7, 0.3, 0.1)] == [1, 1, 2, 4]


def test_sizes_that_do_not_fit_are_not_taken(tmp_path):
    path = tmp_path / "a.tif"
    write_pyramid(path, [RGB, RGB[:100, :130], RGB[::4, ::4]], "subifds", photometric="rgb")
    large = as_large_picture(path, 0)
    assert [level.part for level in large.smaller] == [4]


@pytest.mark.parametrize("channels", [2, 3, 5])
def test_ome_tiff_of_a_page_for_each_channel(channels, tmp_path):
    values = np.random.default_rng(1).integers(0, 4096, (channels, 70, 90)).astype("uint16")
    path = tmp_path / "a.ome.tif"
    sizes = [values, values[:, ::2, ::2]]
    write_pyramid(path, sizes, "ome", photometric="minisblack", axes="CYX")
    pixels = PixelFormat(channels, (0, 4095))
    whole = read_image(path, pixels)
    assert whole.shape == (70, 90, channels)
    np.testing.assert_array_equal(TiffParts(path, channels).read((0, 0, 90, 70)).T, values.mT)
    large = as_large_picture(path, 0, pixels)
    np.testing.assert_array_equal(large.read((5, 33, 80, 66)), whole[33:66, 5:80])
    small = large.level(0.5).read((1, 2, 40, 30))
    np.testing.assert_array_equal(small, whole[::2, ::2][2:30, 1:40])


def test_pages_that_may_be_pictures_are_no_channels(tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        for band in np.moveaxis(RGB, -1, 0):
            file.write(band, photometric="minisblack", metadata=None, **TILES)
    large = as_large_picture(path, 0)  # The first.
    np.testing.assert_array_equal(large.read((3, 4, 90, 60))[..., 1], RGB[4:60, 3:90, 0])
    with pytest.raises(ValueError, match="one page. Received: 3 pages"):
        read_image(path)


@pytest.mark.parametrize("options", [{"tile": (32, 48)}, {"rowsperstrip": 10}, {}])
def test_planes_within_a_page(options, tmp_path):
    """As GDAL writes bands by default."""
    values = np.random.default_rng(1).integers(0, 256, (5, 97, 150), dtype="uint8")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values, photometric="minisblack", planarconfig="separate", **options)
    parts = TiffParts(path, 5)
    for x1, y1, x2, y2 in [(0, 0, 150, 97), (33, 7, 141, 90)]:
        wanted = np.moveaxis(values[:, y1:y2, x1:x2], 0, -1)
        np.testing.assert_array_equal(parts.read((x1, y1, x2, y2)), wanted)


def test_only_what_is_asked_for_is_read(tmp_path, monkeypatch):
    path = tmp_path / "a.tif"
    noise = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), dtype="uint8")
    write_pyramid(path, [noise, noise[::4, ::4]], "subifds", photometric="rgb")
    parts = TiffParts(path)
    count = 0
    read = tifffile.FileHandle.read

    def counted(self, size=-1):
        nonlocal count
        content = read(self, size)
        count += len(content)
        return content

    monkeypatch.setattr(tifffile.FileHandle, "read", counted)
    tile = 32 * 32 * 3
    parts.levels[0].read((100, 100, 160, 160))  # Two by two tiles.
    assert 4 * tile <= count < 5 * tile < path.stat().st_size / 100
    count = 0
    parts.levels[1].read((0, 0, 256, 256))  # All of the picture, at a quarter.
    assert 64 * tile <= count < 70 * tile < path.stat().st_size / 12


def test_arrays_that_are_read_when_they_are_sliced():
    """As those of zarr are."""

    sizes = []

    class Stored:
        shape, dtype = RGB.shape, RGB.dtype

        def __getitem__(self, place):
            part = RGB[place]
            sizes.append(part.size)
            return part

    large = as_large_picture(Stored(), 0)
    np.testing.assert_array_equal(large.read((5, 6, 30, 40)), RGB[6:40, 5:30])
    assert sizes == [34 * 25 * 3]


def find_squares(pictures, scale, sizes):
    """The bounds of each value, in pixels of the picture; the mask is all of the box."""
    results = []
    for picture, (height, width) in zip(pictures, sizes, strict=True):
        assert scale == 1 and (height, width) == (4 * picture.shape[0], 4 * picture.shape[1])
        values = np.unique(picture)[1:]
        places = [np.nonzero(picture[..., 0] == value) for value in values]
        boxes = [[x.min(), y.min(), x.max() + 1, y.max() + 1] for y, x in places]
        count = len(boxes)
        results.append(
            Detections(
                np.reshape(boxes, (-1, 4)) * 4.0,
                np.zeros(count, int),
                np.full(count, 0.9),
                np.ones((count, 28, 28), "float32"),
                (height, width),
            )
        )
    return results


@pytest.mark.parametrize("sides", [(400, 480), (398, 477), (401, 483)])
def test_objects_of_a_smaller_size_lie_where_they_do_in_the_picture(sides):
    """Found in the fourth part, in which each square is whole pixels."""
    values = np.zeros((*sides, 3), "uint8")
    boxes = [(4, 8, 40, 60), (120, 88, 204, 172), (300, 200, 316, 380), (440, 300, 468, 392)]
    for number, (x1, y1, x2, y2) in enumerate(boxes, 1):
        values[y1:y2, x1:x2] = number
    quarter = values[::4, ::4]
    reads = []

    def of(array, name):
        def read(window):
            reads.append(name)
            x1, y1, x2, y2 = window
            return array[y1:y2, x1:x2]

        return read

    level = Level(quarter.shape[:2], 4, of(quarter, "quarter"))
    picture = LargePicture(sides, of(values, "whole"), (level,))
    tiling = Tiling(32, 12, (0.25,))
    found = predict_tiled(find_squares, picture, tiling, ("a",), batch_size=1)
    assert set(reads) == {"quarter"} and len(reads) > 12
    assert sorted(map(tuple, found.boxes.tolist())) == boxes
    for box, mask in zip(found.boxes.astype(int).tolist(), found.masks, strict=True):
        x1, y1, x2, y2 = box
        inside = mask[y1:y2, x1:x2]
        # Interpolation rounds its corners.
        assert mask.sum() == inside.sum() and inside[2:-2, 2:-2].all() and inside.mean() > 0.97
    # What is drawn is read from there, too.
    reads.clear()
    image, small = overview(picture, found, PixelFormat(), longest=80)
    assert set(reads) == {"quarter"} and image.shape[1] == quarter.shape[1] // 2
    x1, y1, x2, y2 = np.round(small.boxes[0]).astype(int)
    assert (image[y1 + 1 : y2 - 1, x1 + 1 : x2 - 1] > 0).all()


@pytest.mark.parametrize(("stored", "photometric"), [("ycbcr", "YCBCR"), ("rgb", "RGB")])
def test_whole_slides_of_aperio(stored, photometric, tmp_path):
    """JPEG tiles of luma and colour, or of RGB; levels are pages, between them a thumbnail."""
    pytest.importorskip("imagecodecs", reason="reads and writes JPEG within TIFF")
    ramp = np.linspace(0, 255, 512, dtype="uint8")
    values = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None], np.uint8(90)), axis=-1)
    path = tmp_path / "a.svs"
    options = {"compression": "jpeg", "photometric": "rgb", "metadata": None}
    options["compressionargs"] = {"level": 95, "outcolorspace": stored}
    with tifffile.TiffWriter(path) as file:
        description = "Aperio Image Library v1\n512x512 [0,0 512x512] (64x64) JPEG/RGB Q=90"
        file.write(values, tile=(64, 64), description=description, **options)
        file.write(values[::8, ::8].copy(), description="Aperio thumbnail", **options)
        small = values[::4, ::4].copy()
        file.write(small, tile=(64, 64), description=f"{description} level", **options)
    with tifffile.TiffFile(path) as file:
        assert file.is_svs and file.pages[0].photometric.name == photometric
    large = as_large_picture(path, 0)
    assert [level.part for level in large.smaller] == [4]
    difference = large.read((70, 90, 300, 310)).astype(int) - values[90:310, 70:300]
    assert np.abs(difference).max() < 12
    difference = large.level(0.25).read((0, 0, 128, 128)).astype(int) - small
    assert np.abs(difference).max() < 12

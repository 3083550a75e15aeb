"""Parts of large pictures, against the whole picture decoded at once."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from keras_maskrcnn.data.reading import read_image
from keras_maskrcnn.images.pixels import PixelFormat
from keras_maskrcnn.images.tiff_parts import TiffParts
from keras_maskrcnn.inference.tiling.pictures import as_large_picture

WINDOWS = [(0, 0, 150, 97), (0, 0, 1, 1), (149, 96, 150, 97), (16, 32, 48, 64), (33, 7, 141, 90)]
RGB = np.random.default_rng(0).integers(0, 256, (97, 150, 3), dtype="uint8")


@pytest.mark.parametrize(
    "options",
    [
        {"tile": (32, 48)},
        {"tile": (16, 16), "compression": "zlib", "predictor": True},
        {"rowsperstrip": 10, "compression": "zlib"},
        {},
        {"tile": (64, 64), "subifds": 1},
    ],
    ids=["tiles", "compressed tiles", "strips", "one strip", "pyramid"],
)
def test_tiff(tmp_path, options):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(RGB, photometric="rgb", **options)
        if "subifds" in options:
            file.write(RGB[::2, ::2], photometric="rgb", subfiletype=1, tile=(64, 64))
    large = as_large_picture(path, 0)
    assert large.shape == (97, 150)
    whole = read_image(path)
    for x1, y1, x2, y2 in WINDOWS:
        np.testing.assert_array_equal(large.read((x1, y1, x2, y2)), whole[y1:y2, x1:x2])


@pytest.mark.parametrize("channels", [1, 5])
def test_tiff_of_other_depth(tmp_path, channels):
    values = np.random.default_rng(1).integers(0, 4096, (97, 150, channels)).astype("uint16")
    path = tmp_path / "a.tiff"
    tifffile.imwrite(
        path, values.squeeze(), photometric="minisblack", planarconfig="contig", tile=(32, 32)
    )
    pixels = PixelFormat(channels, (0, 4095))
    large, whole = as_large_picture(path, 0, pixels), read_image(path, pixels)
    for x1, y1, x2, y2 in WINDOWS:
        np.testing.assert_array_equal(large.read((x1, y1, x2, y2)), whole[y1:y2, x1:x2])


@pytest.mark.parametrize("kind", ["turned", "palette", "inverted"])
def test_other_tiffs_are_decoded_whole(tmp_path, kind):
    path = tmp_path / "a.tif"
    if kind == "turned":
        extra = [(274, "H", 1, 6, True)]
        tifffile.imwrite(path, RGB, photometric="rgb", tile=(32, 32), extratags=extra)
    elif kind == "palette":
        Image.fromarray(RGB).quantize(16).save(path)
    else:
        tifffile.imwrite(path, RGB[..., 0], photometric="miniswhite", tile=(32, 32))
    large, whole = as_large_picture(path, 0), read_image(path)
    assert large.shape == whole.shape[:2]
    np.testing.assert_array_equal(large.read((10, 20, 60, 90)), whole[20:90, 10:60])


def test_only_what_is_asked_for_is_read(tmp_path):
    """A file that is cut off after its first row of tiles still gives that."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RGB, photometric="rgb", tile=(32, 32))
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        second = page.dataoffsets[page.dataoffsets.index(min(page.dataoffsets)) + 5]
    content = bytearray(path.read_bytes())
    content[second:] = b""
    path.write_bytes(content)
    try:
        parts = TiffParts(path)
    except ValueError:
        pytest.skip("the directory lies behind the pixels")
    np.testing.assert_array_equal(parts.read((0, 0, 150, 32)), RGB[:32])


def test_arrays_and_other_files(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    mapped = np.lib.format.open_memmap(tmp_path / "a.npy", "w+", "uint8", RGB.shape)
    mapped[:] = RGB
    mapped.flush()
    for item in (RGB, Image.fromarray(RGB), tmp_path / "a.png", mapped, tmp_path / "a.npy"):
        large = as_large_picture(item, 0)
        assert large.shape == (97, 150)
        for x1, y1, x2, y2 in WINDOWS:
            np.testing.assert_array_equal(large.read((x1, y1, x2, y2)), RGB[y1:y2, x1:x2])


def test_refusals(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0 nothing")
    with pytest.raises(ValueError, match=r"a\.tif"):
        as_large_picture(tmp_path / "a.tif", 0)
    with pytest.raises(ValueError, match="picture 3 of shape"):
        as_large_picture(np.zeros((5, 5), "uint8"), 3)
    with pytest.raises(ValueError, match=r"none\.tif"):
        as_large_picture(tmp_path / "none.tif", 0)
    # What is wrong in a part is found when that is read.
    picture = np.zeros((40, 60, 3), "float32")
    picture[30, 50] = np.nan
    large = as_large_picture(picture, 3)
    assert large.read((0, 0, 50, 30)).shape == (30, 50, 3)
    with pytest.raises(ValueError, match="picture 3, pixels 40, 20 to 60, 40"):
        large.read((40, 20, 60, 40))

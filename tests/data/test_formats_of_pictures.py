"""Pictures of every format, against Pillow and tifffile; the depth of none is lowered."""

import io
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tifffile
from PIL import Image, ImageOps

from keras_maskrcnn.data import DetectionData, ImageRecord
from keras_maskrcnn.data.headers import read_header
from keras_maskrcnn.data.reading import read_image
from keras_maskrcnn.images.formats import format_of, named, picture_formats

ORIENTATION = 0x0112
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (13, 29, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (13, 29, 3), dtype=np.uint16)


def saved(path, format, pixels=PIXELS, **options):
    Image.fromarray(pixels).save(path, format, **options)
    return path


def test_the_list_says_what_each_file_is(tmp_path):
    pytest.importorskip("pillow_heif").register_heif_opener()
    names = {"JPEG", "PNG", "BMP", "GIF", "WebP", "TIFF", "HEIC", "NumPy"}
    assert {format.name for format in picture_formats()} == names
    assert named(picture_formats(in_exports=True)) == "JPEG, PNG, BMP or GIF"
    for format in picture_formats():
        for suffix in format.suffixes:
            kind = "HEIF" if format.name == "HEIC" else format.name.upper()
            path = tmp_path / f"a{suffix}"
            if format.name == "NumPy":
                np.save(path, PIXELS)
            else:
                saved(path, kind)
            assert format_of(path.read_bytes()) is format
            header = read_header(path.read_bytes())
            assert (header.format, header.height, header.width) == (format.name, 13, 29)
            assert read_image(path).shape == (13, 29, 3)
    assert format_of(b"RIFF\0\0\0\0WAVE") is None
    assert format_of(b"\0\0\0\x18ftypmp42") is None


def test_the_docs_list_them():
    docs = Path(__file__).parents[2] / "docs"
    read, taken = (
        " ".join((docs / page).read_text().split())
        for page in ("how-to/formats.md", "reference/signatures.md")
    )
    assert named(picture_formats(), "and") in read
    assert named(picture_formats(in_exports=True)) in taken


@pytest.mark.parametrize("options", [{"lossless": True}, {"lossless": True, "alpha": True}, {}])
def test_webp(tmp_path, options):
    alpha = options.pop("alpha", False)
    pixels = np.concatenate([PIXELS, PIXELS[..., :1]], -1) if alpha else PIXELS
    path = saved(tmp_path / "a.webp", "WEBP", pixels, exact=True, **options)
    if options:
        np.testing.assert_array_equal(read_image(path), PIXELS)
    expected = tf.io.decode_webp(path.read_bytes(), channels=4 if alpha else 3)[0].numpy()
    np.testing.assert_array_equal(read_image(path), expected[..., :3])


@pytest.mark.parametrize("format", ["WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(tmp_path, format, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    lossless = {"lossless": True} if format == "WEBP" else {}
    path = saved(tmp_path / "a", format, exif=exif, **lossless)
    assert read_header(path.read_bytes()).orientation == orientation
    with Image.open(path) as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture))
    np.testing.assert_array_equal(read_image(path), expected)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_tiff_of_8_bits(tmp_path, compression):
    path = saved(tmp_path / "a.tif", "TIFF", compression=compression)
    np.testing.assert_array_equal(read_image(path), PIXELS)
    path = saved(tmp_path / "b.tif", "TIFF", PIXELS[..., 0], compression=compression)
    np.testing.assert_array_equal(read_image(path), np.repeat(PIXELS[..., :1], 3, -1))


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_tiff_of_16_bits_keeps_them(tmp_path, big, order, planar):
    path = tmp_path / "a.tif"
    values = DEEP if planar == "contig" else np.moveaxis(DEEP, -1, 0)
    tifffile.imwrite(
        path, values, photometric="rgb", planarconfig=planar, bigtiff=big, byteorder=order
    )
    image = read_image(path)
    assert image.dtype == np.float32
    np.testing.assert_array_equal(np.rint(image * 257.0), DEEP)
    assert read_header(path.read_bytes()).bits == 16


def test_png_of_16_bits_keeps_them(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(tf.io.encode_png(DEEP).numpy())
    np.testing.assert_array_equal(np.rint(read_image(path) * 257.0), DEEP)
    grey = saved(tmp_path / "b.png", "PNG", DEEP[..., 0])
    np.testing.assert_array_equal(np.rint(read_image(grey)[..., 2] * 257.0), DEEP[..., 0])
    assert read_header(grey.read_bytes()).bits == 16


def test_tiff_of_other_kinds(tmp_path):
    parts = RNG.random((13, 29, 3)).astype(np.float32)
    tifffile.imwrite(tmp_path / "float.tif", parts, photometric="rgb")
    np.testing.assert_allclose(read_image(tmp_path / "float.tif"), parts * 255, rtol=1e-6)
    tifffile.imwrite(tmp_path / "white.tif", PIXELS[..., 0], photometric="miniswhite")
    np.testing.assert_array_equal(read_image(tmp_path / "white.tif")[..., 1], 255 - PIXELS[..., 0])
    alpha = np.concatenate([PIXELS, PIXELS[..., :1]], -1)
    tifffile.imwrite(tmp_path / "alpha.tif", alpha, photometric="rgb", extrasamples=["unassalpha"])
    np.testing.assert_array_equal(read_image(tmp_path / "alpha.tif"), PIXELS)
    bits = PIXELS[..., 0] > 99
    tifffile.imwrite(tmp_path / "bits.tif", bits, photometric="minisblack")
    np.testing.assert_array_equal(read_image(tmp_path / "bits.tif")[..., 0], bits * np.uint8(255))
    palette = Image.fromarray(PIXELS).quantize(7)
    palette.save(tmp_path / "palette.tif")
    expected = np.asarray(palette.convert("RGB"))
    np.testing.assert_array_equal(read_image(tmp_path / "palette.tif"), expected)


@pytest.mark.parametrize(
    ("values", "options", "words"),
    [
        (np.zeros((3, 13, 29), np.uint8), {"photometric": "minisblack"}, "3 pages; save the one"),
        (np.zeros((13, 29, 5), np.uint8), {"planarconfig": "contig"}, r"shape \(13, 29, 5\)"),
        (np.full((13, 29), 7.5, np.float32), {}, "floats in 0..1, .* values of 7.5 to 7.5"),
        (np.full((13, 29), np.nan, np.float32), {}, "floats in 0..1"),
        (np.zeros((13, 29), np.int16), {}, "values of type int16"),
        (np.zeros((13, 29), np.uint32), {}, "values of type uint32"),
    ],
)
def test_tiff_without_one_meaning(tmp_path, values, options, words):
    options = {"photometric": "minisblack"} | options
    tifffile.imwrite(tmp_path / "a.tif", values, **options)
    with pytest.raises(ValueError, match=f"a.tif .*{words}"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("format", ["WEBP", "TIFF", "HEIF"])
def test_damaged_files(tmp_path, format):
    """An error that names the file, wherever it breaks off or is changed."""
    if format == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    stream = io.BytesIO()
    Image.fromarray(np.kron(PIXELS, np.ones((3, 3, 1), np.uint8))).save(stream, format)
    content = stream.getvalue()
    rng = np.random.default_rng(1)
    path = tmp_path / "broken"
    refused = 0
    for number in range(60):
        damaged = bytearray(content[: rng.integers(12, len(content))] if number % 2 else content)
        for place in rng.integers(8, len(damaged), 5):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            image = read_image(path)
            assert image.ndim == 3 and image.shape[2] == 3
        except ValueError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused > 10


def test_a_package_that_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    with pytest.raises(ValueError, match=r"a.heic .*pip install .maskrcnn-keras\[heic\]"):
        read_image(tmp_path / "a.heic")


@pytest.mark.parametrize("flips", [False, True])
def test_batches_keep_the_depth(tmp_path, flips):
    tifffile.imwrite(tmp_path / "a.tif", DEEP, photometric="rgb")
    saved(tmp_path / "b.png", "PNG")
    records = [ImageRecord(k, str(tmp_path / n), 13, 29) for k, n in ((1, "a.tif"), (2, "b.png"))]
    batches = DetectionData(records, ["a"], [1]).batches(
        2, min_size=13, max_size=29, size_divisor=1, augment=flips, seed=0
    )
    images, _ = next(iter(batches))
    for image, expected in zip(images.numpy(), (DEEP / 257, PIXELS), strict=True):
        either = (image, image[:, ::-1]) if flips else (image,)
        assert any(np.allclose(i, expected, atol=1e-4) for i in either)


def test_compressions_of_other_packages(tmp_path):
    """Pillow would read 16 bits as 8, and so is not asked."""
    saved(tmp_path / "a.tif", "TIFF", DEEP[..., 0], compression="tiff_lzw")
    with pytest.raises(
        ValueError, match=r"a.tif .*needs a package .*pip install .maskrcnn-keras\[tiff\]"
    ):
        read_image(tmp_path / "a.tif")

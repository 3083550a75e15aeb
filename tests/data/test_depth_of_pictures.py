"""Files of any number of channels and any depth, against tifffile, Pillow and NumPy."""

import json
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
import tensorflow as tf
import tifffile
from PIL import Image

from keras_maskrcnn.data import DetectionData, ImageRecord, load_coco
from keras_maskrcnn.data.formats.picture_tree import PictureTree
from keras_maskrcnn.data.headers import read_header
from keras_maskrcnn.data.picture_files import MAX_PICTURE_BYTES, read_picture_header
from keras_maskrcnn.data.reading import read_image, read_picture
from keras_maskrcnn.images.pixels import PixelFormat

RNG = np.random.default_rng(0)
FOUR = RNG.integers(0, 65536, (13, 29, 4), dtype=np.uint16)
BYTES = RNG.integers(0, 256, (13, 29, 4), dtype=np.uint8)


def npy(path, array, **options):
    np.save(path, array, **options)
    return path


@pytest.mark.parametrize("planar", ["contig", "separate", "pages"])
@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_tiff_of_four_channels(tmp_path, planar, kind):
    values = {"uint8": BYTES, "uint16": FOUR, "float32": (FOUR / 65535).astype("float32")}[kind]
    path = tmp_path / "a.tif"
    if planar == "contig":
        tifffile.imwrite(path, values, photometric="minisblack", planarconfig="contig")
    elif planar == "separate":
        bands = np.moveaxis(values, -1, 0)
        tifffile.imwrite(path, bands, photometric="minisblack", planarconfig="separate")
    else:
        tifffile.imwrite(path, np.moveaxis(values, -1, 0), photometric="minisblack")
        assert len(tifffile.TiffFile(path).pages) == 4
    image = read_image(path, PixelFormat(4))
    expected = {"uint8": BYTES, "uint16": FOUR / 257, "float32": FOUR / 257}[kind]
    assert image.dtype == (np.uint8 if kind == "uint8" else np.float32)
    np.testing.assert_allclose(image, expected, rtol=2e-6)


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_tiff_of_rgb_and_infrared(tmp_path, compression):
    """Of RGB with one sample more, by default the three colours are read, and with it four."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, BYTES, photometric="rgb", extrasamples=["unspecified"], compression=compression
    )
    np.testing.assert_array_equal(read_image(path), BYTES[..., :3])
    np.testing.assert_array_equal(read_image(path, PixelFormat(4)), BYTES)


def test_pages_that_are_no_channels(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((3, 13, 29), np.uint8), photometric="minisblack")
    for channels in (1, 3, 4):
        with pytest.raises(ValueError, match="a.tif .*one page. Received: 3 pages"):
            read_image(path, PixelFormat(channels))
    with tifffile.TiffWriter(path) as file:
        for width in (29, 30):
            file.write(np.zeros((13, width), np.uint8), photometric="minisblack")
    with pytest.raises(ValueError, match=r"one size and type.*\(13, 29\).*\(13, 30\)"):
        read_image(path, PixelFormat(2))


def test_png(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(BYTES).save(path)
    np.testing.assert_array_equal(read_image(path, PixelFormat(4)), BYTES)
    np.testing.assert_array_equal(read_image(path), BYTES[..., :3])
    path.write_bytes(tf.io.encode_png(FOUR).numpy())
    deep = read_image(path, PixelFormat(4))
    np.testing.assert_array_equal(np.rint(deep * 257.0), FOUR)
    path.write_bytes(tf.io.encode_png(FOUR[..., :1]).numpy())
    for pixels, scale in ((PixelFormat(1), 257.0), (PixelFormat(1, (0, 4095)), 4095 / 255)):
        grey = read_image(path, pixels)
        assert grey.shape == (13, 29, 1)
        np.testing.assert_array_equal(np.rint(grey * scale), FOUR[..., :1])


@pytest.mark.parametrize("format", ["PNG", "BMP", "GIF", "WEBP", "TIFF"])
def test_grey_of_colours(tmp_path, format):
    path = tmp_path / "a"
    lossless = {"lossless": True} if format == "WEBP" else {}
    Image.fromarray(BYTES[..., :3]).save(path, format, **lossless)
    red, green, blue = np.moveaxis(read_image(path).astype(float), -1, 0)
    exact = 0.299 * red + 0.587 * green + 0.114 * blue
    grey = read_image(path, PixelFormat(1))
    assert grey.shape == (13, 29, 1) and grey.dtype == np.uint8
    assert np.abs(grey[..., 0] - exact).max() < 0.501


def test_jpeg_of_one_channel(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(BYTES[..., 0]).save(path)
    np.testing.assert_array_equal(
        read_image(path, PixelFormat(1))[..., 0], read_image(path)[..., 2]
    )
    with pytest.raises(ValueError, match=r"a.jpg .*4 channels.*\(13, 29, 1\)"):
        read_image(path, PixelFormat(4))


@pytest.mark.parametrize("kind", ["<u2", ">u2", "<i4", ">i2", "<f2", "<f4", ">f8", "|u1", "<u4"])
@pytest.mark.parametrize("fortran", [False, True])
def test_numpy(tmp_path, kind, fortran):
    values = (FOUR // 300).astype(kind)
    path = npy(tmp_path / "a.npy", np.asfortranarray(values) if fortran else values)
    image = read_image(path, PixelFormat(4, (0, 218)))
    np.testing.assert_allclose(image, values.astype(float) * 255 / 218, rtol=1e-6)
    header = read_picture_header(path)
    assert (header.format, header.height, header.width, header.channels) == ("NumPy", 13, 29, 4)
    assert header.bits == 8 * np.dtype(kind).itemsize


def test_numpy_by_type(tmp_path):
    np.testing.assert_array_equal(
        read_image(npy(tmp_path / "a.npy", BYTES[..., 0])), np.repeat(BYTES[..., :1], 3, -1)
    )
    mask = npy(tmp_path / "b.npy", BYTES[..., 0] > 99)
    np.testing.assert_array_equal(
        read_image(mask, PixelFormat(1))[..., 0], (BYTES[..., 0] > 99) * np.uint8(255)
    )
    parts = npy(tmp_path / "c.npy", FOUR / 65535)
    np.testing.assert_allclose(read_image(parts, PixelFormat(4)), FOUR / 257, rtol=1e-6)


@pytest.mark.parametrize(
    ("values", "pixels", "words"),
    [
        (FOUR.astype("int32"), PixelFormat(4), "value_range.*int32"),
        (FOUR.astype("float32"), PixelFormat(4), "value_range.*values of"),
        (np.where(FOUR.max() == FOUR, np.nan, 0.5), PixelFormat(4), "finite.*: 1 that"),
        (np.where(FOUR.max() == FOUR, -np.inf, 0.5), PixelFormat(4, (0, 1)), "finite.*: 1 that"),
        (FOUR, PixelFormat(), None),
        (FOUR, PixelFormat(5), r"5 channels.*\(13, 29, 4\)"),
        (FOUR.astype("int64"), PixelFormat(4, (0, 9)), "array of bool.*<i8"),
        (FOUR.astype("complex64"), PixelFormat(4), "array of bool.*<c8"),
        (np.array([["a"]]), PixelFormat(), "array of bool"),
        (np.array([[{}]]), PixelFormat(), "array of bool.*O"),
        (np.zeros(5, "u1"), PixelFormat(), r"\[height, width, channels\]. Received: \(5,\)"),
        (np.zeros((2, 2, 2, 2), "u1"), PixelFormat(), r"Received: \(2, 2, 2, 2\)"),
        (np.zeros((0, 5), "u1"), PixelFormat(), r"Received: \(0, 5\)"),
        (np.zeros((4, 5), [("r", "u1")]), PixelFormat(), "header of an array of numbers"),
    ],
)
def test_what_numpy_files_may_not_be(tmp_path, values, pixels, words):
    path = npy(tmp_path / "a.npy", values)
    if words is None:
        assert read_image(path, pixels).shape == (13, 29, 3)
        return
    with pytest.raises(ValueError, match=f"(?s)a.npy .*{words}"):
        read_image(path, pixels)


def test_pickles_are_never_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return open, (str(tmp_path / "sprung"), "w")

    npy(tmp_path / "a.npy", np.array([[Trap()]], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="array of bool"):
        read_image(tmp_path / "a.npy")
    assert not (tmp_path / "sprung").exists()


def numpy_file(header, version=(1, 0)):
    text = header.encode("latin1")
    length = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + length + text


@pytest.mark.parametrize(
    "content",
    [
        numpy_file("{'descr': '|u1', 'fortran_order': False, 'shape': (60000, 60000)}"),
        numpy_file("{'descr': '<f8', 'fortran_order': False, 'shape': (9000, 9000, 64)}"),
        numpy_file("{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1, 999999999999)}"),
        numpy_file("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3)}") + b"12345",
        numpy_file("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3)}") + b"1234567",
        numpy_file("{'descr': '|u1', 'fortran_order': False, 'shape': (-2, 3)}"),
        numpy_file("{'descr': '|u1', 'fortran_order': False, 'shape': 7}"),
        numpy_file("{'descr': '|u1', 'fortran_order': False}"),
        numpy_file("{'descr': '|O', 'fortran_order': False, 'shape': (2, 3)}"),
        numpy_file("(" * 900),
        numpy_file("9" * 5000),
        numpy_file("__import__('os').getpid()"),
        numpy_file("{}", (3, 0)),
        numpy_file("{}", (9, 9)),
        b"\x93NUMPY",
        b"\x93NUMPY\x01\x00\xff\xff{",
    ],
)
def test_broken_numpy_files(tmp_path, content):
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(ValueError, match="a.npy"):
        read_image(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


def test_cut_and_changed_numpy_files(tmp_path):
    content = npy(tmp_path / "a.npy", BYTES[..., :3]).read_bytes()
    for length in range(len(content)):
        (tmp_path / "a.npy").write_bytes(content[:length])
        with pytest.raises(ValueError, match="a.npy"):
            read_image(tmp_path / "a.npy")
    for place in range(128):
        for value in (0, 0xFF, content[place] ^ 1):
            changed = bytearray(content)
            changed[place] = value
            (tmp_path / "a.npy").write_bytes(changed)
            try:
                assert read_image(tmp_path / "a.npy").size
            except ValueError as error:
                assert "a.npy" in str(error)


def test_channels_and_bytes_count_in_the_limits(tmp_path):
    """A kilobyte that announces 20 million pixels of 60 channels of 64 bits."""
    path = tmp_path / "a.tif"
    stripe = zlib.compress(bytes(100))
    tags = [
        *((256, 4, 5000), (257, 4, 4000), (258, 3, 64), (259, 3, 8), (262, 3, 1)),
        *((273, 4, 8), (277, 3, 60), (278, 4, 4000), (279, 4, len(stripe))),
    ]
    directory = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    at = 8 + len(stripe)
    path.write_bytes(
        b"II*\0"
        + struct.pack("<I", at)
        + stripe
        + struct.pack("<H", len(tags))
        + directory
        + bytes(4)
    )
    header = read_header(path.read_bytes())
    assert header.bytes == 5000 * 4000 * 60 * 8 > MAX_PICTURE_BYTES
    with pytest.raises(ValueError, match=r"a.tif, of which 4000 x 5000 pixels of 60 channels"):
        read_image(path, PixelFormat(60))


def test_heic_of_more_than_8_bits(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    grey = np.linspace(0, 65535, 64 * 64).reshape(64, 64, 1).astype(np.uint16)
    deep = np.repeat(grey, 3, -1)
    file = heif.from_bytes(mode="RGB;16", size=(64, 64), data=deep.tobytes())
    path = tmp_path / "a.heic"
    file.save(path, quality=-1, chroma=444)
    bits = read_picture_header(path).bits
    assert bits in (10, 12)
    image = read_image(path)
    assert image.dtype == np.float32 and image.max() <= 255
    # Colours pass through a matrix of whole numbers.
    np.testing.assert_allclose(image, deep / 257, atol=1.0)
    assert len(np.unique(image)) > 300  # Of 8 bits there are 256 levels.


def test_records_and_batches(tmp_path):
    """A batch of a PNG of 8 bits, a TIFF of 16 and a float array, all of four channels."""
    Image.fromarray(BYTES).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "b.tif", FOUR, photometric="minisblack", planarconfig="contig")
    npy(tmp_path / "c.npy", FOUR / 65535)
    records = [
        ImageRecord(i, str(tmp_path / name), 13, 29)
        for i, name in enumerate(("a.png", "b.tif", "c.npy"))
    ]
    data = DetectionData(records, ["x"], [1], pixels=PixelFormat(4))
    for cache in (False, True):
        batches = data.batches(3, min_size=13, max_size=29, size_divisor=1, cache=cache)
        assert tuple(batches.element_spec[0].shape) == (None, None, None, 4)
        for images, _ in (next(iter(batches)), next(iter(batches))):
            for image, expected in zip(images, (BYTES, FOUR / 257, FOUR / 257), strict=True):
                np.testing.assert_allclose(image, expected, rtol=1e-5, atol=1e-4)
    wrong = DetectionData(records, ["x"], [1], pixels=PixelFormat(2))
    with pytest.raises(ValueError, match=r"Image id 1: .*b.tif .*2 channels.*\(13, 29, 4\)"):
        read_picture(wrong.records[1], wrong.pixels)


@pytest.mark.parametrize("policy", ["flip", "standard", "lsj", "small_data", "microscopy"])
@pytest.mark.parametrize("channels", [1, 4])
def test_policies(tmp_path, policy, channels):
    """Every policy but those with colours of RGB works for any number of channels."""
    values = FOUR[..., :channels].repeat(3, 0).repeat(2, 1)
    path = npy(tmp_path / "a.npy", values)
    record = ImageRecord(1, str(path), 39, 58)
    data = DetectionData([record], ["x"], [1], pixels=PixelFormat(channels))
    images, _ = next(iter(data.batches(1, min_size=32, max_size=64, augment=policy, seed=1)))
    assert images.shape[-1] == channels and 0 <= images.numpy().min() < images.numpy().max() <= 256


def test_readers_keep_the_format(tmp_path):
    (tmp_path / "images").mkdir()
    npy(tmp_path / "images/a.npy", FOUR)
    categories = [{"id": 1, "name": "x"}]
    images = [{"id": 1, "file_name": "a.npy", "height": 13, "width": 29}]
    content = {"images": images, "annotations": [], "categories": categories}
    (tmp_path / "a.json").write_text(json.dumps(content))
    options = {"channels": 4, "value_range": (0, 4095), "display": (3, 1, 0)}
    data = load_coco(tmp_path / "a.json", tmp_path / "images", **options)
    assert data.pixels == PixelFormat(4, (0, 4095), (3, 1, 0))
    assert read_picture(data.records[0], data.pixels).shape == (13, 29, 4)
    with pytest.raises(ValueError, match="channels=0"):
        load_coco(tmp_path / "a.json", tmp_path / "images", channels=0)


def test_caches_beside_pictures_are_no_pictures(tmp_path):
    """Ultralytics keeps `a.npy` beside `a.jpg`; alone, or named by an annotation, it is one."""
    for name in ("a.jpg", "a.npy", "b.npy", "c.PNG"):
        (tmp_path / name).touch()
    tree = PictureTree(tmp_path)
    assert sorted(path.name for path in tree.pictures) == ["a.jpg", "b.npy", "c.PNG"]
    assert tree.with_stem(("a",)).endswith("a.jpg") and tree.with_stem(("b",)).endswith("b.npy")
    assert tree.find("a.npy").endswith("a.npy")

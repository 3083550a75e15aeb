"""From pixels to the ground: matrices worked by hand, and files written by tifffile and Pillow."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from keras_maskrcnn.data.reading import read_image
from keras_maskrcnn.images.georeference import Georeference, read_georeference

SCALE, TIE, MATRIX, KEYS = 33550, 33922, 34264, 34735
AREA, POINT = 1, 2
PIXELS = np.arange(4 * 6 * 3, dtype="uint8").reshape(4, 6, 3)
# Half a metre by a quarter; the corner of the first pixel at 500000, 4600000.
UTM = ((0.5, 0.0, 500000.0), (0.0, -0.25, 4600000.0))


def keys(**values):
    numbers = {"model": 1024, "raster": 1025, "geodetic": 2048, "projected": 3072}
    entries = [v for name, value in values.items() for v in (numbers[name], 0, 1, value)]
    return (1, 1, 0, len(values), *entries)


def write(path, tags, orientation=None):
    kinds = {KEYS: "H"}
    extra = [(tag, kinds.get(tag, "d"), len(v), v, True) for tag, v in tags.items()]
    if orientation is not None:
        extra.append((274, "H", 1, orientation, True))
    tifffile.imwrite(path, PIXELS, photometric="rgb", extratags=extra)
    return path


def scaled(tie=(0, 0, 0, 500000, 4600000, 0), **found):
    given = {"model": 1, "raster": AREA, "projected": 32633, **found}
    named = {name: value for name, value in given.items() if value is not None}
    return {SCALE: (0.5, 0.25, 0), TIE: tie, KEYS: keys(**named)}


def test_pixel_is_area(tmp_path):
    found = read_georeference(write(tmp_path / "a.tif", scaled()))
    assert found == Georeference(UTM, 32633, True)
    assert found.determinant == -0.125


def test_pixel_is_point(tmp_path):
    """The tie point is the centre of the first pixel: its corner is half a pixel away."""
    found = read_georeference(write(tmp_path / "a.tif", scaled(raster=POINT)))
    assert found.matrix == ((0.5, 0.0, 499999.75), (0.0, -0.25, 4600000.125))


def test_tie_point_elsewhere(tmp_path):
    """Of several the first counts."""
    tie = (2, 3, 0, 500001, 4599999.25, 0, 9, 9, 9, 9, 9, 9)
    assert read_georeference(write(tmp_path / "a.tif", scaled(tie))).matrix == UTM


@pytest.mark.parametrize(("raster", "corner"), [(AREA, (100, 200)), (POINT, (99, 200.5))])
def test_transformation(tmp_path, raster, corner):
    """Turned: x goes by 3 a column and -1 a row, y by -2 and by 1; z is of no account."""
    matrix = (3, -1, 7, 100, -2, 1, 7, 200, 0, 0, 1, 0, 0, 0, 0, 1)
    tags = {MATRIX: matrix, KEYS: keys(model=1, raster=raster, projected=3857)}
    found = read_georeference(write(tmp_path / "a.tiff", tags))
    assert found.matrix == ((3, -1, corner[0]), (-2, 1, corner[1]))
    assert (found.epsg, found.determinant) == (3857, 1)


@pytest.mark.parametrize(
    ("found", "epsg", "is_projected"),
    [
        ({}, 32633, True),
        ({"geodetic": 4326}, 32633, True),
        ({"model": None}, 32633, True),
        ({"projected": 32767, "geodetic": 4258}, None, True),
        ({"projected": None}, None, True),
        ({"model": 2, "projected": None, "geodetic": 4326}, 4326, False),
        ({"model": None, "projected": None, "geodetic": 4258}, 4258, False),
        ({"model": 2, "projected": None, "geodetic": 32767}, None, False),
        ({"model": 2, "projected": None, "geodetic": 0}, None, False),
        ({"projected": 40000}, None, True),
    ],
)
def test_reference_system(tmp_path, found, epsg, is_projected):
    read = read_georeference(write(tmp_path / "a.tif", scaled(**found)))
    assert (read.epsg, read.is_projected) == (epsg, is_projected)
    assert read.matrix == UTM


def test_none(tmp_path):
    assert read_georeference(write(tmp_path / "a.tif", {})) is None
    # A reference system alone is no place.
    assert read_georeference(write(tmp_path / "a.tif", {KEYS: keys(projected=32633)})) is None
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    assert read_georeference(tmp_path / "a.png") is None


WORLD = "0.5\n0\n0\n-0.25\n500000.25\n4599999.875\n"


@pytest.mark.parametrize(
    ("picture", "world"),
    [
        *(("a.tif", "a.tfw"), ("a.tif", "a.wld"), ("A.TIF", "A.TFW"), ("a.tiff", "a.tfw")),
        *(("a.jpg", "a.jgw"), ("a.jpeg", "a.jgw"), ("a.png", "a.pgw"), ("a.png", "a.pngw")),
    ],
)
def test_world_file(tmp_path, picture, world):
    """Its last two numbers are of the first pixel's centre."""
    Image.fromarray(PIXELS).save(tmp_path / picture)
    (tmp_path / world).write_text(WORLD)
    assert read_georeference(tmp_path / picture) == Georeference(UTM)


def test_turned_world_file(tmp_path):
    """In the order of its lines: x by column, y by column, x by row, y by row."""
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    (tmp_path / "a.wld").write_text("3\n-2\n-1\n1\n101\n199.5\n")
    assert read_georeference(tmp_path / "a.png").matrix == ((3, -1, 100), (-2, 1, 200))


def test_tags_come_first(tmp_path):
    """A world file is for what they do not tell; the reference system is theirs."""
    (tmp_path / "a.tfw").write_text("1\n0\n0\n-1\n0.5\n-0.5\n")
    assert read_georeference(write(tmp_path / "a.tif", scaled())).matrix == UTM
    write(tmp_path / "a.tif", {KEYS: keys(model=1, projected=25832)})
    expected = Georeference(((1, 0, 0), (0, -1, 0)), 25832, True)
    assert read_georeference(tmp_path / "a.tif") == expected


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("source", ["tags", "world file", "world file of a JPEG"])
def test_upright(tmp_path, orientation, source):
    """The ground under a pixel is the same, wherever turning the picture upright puts it."""
    if source == "world file of a JPEG":
        path = tmp_path / "a.jpg"
        exif = Image.Exif()
        exif[274] = orientation
        blocks = np.kron(PIXELS[:2, :3], np.ones((8, 8, 1), "uint8"))
        Image.fromarray(blocks).save(path, exif=exif, quality=100, subsampling=0)
        stored, wide, high = blocks, 24, 16
    else:
        tags = scaled() if source == "tags" else {}
        path = write(tmp_path / "a.tif", tags, orientation)
        stored, wide, high = PIXELS, 6, 4
    if source != "tags":
        (tmp_path / ("a.tfw" if path.suffix == ".tif" else "a.jgw")).write_text(WORLD)
    upright = read_image(path)
    assert upright.shape[:2] == ((wide, high) if orientation > 4 else (high, wide))
    found = np.array(read_georeference(path).matrix)
    for y, x in np.ndindex(upright.shape[:2]):
        ground = found @ (x + 0.5, y + 0.5, 1)
        column, row = (ground - (500000, 4600000)) / (0.5, -0.25) - 0.5
        there = stored[round(row), round(column)].astype(int)
        np.testing.assert_allclose(upright[y, x], there, atol=3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({SCALE: (0.5, 0)}, "above 0. Received: \\[0.5, 0.0\\]"),
        ({SCALE: (0.5,)}, "ModelPixelScaleTag of two or three numbers"),
        ({TIE: None}, "ModelTiepointTag of six numbers .* Received: None"),
        ({TIE: (0, 0, 0, 5)}, "ModelTiepointTag of six numbers"),
        ({TIE: (0, 0, 0, np.nan, 5, 0)}, "finite"),
        ({SCALE: None}, "control points alone.*1 points without ModelPixelScaleTag"),
        ({SCALE: None, MATRIX: (1, 2, 3)}, "ModelTransformationTag of 16 .*3 numbers"),
        ({SCALE: None, MATRIX: (0,) * 16}, "an inverse"),
        ({KEYS: (1, 1, 0)}, "GeoKeyDirectoryTag"),
        ({KEYS: (1, 1, 0, 2, 1024, 0, 1, 1)}, "Received: 8 numbers for 2 keys"),
    ],
)
def test_broken_tags(tmp_path, change, message):
    tags = {tag: value for tag, value in {**scaled(), **change}.items() if value is not None}
    path = write(tmp_path / "a.tif", tags)
    with pytest.raises(ValueError, match=message) as caught:
        read_georeference(path)
    assert str(caught.value).startswith(f"Cannot read the georeference in {path}: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "six numbers"),
        ("1\n0\n0\n-1\n5\n", "six numbers"),
        ("1\n0\n0\n-1\n5\nfive\n", "five"),
        ("1\n0\n0\n0\n5\n5\n", "an inverse"),
        ("1\n0\n0\ninf\n5\n5\n", "finite"),
    ],
)
def test_broken_world_files(tmp_path, text, message):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    (tmp_path / "a.pgw").write_text(text)
    with pytest.raises(ValueError, match=rf"georeference in .*a\.pgw: .*{message}"):
        read_georeference(tmp_path / "a.png")


def test_broken_pictures(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0 nothing at all")
    (tmp_path / "b.png").write_bytes(b"nothing")
    (tmp_path / "b.pgw").write_text(WORLD)
    for name in ("a.tif", "b.png", "none.tif"):
        with pytest.raises(ValueError, match=f"georeference in .*{name}"):
            read_georeference(tmp_path / name)


@pytest.mark.parametrize("matrix", [np.eye(3), np.zeros((2, 3)), [[1, 0, 0], [0, np.inf, 0]]])
def test_no_matrix(matrix):
    with pytest.raises(ValueError, match=r"matrix must be \[2, 3\]"):
        Georeference(matrix)

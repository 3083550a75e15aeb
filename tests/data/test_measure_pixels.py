"""Means and deviations by channel, against NumPy on all pixels at once."""

import dataclasses

import numpy as np
import pytest
import tifffile

from keras_maskrcnn import measure_pixels
from keras_maskrcnn.data import DetectionData, ImageRecord
from keras_maskrcnn.data.reading import read_image
from keras_maskrcnn.images.pixels import PixelFormat

RNG = np.random.default_rng(0)
SIZES = ((13, 29), (64, 31), (5, 5), (40, 80))


def data_of(folder, pictures, pixels):
    records = []
    for number, picture in enumerate(pictures):
        path = folder / f"{number}.tif"
        planar = {"planarconfig": "contig"} if picture.shape[-1] in (2, 4) else {}
        values = picture if planar else picture.reshape(picture.shape[:2])
        tifffile.imwrite(path, values, photometric="minisblack", **planar)
        records.append(ImageRecord(number, str(path), *picture.shape[:2]))
    return DetectionData(records, ["x"], [1], pixels=pixels)


@pytest.mark.parametrize("value_range", [None, (100, 30000), (-5.5, 70000)])
def test_against_numpy(tmp_path, value_range):
    # Far from zero and of little spread, where sums of squares alone would lose the digits.
    pictures = [
        (60000 + RNG.normal(size=(*size, 4)) * (1, 5, 50, 500)).astype(np.uint16) for size in SIZES
    ]
    found = measure_pixels(data_of(tmp_path, pictures, PixelFormat(4, value_range)))
    low, high = value_range or (0, 65535)
    values = np.concatenate([p.reshape(-1, 4) for p in pictures]).astype(np.float64)
    values = (values - low) * 255 / (high - low)
    np.testing.assert_allclose(found["pixel_mean"], values.mean(axis=0), rtol=1e-6)
    # Pixels are float32, of which a deviation of 1 in 60,000 has few digits.
    np.testing.assert_allclose(found["pixel_std"], values.std(axis=0), rtol=1e-6, atol=1e-5)
    held = np.concatenate(
        [
            read_image(tmp_path / f"{i}.tif", PixelFormat(4, value_range)).reshape(-1, 4)
            for i in range(len(pictures))
        ]
    ).astype(np.float64)
    np.testing.assert_allclose(found["pixel_mean"], held.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found["pixel_std"], held.std(axis=0), rtol=1e-9)
    assert found["channels"] == 4 and found["value_range"] == value_range
    assert all(isinstance(v, float) for v in (*found["pixel_mean"], *found["pixel_std"]))


def test_by_hand(tmp_path):
    """Two pictures, of 1 and of 3 pixels, which count alike: 0, 10, 20, 30."""
    pictures = [np.array([[[0, 7]]], np.uint8), np.array([[[10, 7], [20, 7], [30, 7]]], np.uint8)]
    found = measure_pixels(data_of(tmp_path, pictures, PixelFormat(2)))
    assert found["pixel_mean"] == (15.0, 7.0)
    assert found["pixel_std"] == (pytest.approx(125**0.5), 1.0)  # Of equal values: 1.


def test_some_pictures_of_many(tmp_path):
    pictures = [np.full((2, 2, 1), value, np.uint8) for value in range(40)]
    data = data_of(tmp_path, pictures, PixelFormat(1))
    some = measure_pixels(data, max_pictures=5, seed=1)
    assert some == measure_pixels(data, max_pictures=5, seed=1)
    assert some != measure_pixels(data, max_pictures=5, seed=2)
    # Of five different whole numbers.
    assert 5 * some["pixel_mean"][0] == pytest.approx(round(5 * some["pixel_mean"][0]))
    assert measure_pixels(data, max_pictures=40)["pixel_mean"] == (19.5,)


def test_what_cannot_be_measured(tmp_path):
    data = data_of(tmp_path, [np.full((2, 2), v, np.uint8) for v in (10, 20, 60)], PixelFormat(1))
    (tmp_path / "1.tif").write_bytes(b"II*\0")
    with pytest.warns(UserWarning, match=r"1 of 3 pictures .*not measured.*1\.tif"):
        assert measure_pixels(data)["pixel_mean"] == (35.0,)
    with pytest.raises(ValueError, match="No picture"):
        measure_pixels(dataclasses.replace(data, records=data.records[1:2]))
    with pytest.raises(ValueError, match="none in"):
        measure_pixels(dataclasses.replace(data, records=[]))
    with pytest.raises(ValueError, match="max_pictures=0"):
        measure_pixels(data, max_pictures=0)


@pytest.mark.parametrize("limit", ["MAX_PIXELS", "MAX_FILE_BYTES"])
def test_what_is_too_large_to_be_decoded_is_measured_in_bands(tmp_path, monkeypatch, limit):
    values = np.random.default_rng(0).integers(0, 256, (70, 9, 2)).astype(np.uint8)
    data = data_of(tmp_path, [values], PixelFormat(2))
    expected = measure_pixels(data)
    # By pixels, or by bytes, which few pixels of many channels have.
    monkeypatch.setattr(f"keras_maskrcnn.data.picture_files.{limit}", 100)
    monkeypatch.setattr("keras_maskrcnn.data.windows._ROWS", 16)
    found = measure_pixels(data)
    for name in ("pixel_mean", "pixel_std"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-12)

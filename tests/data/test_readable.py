"""Unreadable pictures are found before they are needed."""

import numpy as np
import pytest
from helpers import make_data
from PIL import Image

from keras_maskrcnn.data.readable import leave_out_unreadable


@pytest.fixture
def data(tmp_path):
    return make_data(tmp_path, [(32, 40)] * 6, file_type="jpg")


def test_good_data_stays_what_it_is(data):
    assert leave_out_unreadable(data) is data


def test_each_bad_picture_is_left_out_by_name(data, tmp_path):
    data.warnings.append("an earlier one")
    cut = (tmp_path / "1.jpg").read_bytes()
    (tmp_path / "1.jpg").write_bytes(cut[: len(cut) * 3 // 4])  # Its header is good.
    (tmp_path / "2.jpg").write_bytes(b"")
    (tmp_path / "3.jpg").unlink()
    Image.fromarray(np.zeros((40, 32, 3), np.uint8)).save(tmp_path / "4.jpg")
    found = leave_out_unreadable(data)
    assert [record.image_id for record in found.records] == [100, 105]
    assert (found.class_names, found.max_objects) == (data.class_names, 2)
    assert len(data) == 6 and data.warnings == ["an earlier one"]
    first, *lines = found.warnings
    assert first == "an earlier one"
    reasons = [
        *("Cannot decode the picture", "Cannot decode the picture", "Cannot read the picture"),
        "expected",
    ]
    for number, line, reason in zip((1, 2, 3, 4), lines, reasons, strict=True):
        assert line.startswith(f"Image id {100 + number}: {reason}")
        assert str(tmp_path / f"{number}.jpg") in line
        assert "{{" not in line and "[Op:" not in line and "\n" not in line
    batches = list(found.batches(1, min_size=32))
    assert len(batches) == 2


def test_nothing_left(data, tmp_path):
    for number in range(6):
        (tmp_path / f"{number}.jpg").write_text("text")
    with pytest.raises(ValueError, match=r"No picture of .* can be read, such as: Image id 100"):
        leave_out_unreadable(data)

"""What may be read as a picture, and how much of it."""

import io
import os
import struct
import tracemalloc
import zlib

import pytest
from PIL import Image

from keras_maskrcnn.data import picture_files
from keras_maskrcnn.data.picture_files import read_picture_file
from keras_maskrcnn.data.reading import read_image


def announce(width, height):
    """A PNG file of a hundred bytes that announces a picture of any size."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b""))


def test_the_whole_file(tmp_path):
    for name in ("a.png", "a.jpg", "a.bmp", "a.gif"):
        Image.new("RGB", (9, 7), (200, 30, 40)).save(tmp_path / name)
        assert read_picture_file(tmp_path / name) == (tmp_path / name).read_bytes()
        assert read_image(tmp_path / name).shape == (7, 9, 3)


@pytest.mark.parametrize("read", [read_picture_file, read_image])
def test_only_regular_files_are_opened(tmp_path, read):
    os.mkfifo(tmp_path / "pipe.jpg")  # Opening it would wait for a writer, for ever.
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    for name in ("pipe.jpg", "folder.jpg", "zero.jpg"):
        with pytest.raises(ValueError, match=rf"Received: .*{name}, which is no regular file"):
            read(tmp_path / name)
    with pytest.raises(ValueError, match=r"Cannot read the picture .*loop\.jpg"):
        (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
        read(tmp_path / "loop.jpg")
    with pytest.raises(ValueError, match="Cannot read the picture .*null"):
        read(f"{tmp_path}/a\0.jpg")


def test_bytes_are_limited_before_any_is_read(tmp_path):
    with open(tmp_path / "large.jpg", "wb") as file:
        file.truncate(picture_files.MAX_FILE_BYTES + 1)  # Takes no room on the disk.
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"at most 300000000 bytes.*large\.jpg of 300000001"):
        read_image(tmp_path / "large.jpg")
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_pixels_are_limited_before_decoding(tmp_path, monkeypatch):
    (tmp_path / "bomb.png").write_bytes(announce(10_001, 10_000))
    with pytest.raises(ValueError, match=r"at most 100000000 pixels.*bomb\.png.* 100010000 pixels"):
        read_image(tmp_path / "bomb.png")
    # The frames of a GIF count together: a decoder holds them all.
    frames = [Image.new("L", (20, 10), value) for value in (0, 90, 180, 250)]
    content = io.BytesIO()
    frames[0].save(content, "GIF", save_all=True, append_images=frames[1:])
    (tmp_path / "many.gif").write_bytes(content.getvalue())
    monkeypatch.setattr(picture_files, "MAX_PIXELS", 800)
    assert read_image(tmp_path / "many.gif").shape == (10, 20, 3)
    monkeypatch.setattr(picture_files, "MAX_PIXELS", 799)
    with pytest.raises(ValueError, match=r"at most 799 pixels.*many\.gif.* 800 pixels"):
        read_image(tmp_path / "many.gif")

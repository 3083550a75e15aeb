"""The checksum of TFRecord, against its standard, bit by bit, and TensorFlow's own writer."""

import struct

import numpy as np
import pytest
import tensorflow as tf

from keras_maskrcnn.data.crc32c import crc32c, masked_crc32c


def bit_by_bit(content):
    register = 0xFFFFFFFF
    for byte in content:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        # RFC 3720, B.4; and the check value of the catalogue of CRCs.
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"123456789", 0xE3069283),
        (b"", 0),
    ],
)
def test_values_of_the_standard(content, expected):
    assert crc32c(content) == expected


def test_every_length_around_the_lanes():
    rng = np.random.default_rng(0)
    for length in (*range(140), 1000, 64 * 16, 64 * 33 + 1, 12_345):
        content = rng.bytes(length)
        assert crc32c(content) == bit_by_bit(content), length


def test_what_tensorflow_writes(tmp_path):
    content = np.random.default_rng(1).bytes(70_001)
    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecord")) as writer:
        writer.write(content)
    frame = (tmp_path / "a.tfrecord").read_bytes()
    assert struct.unpack("<QI", frame[:12]) == (len(content), masked_crc32c(frame[:8]))
    assert struct.unpack("<I", frame[-4:]) == (masked_crc32c(content),)

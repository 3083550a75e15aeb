"""A refusal of the exported model is found in whatever words surround it."""

import pytest

from keras_maskrcnn.export.refusals import Refusal, read_refusal, refusal_parts

TEXT = "".join(map(str, refusal_parts(12, "Too many pixels: ", 99)))


@pytest.mark.parametrize(
    "message",
    [
        TEXT,
        f"assertion failed: [{TEXT}]\n\t [[{{{{node while/Assert}}}}]]",
        "assertion failed: [" + TEXT.replace('"', '\\"') + ']\n\t [[{{node "x"}}]]',
    ],
)
def test_refusal_within_a_message(message):
    assert read_refusal(message) == Refusal(12, "Too many pixels: 99")


@pytest.mark.parametrize(
    "message",
    [
        "",
        "Cannot decode the picture at position 1 of the batch",
        TEXT[:-9],
        '{"picture": null, "error": "x"}',
        '{"picture": 1}',
        '{"picture": [1], "error": "x"}',
    ],
)
def test_other_messages(message):
    assert read_refusal(message) is None

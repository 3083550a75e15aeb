"""Settings by name."""

import pytest

from keras_maskrcnn.cli.options import parse_settings


def test_settings():
    words = ["backbone.norm=group", "backbone.freeze_at=0", "rpn.anchor_sizes=[[8],[16]]"]
    assert parse_settings(words) == {
        "backbone.norm": "group",
        "backbone.freeze_at": 0,
        "rpn.anchor_sizes": [[8], [16]],
    }
    with pytest.raises(ValueError, match=r"--set backbone\.norm"):
        parse_settings(["backbone.norm"])

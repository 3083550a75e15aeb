"""Settings by name."""

import pytest

from keras_maskrcnn.cli.options import parse_settings, split_thresholds


def test_settings():
    words = ["backbone.norm=group", "backbone.freeze_at=0", "rpn.anchor_sizes=[[8],[16]]"]
    assert parse_settings(words) == {
        "backbone.norm": "group",
        "backbone.freeze_at": 0,
        "rpn.anchor_sizes": [[8], [16]],
    }
    with pytest.raises(ValueError, match=r"--set backbone\.norm"):
        parse_settings(["backbone.norm"])


def test_thresholds():
    assert split_thresholds([], 0.5) == ({}, 0.5)
    words = ["cat=.7", "0.6", "a=b=1", "cat=0.8"]
    assert split_thresholds(words, 0.5) == ({"cat": 0.8, "a=b": 1.0}, 0.6)
    for word in ("cat", "cat=", "cat=high"):
        with pytest.raises(ValueError, match=f"NAME=SCORE. Received: --threshold {word}$"):
            split_thresholds([word], 0.5)

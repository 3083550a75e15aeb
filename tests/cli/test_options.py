"""Settings by name."""

import argparse

import pytest

from keras_maskrcnn.cli.options import parse_settings, pictures_argument, split_thresholds


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


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("model", []),
        ("model --output out", []),
        ("model a.png b.png --output out", ["a.png", "b.png"]),
        ("model --output out a.png b.png", ["a.png", "b.png"]),
        ("--output out model a.png", ["a.png"]),
    ],
)
def test_pictures_before_and_after_options(words, found):
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    pictures_argument(parser, "those")
    parser.add_argument("--output")
    args = parser.parse_args(words.split())
    assert (args.model, args.pictures) == ("model", found)

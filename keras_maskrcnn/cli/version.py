"""`maskrcnn --version`."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Sequence
from typing import Any


class ShowVersion(argparse.Action):
    """Prints what is installed, from its metadata: TensorFlow takes seconds to import."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, **options)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        print(versions())
        parser.exit()


def versions() -> str:
    """This package's version, and those that a report of an error should tell too."""
    import keras_maskrcnn

    others = {
        "Python": platform.python_version(),
        "TensorFlow": _installed("tensorflow", "tensorflow-cpu", "tf-nightly"),
        "Keras": _installed("keras", "keras-nightly"),
    }
    told = ", ".join(f"{name} {version}" for name, version in others.items())
    return f"maskrcnn-keras {keras_maskrcnn.__version__} ({told})"


def _installed(*names: str) -> str:
    """Version of the first of these distributions that is there."""
    from importlib import metadata

    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "not installed"

"""The command `maskrcnn`."""

from keras_maskrcnn.cli.main import main

__all__ = ["main"]

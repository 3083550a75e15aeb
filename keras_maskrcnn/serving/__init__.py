"""Talks to a server of exported models."""

from keras_maskrcnn.serving.client import Client
from keras_maskrcnn.serving.errors import ServerError

__all__ = ["Client", "ServerError"]

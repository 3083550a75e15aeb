"""What the model found in a picture, and what can be made of it."""

from keras_maskrcnn.results.detections import Detections
from keras_maskrcnn.results.picture import KnownPicture

__all__ = ["Detections", "KnownPicture"]

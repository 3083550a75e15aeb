"""What the model found in a picture, and what can be made of it."""

from keras_maskrcnn.results.detections import Detections

__all__ = ["Detections"]

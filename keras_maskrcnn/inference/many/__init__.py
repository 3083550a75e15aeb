"""Archives of pictures: read ahead, found in batches, written part by part."""

from keras_maskrcnn.inference.many.predict import Summary, predict_many

__all__ = ["Summary", "predict_many"]

"""Videos and streams: frames are decoded ahead, looked at in batches, drawn and written beside."""

from keras_maskrcnn.inference.video.predict import Summary, predict_video
from keras_maskrcnn.inference.video.reading import Frame, LostFrame, VideoReader
from keras_maskrcnn.inference.video.stream import predict_stream
from keras_maskrcnn.inference.video.writing import VideoWriter

__all__ = [
    "Frame",
    "LostFrame",
    "Summary",
    "VideoReader",
    "VideoWriter",
    "predict_stream",
    "predict_video",
]

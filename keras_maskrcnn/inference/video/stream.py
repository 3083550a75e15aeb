"""`predict_stream`: what is in each frame, as frames come."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Generator, Iterable, Iterator
from typing import Any

import numpy as np

from keras_maskrcnn.checks import at_least
from keras_maskrcnn.images.pixels import PixelFormat
from keras_maskrcnn.inference.inputs import as_picture
from keras_maskrcnn.inference.predict import predict_batch
from keras_maskrcnn.inference.video.ahead import ahead
from keras_maskrcnn.inference.video.reading import Frame, LostFrame, VideoReader
from keras_maskrcnn.results import Detections

logger = logging.getLogger("keras_maskrcnn")


def predict_stream(
    model: Any,
    frames: str | os.PathLike[str] | Iterable[Any],
    *,
    batch_size: int = 1,
) -> Iterator[tuple[Frame, Detections]]:
    """Finds objects in frames as they come, each with its detections, in their order.

    The next frames are fetched in a thread while the model is at work: twice `batch_size`, however
    long the stream. Lost frames are logged as warnings with their numbers, which the frames after
    them count too.

    Args:
        model: a `MaskRCNN`.
        frames: a video's file or address; or a `VideoReader`; or arrays `[h, w, C]` as `predict`
            takes them, of any sizes, such as a camera's, RGB: these have no time.
        batch_size: frames that the model sees side by side. Of a camera, 1 gives each result as
            soon as it is there.

    Raises:
        TypeError, ValueError: for what is no video or no frame, with its name or number.
        ImportError: for a video, without the package `av`.

    Example:

    >>> for frame, found in predict_stream(model, "clip.mp4"):
    ...     print(frame.number, frame.time, found.counts())
    """
    at_least(1, batch_size=batch_size)
    if isinstance(frames, str | os.PathLike):
        frames = VideoReader(frames)
    return _pairs(model, frames, batch_size)


Looked = tuple[Frame, Detections] | tuple[LostFrame, None]
# With its pixels as the model takes them.
Understood = tuple[Frame, np.ndarray] | tuple[LostFrame, None]


def _pairs(
    model: Any, frames: Iterable[Any], batch_size: int
) -> Iterator[tuple[Frame, Detections]]:
    with contextlib.ExitStack() as stack:
        name = "the stream"
        if isinstance(frames, VideoReader):
            name = stack.enter_context(frames).source
        results = stack.enter_context(contextlib.closing(look_at(model, frames, batch_size)))
        for frame, found in results:
            if isinstance(frame, LostFrame):
                logger.warning("frame %d of %s is lost: %s", frame.number, name, frame.error)
            elif found is not None:
                yield frame, found


def look_at(model: Any, frames: Iterable[Any], batch_size: int) -> Generator[Looked, None, None]:
    """Frames with what is in them, and lost ones with nothing, in their order."""
    gathered: list[Understood] = []
    reading = ahead(_understood(frames, model.pixels), 2 * batch_size)
    with contextlib.closing(reading):
        for item in reading:
            gathered.append(item)
            if sum(picture is not None for _, picture in gathered) >= batch_size:
                yield from _found(model, gathered)
                gathered = []
        yield from _found(model, gathered)


def _found(model: Any, gathered: list[Understood]) -> Generator[Looked, None, None]:
    pictures = [picture for _, picture in gathered if picture is not None]
    found = iter(predict_batch(model, pictures) if pictures else ())
    for frame, _ in gathered:
        if isinstance(frame, LostFrame):
            yield frame, None
        else:
            yield frame, next(found)


def _understood(frames: Iterable[Any], pixels: PixelFormat) -> Iterator[Understood]:
    """Each frame, and its pixels as the model takes them."""
    for number, item in enumerate(frames):
        if isinstance(item, LostFrame):
            yield item, None
        elif isinstance(item, Frame):
            try:
                yield item, pixels.of_file(item.picture)
            except ValueError as error:
                raise ValueError(f"Cannot look at frame {item.number}: {error}") from error
        elif hasattr(item, "__array__"):
            # A camera may use the array again for the frame after it.
            array = np.array(item)
            yield Frame(number, None, array), as_picture(array, number, pixels)
        else:
            raise TypeError(
                "Expected frames as arrays [height, width, 3], or a video's file or address. "
                f"Received: frame {number} of type {type(item).__name__}"
            )

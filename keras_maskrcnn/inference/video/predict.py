"""`predict_video`: a table of a whole clip, and the clip with what was found drawn into it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from keras_maskrcnn.checks import at_least, fraction, known_names
from keras_maskrcnn.inference.many.tables import Row
from keras_maskrcnn.inference.video.outputs import Outputs
from keras_maskrcnn.inference.video.reading import Frame, LostFrame, VideoReader
from keras_maskrcnn.inference.video.stream import look_at
from keras_maskrcnn.results import Detections
from keras_maskrcnn.visualize import draw_detections

_DAMAGED = "parts of it cannot be decoded, and are guessed"


@dataclasses.dataclass(frozen=True)
class Summary:
    """What a call of `predict_video` has done.

    Args:
        frames: that were looked at.
        objects: that were found.
        faults: numbers of frames that are lost, and were not looked at, or that are damaged, and
            were; with what is wrong.
        codec: of the overlay, such as `"H.264"`; empty without one.
    """

    frames: int
    objects: int
    faults: Mapping[int, str]
    codec: str


def predict_video(
    model: Any,
    source: str | os.PathLike[str],
    *,
    table: str | os.PathLike[str] | None = None,
    overlay: str | os.PathLike[str] | None = None,
    every: int = 1,
    batch_size: int = 4,
    threshold: float = 0.5,
    class_thresholds: Mapping[str, float] | None = None,
    tell: Callable[[int, int | None], None] = lambda done, count: None,
) -> Summary:
    """Finds objects in the frames of a video; writes them as a table, draws them as a video.

    Frames are decoded, drawn and encoded while the model is at work. The memory that it takes is
    that of a few batches, however long the video. Each file is there at the end, as a whole.

    A line of the table is a JSON object. For an object it has `frame`, the frame's number from 0
    on; `time`, in seconds from the beginning; and `category_id` (from 1 on), `category_name`,
    `score`, `bbox` (x, y, width, height), and where known `segmentation` (RLE) and `keypoints`, as
    COCO's results have them, in pixels of the upright frame. For a frame that is lost or damaged it
    has `frame`, `time` and `error`. A frame without objects has no line.

    The overlay has the frames that were looked at, upright, each at its own time; so also with
    `every`, and with frames that are lost, it is as long as the video. A class has one colour in
    all frames. There is no sound in it.

    Args:
        model: a `MaskRCNN`.
        source: the video's file or address, as `VideoReader` takes it.
        table: a file to write, lines of JSON (`.jsonl`).
        overlay: a file to write, MP4; see `VideoWriter`.
        every: 1 looks at all frames, 5 at numbers 0, 5, 10 and so on.
        batch_size: frames that the model sees side by side.
        threshold: lowest score that is written and drawn.
        class_thresholds: of classes by name, where it is another.
        tell: called after each frame with the number of frames that are done, and of all where the
            header tells it, or `None`.

    Raises:
        ValueError: for what is no video or has no frame that can be decoded, when an argument is
            out of range, nothing is to be written, or `overlay` is the video itself; and for an
            overlay of frames whose size changes.
        ImportError: without the package `av` (`pip install "maskrcnn-keras[video]"`).

    Example:

    >>> predict_video(model, "clip.mp4", table="clip.jsonl", overlay="found.mp4")
    """
    at_least(1, every=every, batch_size=batch_size)
    fraction(threshold=threshold)
    limits = dict(class_thresholds or {})
    known_names("class_thresholds", limits, list(model.class_names))
    _check_files(source, table, overlay)

    def made(frame: Frame, found: Detections) -> tuple[list[Row], np.ndarray | None]:
        """The rows of a frame, and the frame as it is shown."""
        found = found.above(limits, threshold)
        if overlay is None:
            return _rows(frame, found), None
        # By class, also where there is one alone: colours by instance change from frame to frame.
        drawn = draw_detections(frame.picture, found, threshold=0.0, color_by="class")
        return _rows(frame, found), drawn

    frames = 0
    faults: dict[int, str] = {}
    with (
        VideoReader(source, every=every) as video,
        Outputs(video, table, overlay) as out,
        _Beside(2 * batch_size) as beside,
        contextlib.closing(look_at(model, video, batch_size)) as results,
    ):
        for frame, found in results:
            error = frame.error if isinstance(frame, LostFrame) else _DAMAGED * frame.damaged
            if error:
                faults[frame.number] = error
                beside.write(out.write_fault, frame, error)
            if found is not None:
                beside.write(out.write, frame, beside.make(made, frame, found))
                frames += 1
                tell(frames, video.count)
        beside.finish()
        if not frames:
            raise ValueError(
                f"Cannot decode any of the {len(faults)} frames of {video.source}. "
                f"Received: {next(iter(faults.values()))}"
            )
    return Summary(frames, out.objects, faults, out.codec)


class _Beside:
    """Threads beside the model's: some that make what is written, and one that writes it.

    Args:
        most: how much may wait to be written.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._makers = ThreadPoolExecutor(os.cpu_count())
        self._writer = ThreadPoolExecutor(1)
        self._waiting: deque[Future[Any]] = deque()

    def __enter__(self) -> _Beside:
        return self

    def __exit__(self, *_: object) -> None:
        self._makers.shutdown(cancel_futures=True)
        self._writer.shutdown(cancel_futures=True)

    def make(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """In any order."""
        return self._makers.submit(function, *arguments)

    def write(self, function: Callable[..., Any], *arguments: Any) -> None:
        """In the order of the calls; waits where too much is waiting, and tells what failed."""
        self._waiting.append(self._writer.submit(function, *arguments))
        while len(self._waiting) > self._most:
            self._waiting.popleft().result()

    def finish(self) -> None:
        """Waits until all is written."""
        while self._waiting:
            self._waiting.popleft().result()


def _rows(frame: Frame, found: Detections) -> list[Row]:
    rows: list[Row] = []
    results = found.to_coco(frame.number, range(1, len(found.class_names) + 1))
    for result, name in zip(results, found.names, strict=True):
        del result["image_id"]
        rows.append(
            {"frame": frame.number, "time": frame.time, "category_name": str(name)} | result
        )
    return rows


def _check_files(
    source: str | os.PathLike[str],
    table: str | os.PathLike[str] | None,
    overlay: str | os.PathLike[str] | None,
) -> None:
    if table is None and overlay is None:
        raise ValueError("Expected a table, an overlay or both to write. Received: neither")
    if overlay is not None and Path(overlay).suffix.lower() != ".mp4":
        raise ValueError(f"overlay must be a file .mp4. Received: overlay={os.fspath(overlay)}")
    for written in (table, overlay):
        if written is not None and Path(written).exists() and _is_same(source, written):
            raise ValueError(
                "Expected files to write beside the video, which is read meanwhile. "
                f"Received: {os.fspath(written)}, the video itself"
            )


def _is_same(source: str | os.PathLike[str], file: str | os.PathLike[str]) -> bool:
    return Path(source).exists() and Path(source).samefile(file)

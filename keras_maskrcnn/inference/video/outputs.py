"""What is written of a video: a table, and an overlay."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import IO, Any

import numpy as np

from keras_maskrcnn.inference.many.tables import Row, json_lines
from keras_maskrcnn.inference.video.drafts import draft_of
from keras_maskrcnn.inference.video.reading import Frame, LostFrame, VideoReader
from keras_maskrcnn.inference.video.writing import VideoWriter


class Outputs:
    """Files that appear together when all of them are whole.

    Args:
        video: of which they are; it tells the times of the overlay.
        table: lines of JSON, or `None`.
        overlay: MP4, or `None`.

    Attributes:
        objects: how many rows of objects were written.
        codec: of the overlay; empty without one.
    """

    def __init__(
        self,
        video: VideoReader,
        table: str | os.PathLike[str] | None,
        overlay: str | os.PathLike[str] | None,
    ) -> None:
        self._video = video
        self._encode = json_lines()
        self._table: IO[bytes] | None = None
        self._overlay: Path | None = None
        self._writer: VideoWriter | None = None
        self.objects = 0
        self.codec = ""
        with contextlib.ExitStack() as files:
            if table is not None:
                draft = files.enter_context(draft_of(Path(table)))
                self._table = files.enter_context(open(draft, "wb"))
            if overlay is not None:
                self._overlay = files.enter_context(draft_of(Path(overlay)))
            # Before the drafts become files.
            files.callback(self._close_writer)
            self._files = files.pop_all()

    def __enter__(self) -> Outputs:
        return self

    def __exit__(self, *error: Any) -> None:
        self._files.__exit__(*error)

    def _close_writer(self) -> None:
        if self._writer is not None:
            self._writer.close(self._video.end)

    def write(self, frame: Frame, made: Future[tuple[Sequence[Row], np.ndarray | None]]) -> None:
        """Writes a frame's rows, and the frame as it is shown.

        Raises:
            ValueError: for a frame of another size than the first.
        """
        rows, drawn = made.result()
        self._write_rows(rows)
        self.objects += len(rows)
        if self._overlay is None or drawn is None:
            return
        if self._writer is None:
            self._writer = VideoWriter(
                self._overlay,
                time_base=self._video.time_base,
                rate=self._video.rate,
                pixel_aspect=self._video.pixel_aspect,
            )
            self.codec = self._writer.codec
        try:
            # A reader's frames have times.
            self._writer.write(drawn, frame.time or 0.0)
        except ValueError as error:
            where = f"frame {frame.number} of {self._video.source}"
            raise ValueError(f"Cannot write {where} to the overlay: {error}") from error

    def write_fault(self, frame: Frame | LostFrame, error: str) -> None:
        """Writes the row of a frame that is lost or damaged."""
        self._write_rows([{"frame": frame.number, "time": frame.time, "error": error}])

    def _write_rows(self, rows: Sequence[Row]) -> None:
        if self._table is not None:
            self._table.write(self._encode("objects", rows))

"""A client that gives what `MaskRCNN.predict` gives, with the model elsewhere."""

from __future__ import annotations

import dataclasses
import io
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from keras_maskrcnn.images.formats import format_of
from keras_maskrcnn.images.orientation import upright
from keras_maskrcnn.results import Detections, KnownPicture
from keras_maskrcnn.serving.client_inputs import FILES, PIXELS, PixelInput
from keras_maskrcnn.serving.client_rest import RestTransport
from keras_maskrcnn.serving.errors import ServerError
from keras_maskrcnn.serving.results import to_detections

# Seconds before the first repetition; each further one waits twice as long.
_FIRST_WAIT = 0.5


class _Transport(Protocol):
    def predict(self, contents: Sequence[bytes]) -> list[Mapping[str, Any]]: ...

    def predict_pixels(self, pictures: np.ndarray) -> list[Mapping[str, Any]]: ...

    def inputs(self) -> dict[str, PixelInput | None]: ...

    def close(self) -> None: ...


class Client:
    """Finds objects with a model that TensorFlow Serving holds.

    The model is one that `MaskRCNN.export` wrote; `maskrcnn serve` may stand in for TensorFlow
    Serving's REST API. Pictures travel as files; their classes' names
    come with the answer. One client may be used by several threads.

    A request is repeated only where the server was not reached, or says that it is not available:
    not after a timeout or an error, which the same picture would cause again.

    Args:
        url: `http://host:8501` or `https://...` for the REST API; `grpc://host:8500`, or
            `grpcs://...` for TLS, for the gRPC API. That one carries masks in a fraction of
            the bytes, and needs `pip install "maskrcnn-keras[serving]"`.
        model: the model's name on the server.
        version: its number on the server; by default the latest.
        timeout: seconds that a request may take (REST: without a sign of the server).
        retries: how often a request is repeated, after 0.5, 1, 2... seconds.

    Raises:
        ValueError: for another kind of URL.
        ImportError: where gRPC is asked for and not installed.

    Example:

    >>> with Client("http://localhost:8501", model="photos") as client:
    ...     found = client.predict(["a.jpg", "b.png"])
    >>> found[0].names
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        version: int | None = None,
        timeout: float = 60.0,
        retries: int = 2,
    ) -> None:
        scheme = url.partition("://")[0] if "://" in url else ""
        self._transport: _Transport
        if scheme in ("http", "https"):
            self._transport = RestTransport(url, model, version, timeout)
        elif scheme in ("grpc", "grpcs"):
            from keras_maskrcnn.serving.client_grpc import GrpcTransport

            self._transport = GrpcTransport(url, model, version, timeout)
        else:
            raise ValueError(
                f"url must start with http://, https://, grpc:// or grpcs://. Received: url={url!r}"
            )
        self._retries = retries
        self._inputs: dict[str, PixelInput | None] | None = None

    def predict(self, pictures: Any, batch_size: int = 1) -> list[Detections]:
        """Finds the objects of pictures.

        Args:
            pictures: a picture's path, the content of a picture file as bytes, pixels as uint8
                `[h, w, 3]` (RGB), or a list of these. Pixels, and files of formats that exported
                models do not decode, are sent as PNG. Of a model for other pictures, which takes
                no files, pixels `[h, w, C]` of the type and values that its export takes; they are
                sent as they are.
            batch_size: pictures per request.

        Returns:
            one `Detections` per picture, in its pixels: of a file turned upright, as its EXIF
            orientation says; of pixels as they are given. It knows its picture, by path or by
            reference, so that `found[0].show()` draws on it; of bytes it does not.

        Raises:
            TypeError, ValueError: for what is no picture, here or to the server; the message names
                the file, or the position of bytes and pixels.
            ConnectionError: where the server cannot be reached.
            TimeoutError: where it does not answer in time.
            ServerError: where it answers with another error; the message holds its reason and the
                files of the request.
        """
        # A tensor counts as an array.
        single = isinstance(pictures, str | os.PathLike | bytes)
        single = single or len(getattr(pictures, "shape", ())) == 3
        items = [pictures] if single else list(pictures)
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1. Received: batch_size={batch_size}")
        found: list[Detections] = []
        for start in range(0, len(items), batch_size):
            batch = items[start : start + batch_size]
            answers = self._predict(
                [self._prepared(item, at) for at, item in enumerate(batch, start)]
            )
            found.extend(
                dataclasses.replace(one, picture=_known(item))
                for one, item in zip(answers, batch, strict=True)
            )
        return found

    def close(self) -> None:
        """Closes the connection."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _prepared(self, item: Any, position: int) -> tuple[str, bytes | np.ndarray]:
        """A name for messages; and the content of a file that exported models decode, or pixels as
        the model takes them."""
        name, picture = _as_file_or_pixels(item, position)
        if isinstance(picture, bytes):
            return name, picture
        if self._inputs is None:
            try:
                self._inputs = self._transport.inputs()
            except ServerError:  # Not every server tells. All exports for RGB take files.
                self._inputs = {FILES: None}
        own = self._inputs.get(PIXELS)
        is_rgb = picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
        if 0 not in picture.shape and is_rgb and FILES in self._inputs:
            return name, _as_png(picture)
        if own is None or FILES in self._inputs:
            expected = "a path, bytes of a file, or an array uint8 [height, width, 3]"
            own = None
        else:
            expected = f"an array {own.dtype} [height, width, {own.channels}]"
        # NumPy's own floats hold a float32's values; all else must fit as it is.
        fits = own is not None and (
            np.can_cast(picture.dtype, own.dtype) or picture.dtype.kind == own.dtype.kind == "f"
        )
        if own is None or not fits or picture.ndim != 3 or picture.shape[2] != own.channels:
            raise ValueError(
                f"a picture must be {expected}. "
                f"Received: {name} of shape {picture.shape}, dtype {picture.dtype}"
            )
        return name, picture.astype(own.dtype, copy=False)

    def _predict(self, batch: list[tuple[str, bytes | np.ndarray]]) -> list[Detections]:
        """Of one request, if all are files, or pixels of one size; the pictures are names and
        contents."""
        shapes = {getattr(content, "shape", None) for _, content in batch}
        if len(shapes) > 1:
            return [found for picture in batch for found in self._predict([picture])]
        try:
            rows = self._send([content for _, content in batch])
            return [to_detections(row) for row in rows]
        except ServerError as error:
            if error.picture is not None and len(batch) > 1:
                # The position may be that in a batch which the server made of several requests.
                return [found for picture in batch for found in self._predict([picture])]
            names = ", ".join(name for name, _ in batch)
            if error.picture is not None:
                raise ValueError(f"the server cannot take {names}: {error.reason}") from error
            raise ServerError(
                f"{error} (asked about {names})", error.reason, error.unavailable
            ) from error

    def _send(self, contents: list[Any]) -> list[Mapping[str, Any]]:
        def ask() -> list[Mapping[str, Any]]:
            if isinstance(contents[0], bytes):
                return self._transport.predict(contents)
            return self._transport.predict_pixels(np.stack(contents))

        for attempt in range(self._retries):
            try:
                return ask()
            except (ConnectionError, ServerError) as error:
                if isinstance(error, ServerError) and not error.unavailable:
                    raise
            time.sleep(_FIRST_WAIT * 2**attempt)
        return ask()


def _known(item: Any) -> KnownPicture | None:
    """Where the picture of some results is; a file is read again only when it is drawn."""
    if isinstance(item, bytes):
        return None
    return KnownPicture(Path(item) if isinstance(item, os.PathLike) else item)


def _as_file_or_pixels(item: Any, position: int) -> tuple[str, bytes | np.ndarray]:
    """A name for messages; and the content of a file that exported models decode, or pixels."""
    name = f"picture {position}"
    if isinstance(item, str | os.PathLike):
        name = os.fspath(item)
        try:
            item = Path(item).read_bytes()
        except OSError as error:
            raise ValueError(f"Cannot read the picture {name}: {error}") from error
    if isinstance(item, bytes):
        format = format_of(item)
        if format is None or format.in_exports:
            return name, item  # What is no picture, the server says best.
        item = _decoded(item, name)
    return name, np.asarray(item)


def _as_png(pixels: np.ndarray) -> bytes:
    # Of no use before there are pixels to send.
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG", compress_level=1)
    return content.getvalue()


def _decoded(content: bytes, name: str) -> np.ndarray:
    """Upright, of a file that exported models cannot decode."""
    from keras_maskrcnn.data.decoding import decode_picture
    from keras_maskrcnn.data.headers import read_header

    try:
        header = read_header(content)
        return upright(decode_picture(content, header), header.orientation)
    except ValueError as error:
        raise ValueError(f"Cannot decode the picture {name}: {error}") from None

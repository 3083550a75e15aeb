"""The server's addresses.

| address | what |
|---|---|
| `POST /v1/models/NAME[/versions/N]:predict` | TensorFlow Serving's predict API |
| `GET /v1/models/NAME[/versions/N]`, `.../metadata` | its status and metadata |
| `POST /detect` | one picture as the body, objects with names and full-size masks as the answer |
| `GET /model` | names, classes and limits |
| `GET /` | a page to try the model on pictures |
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import numpy as np
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from keras_maskrcnn.data.decoding import decode_picture
from keras_maskrcnn.data.headers import PictureHeader, read_header
from keras_maskrcnn.images.formats import named, picture_formats
from keras_maskrcnn.images.orientation import upright, upright_size
from keras_maskrcnn.serving import rest
from keras_maskrcnn.serving.answers import detections_answer, error_answer
from keras_maskrcnn.serving.batching import Batcher, Outputs
from keras_maskrcnn.serving.model import FILES, PIXELS, BrokenPictureError, ServedModel
from keras_maskrcnn.serving.requests import (
    Limits,
    RequestError,
    check_content_type,
    read_body,
)

# curl's -d says the last but one, which TensorFlow Serving's own examples rely on.
_JSON_TYPES = ("application/json", "application/x-www-form-urlencoded", "")
_PICTURE_TYPES = tuple(format.media_type for format in picture_formats())
# What the model decodes by itself.
_EXPORTED = frozenset(format.name for format in picture_formats(in_exports=True))
_MODEL_PATH = re.compile(
    r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d+))?(?P<verb>:[a-z]+|/metadata)?"
)
_PAGE = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/drawing.js": ("drawing.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
}
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
# Reading a large body takes many times its size, so it is done for few at a time.
_READERS = 2

Handler = Callable[[Request], Awaitable[Response]]


def create_app(model: ServedModel, limits: Limits) -> Starlette:
    """The ASGI application.

    Args:
        model: to answer with.
        limits: what to take on.
    """
    service = _Service(model, limits)
    routes = [
        Route("/v1/{path:path}", service.serving_api, methods=["GET", "POST"]),
        Route("/detect", service.bounded(service.detect), methods=["POST"]),
        Route("/model", service.describe),
    ]
    for path, (file, media_type) in _PAGE.items():
        routes.append(Route(path, _static(file, media_type)))

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        work = asyncio.create_task(service.batcher.work())
        yield
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    handlers: dict[Any, Any] = {
        RequestError: _refuse,
        HTTPException: _refuse,
        ClientDisconnect: _leave,
        Exception: _fail,
    }
    return Starlette(routes=routes, exception_handlers=handlers, lifespan=lifespan)


class _Service:
    def __init__(self, model: ServedModel, limits: Limits) -> None:
        self.model = model
        if model.max_pixels is not None:
            limits = dataclasses.replace(
                limits, max_pixels=min(limits.max_pixels, model.max_pixels)
            )
        self.limits = limits
        self.accepted = rest.Accepted(
            model.pixels.channels, model.input_dtype, files=model.takes_files
        )
        self.batcher = Batcher(model.run, max_batch=limits.max_batch, max_wait=limits.max_wait)
        self._in_work = 0
        self._readers = anyio.CapacityLimiter(_READERS)

    def bounded(self, handler: Handler) -> Handler:
        """Refuses requests that would be too many at a time, before their bodies are read."""

        @functools.wraps(handler)
        async def admitted(request: Request) -> Response:
            if self._in_work >= self.limits.max_requests:
                raise RequestError(
                    503,
                    f"{self._in_work} requests are in work, as many as the server takes on",
                    {"Retry-After": "1"},
                )
            self._in_work += 1
            try:
                return await handler(request)
            finally:
                self._in_work -= 1

        return admitted

    async def serving_api(self, request: Request) -> Response:
        found = _MODEL_PATH.fullmatch(request.scope["path"])
        if found is None or found["verb"] not in (None, "/metadata", ":predict"):
            raise HTTPException(404)
        method = "POST" if found["verb"] == ":predict" else "GET"
        if request.method not in (method, "HEAD" if method == "GET" else method):
            raise HTTPException(405, headers={"Allow": method})
        known = found["version"] in (None, str(self.model.version))
        if found["name"] != self.model.name or not known:
            version = f" version {found['version']}" if found["version"] else ""
            raise RequestError(
                404,
                f"no model {found['name']}{version} here. There is {self.model.name} "
                f"version {self.model.version}",
            )
        if method == "POST":
            return await self.bounded(self.predict)(request)
        answer = rest.metadata_answer if found["verb"] else rest.status_answer
        return _json(await self._in_thread(answer, self.model))

    async def predict(self, request: Request) -> Response:
        """TensorFlow Serving's."""
        check_content_type(request, _JSON_TYPES)
        body = await read_body(request, self.limits)
        asked = await self._in_thread(rest.parse_predict, body, self.accepted)
        del body
        if len(asked.rows) > self.limits.max_batch:
            raise RequestError(
                400,
                f"expected at most {self.limits.max_batch} pictures in a request. "
                f"Received: {len(asked.rows)}",
            )
        if asked.signature == FILES:
            headers = [self.check_file(row, i, asked.place(i)) for i, row in enumerate(asked.rows)]
            for i, header in enumerate(headers):
                _check_exported(header, i, asked.place(i))
            key = self.model.canvas([_upright_size(header) for header in headers])
        else:
            key = asked.rows[0].shape
        try:
            outputs = await self._run(asked.signature, key, asked.rows)
        except BrokenPictureError as error:
            i = error.position
            raise _broken(headers[i], asked.rows[i], i, asked.place(i)) from None
        return _json(await self._in_thread(rest.predict_answer, outputs, asked.by_rows))

    async def detect(self, request: Request) -> Response:
        """Takes one file, and answers for it in the pixels of the upright picture."""
        check_content_type(request, _PICTURE_TYPES)
        content = await read_body(request, self.limits)
        header = self.check_file(content, 0, "the picture")
        try:
            if header.format in _EXPORTED and self.model.takes_files:
                key = self.model.canvas([_upright_size(header)])
                outputs = await self._run(FILES, key, [content])
            else:
                pixels = await self._in_thread(_decoded, content, header, self.model)
                outputs = await self._run(PIXELS, pixels.shape, [pixels])
        except BrokenPictureError:
            raise _broken(header, content, 0, "the picture") from None
        return _json(
            await self._in_thread(detections_answer, outputs, self.model, header.orientation)
        )

    async def describe(self, request: Request) -> Response:
        """What a client needs to know before it asks."""
        answer = {
            "name": self.model.name,
            "version": self.model.version,
            "class_names": self.model.class_names,
            "max_body": self.limits.max_body,
            "max_pixels": self.limits.max_pixels,
            "content_types": _PICTURE_TYPES,
            "page_formats": {f.name: f.media_type for f in picture_formats() if f.in_browsers},
        }
        return _json(rest.to_json(answer))

    def check_file(self, content: bytes, position: int, place: str) -> PictureHeader:
        """Refuses what is no picture, or one that would take too much memory."""
        try:
            header = read_header(content)
        except ValueError as error:
            raise RequestError(400, f"{place}: {error}", picture=position) from None
        if header.pixels > self.limits.max_pixels:
            frames = header.pixels // (header.width * header.height)
            raise RequestError(
                413,
                f"{place}: expected at most {self.limits.max_pixels} pixels. Received: "
                f"{header.width} x {header.height}{f' x {frames} frames' if frames > 1 else ''} "
                f"= {header.pixels}",
                picture=position,
            )
        # Of RGB of 16 bits.
        most = 6 * self.limits.max_pixels
        if header.bytes > most:
            raise RequestError(
                413,
                f"{place}: expected at most {most} bytes of pixels. Received: {header.width} x "
                f"{header.height} pixels of {header.channels} channels of {header.bits} bits",
                picture=position,
            )
        return header

    async def _run(self, signature: str, key: Any, rows: Sequence[Any]) -> Outputs:
        try:
            async with asyncio.timeout(self.limits.timeout):
                return await self.batcher.submit(signature, (signature, key), rows)
        except TimeoutError:
            raise RequestError(
                504, f"the model did not answer within {self.limits.timeout:g} seconds"
            ) from None

    async def _in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        return await anyio.to_thread.run_sync(function, *args, limiter=self._readers)


def _check_exported(header: PictureHeader, position: int, place: str) -> None:
    """Refuses what TensorFlow Serving would refuse, which has the model's own decoders alone."""
    if header.format not in _EXPORTED:
        raise RequestError(
            400,
            f"{place}: expected a {named(picture_formats(in_exports=True))} file. "
            f"Received: {header.format}",
            picture=position,
        )


def _decoded(content: bytes, header: PictureHeader, model: ServedModel) -> np.ndarray:
    """`[h, w, C]` as the model takes pixels, upright, of a file that it cannot decode."""
    try:
        pixels = upright(decode_picture(content, header, model.pixels), header.orientation)
        if pixels.dtype != np.uint8 == model.input_dtype:
            raise ValueError(
                "expected 8 bits per channel, as the exported model takes. Received: "
                f"{header.bits} bits"
            )
        return model.as_input(pixels)
    except ValueError as error:
        raise RequestError(400, f"the picture: {error}", picture=0) from None


def _upright_size(header: PictureHeader) -> tuple[int, int]:
    """Of the picture as the model sees it, which turns it as EXIF says."""
    return upright_size(header.height, header.width, header.orientation)


def _broken(header: PictureHeader, content: bytes, position: int, place: str) -> RequestError:
    return RequestError(
        400,
        f"{place}: cannot decode it. Expected a whole {header.format} file of {header.width} x "
        f"{header.height} pixels, as its header says. Received: {len(content)} bytes",
        picture=position,
    )


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")


def _static(file: str, media_type: str) -> Handler:
    content = (Path(__file__).parent / "page" / file).read_bytes()

    async def page(request: Request) -> Response:
        return Response(content, 200, _PAGE_HEADERS, media_type)

    return page


async def _refuse(request: Request, error: RequestError | HTTPException) -> Response:
    if isinstance(error, HTTPException):
        path = f"{request.method} {request.scope['path']}"
        message = {404: f"no such address: {path}", 405: f"method not allowed: {path}"}
        reason = message.get(error.status_code, error.detail)
        error = RequestError(error.status_code, reason, dict(error.headers or {}))
    return error_answer(error)


async def _leave(request: Request, error: ClientDisconnect) -> Response:
    return Response(status_code=400)  # Nobody is there to read it.


async def _fail(request: Request, error: Exception) -> Response:
    """An error of ours, which uvicorn logs."""
    return error_answer(RequestError(500, "the server failed; its log tells why"))

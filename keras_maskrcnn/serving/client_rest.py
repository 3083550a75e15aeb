"""TensorFlow Serving's REST API.

The standard library's `urllib` is enough for one kind of request: it knows TLS and the proxies of
the environment, and adds nothing to what is installed.
"""

from __future__ import annotations

import base64
import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_maskrcnn.serving.client_inputs import FILES, PIXELS, PixelInput, inputs_of
from keras_maskrcnn.serving.errors import ServerError

_SHOWN = 500


class RestTransport:
    """Sends picture files to one model.

    Args:
        url: `http://` or `https://`, host, port, and maybe the path of a proxy.
        model: name on the server.
        version: number on the server; `None` for the latest.
        timeout: seconds without a sign of the server.
    """

    def __init__(self, url: str, model: str, version: int | None, timeout: float) -> None:
        place = "" if version is None else f"/versions/{version}"
        name = urllib.parse.quote(model, safe="")
        self.target = f"{url.rstrip('/')}/v1/models/{name}{place}"
        self.timeout = timeout

    def predict(self, contents: Sequence[bytes]) -> list[Mapping[str, Any]]:
        """The outputs for each file.

        Raises:
            ConnectionError: where no server was reached.
            TimeoutError: where it did not answer in time.
            ServerError: where it answered with an error.
        """
        files = [{"image_bytes": {"b64": base64.b64encode(c).decode("ascii")}} for c in contents]
        return self._predict(FILES, files)

    def predict_pixels(self, pictures: np.ndarray) -> list[Mapping[str, Any]]:
        """`predict` of pixels `[B, h, w, C]`."""
        return self._predict(PIXELS, [{"images": picture.tolist()} for picture in pictures])

    def inputs(self) -> dict[str, PixelInput | None]:
        """What the model takes, by signature; errors as those of `predict`."""
        answer = self._ask(urllib.request.Request(f"{self.target}/metadata"))
        try:
            return inputs_of(json.loads(answer)["metadata"]["signature_def"]["signature_def"])
        except (ValueError, TypeError, LookupError) as error:
            raise ServerError(f"{self.target} did not tell what it takes: {error!r}") from error

    def _predict(self, signature: str, instances: list[Any]) -> list[Mapping[str, Any]]:
        body = json.dumps({"signature_name": signature, "instances": instances}).encode("ascii")
        headers = {"Content-Type": "application/json"}
        answer = self._ask(urllib.request.Request(f"{self.target}:predict", body, headers))
        return self._rows(answer, len(instances))

    def _ask(self, request: urllib.request.Request) -> bytes:
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as response:
                return response.read()
        except urllib.error.HTTPError as error:
            raise self._refusal(error) from error
        except (TimeoutError, urllib.error.URLError) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, TimeoutError):
                raise TimeoutError(
                    f"{self.target} did not answer within {self.timeout:g} seconds"
                ) from error
            raise ConnectionError(f"cannot reach {self.target}: {reason}") from error
        except (http.client.HTTPException, ConnectionError) as error:
            raise ServerError(
                f"{self.target} closed the connection without a whole answer: {error!r}"
            ) from error

    def close(self) -> None:
        """Nothing is kept open between requests."""

    def _refusal(self, error: urllib.error.HTTPError) -> ServerError:
        text = error.read().decode("utf-8", "replace")
        picture = None
        try:
            content = json.loads(text)
            reason = str(content["error"])
            if isinstance(content.get("picture"), int):  # Of `maskrcnn serve`.
                picture = content["picture"]
        except (ValueError, TypeError, KeyError, AttributeError):  # Of a proxy, or another server.
            reason = " ".join(text.split())[:_SHOWN] or str(error.reason)
        return ServerError.of_answer(
            f"{self.target} answered with HTTP status {error.code}",
            reason,
            unavailable=error.code == 503,
            picture=picture,
        )

    def _rows(self, answer: bytes, count: int) -> list[Mapping[str, Any]]:
        try:
            rows = json.loads(answer)["predictions"]
        except (ValueError, TypeError, KeyError) as error:
            start = answer[:_SHOWN].decode("utf-8", "replace")
            raise ServerError(
                f"{self.target} did not answer as TensorFlow Serving does. Received: {start}"
            ) from error
        if len(rows) != count or not all(isinstance(row, dict) for row in rows):
            raise ServerError(
                f"expected {count} rows of outputs of {self.target}. Received: {len(rows)} rows"
            )
        return rows

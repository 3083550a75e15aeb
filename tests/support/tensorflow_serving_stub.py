"""An exported model behind TensorFlow Serving's two documented APIs, in this process.

REST: https://www.tensorflow.org/tfx/serving/api_rest (row format). gRPC: the PredictionService of
`tensorflow-serving-api`. Errors have the codes that TensorFlow Serving gives them.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import threading
from collections.abc import Iterator
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

MODEL = "photos"


class Served:
    """The one model of a server; `requests` holds the number of pictures of each request."""

    def __init__(self, folder: Path) -> None:
        self.model = tf.saved_model.load(str(folder / "1"))
        self.requests: list[int] = []

    def run(self, name: str, version: int | None, signature: str, inputs: dict[str, Any]) -> Any:
        if name != MODEL or version not in (None, 1):
            raise LookupError(f"Servable not found for request: {name}, version {version}")
        (values,) = inputs.values()
        self.requests.append(len(values))
        outputs = self.model.signatures[signature](**inputs)
        return {key: value.numpy() for key, value in outputs.items()}


class RestHandler(BaseHTTPRequestHandler):
    served: Served

    def do_POST(self) -> None:
        place = re.fullmatch(r"/v1/models/([^/]+)(?:/versions/(\d+))?:predict", self.path)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            if place is None:
                raise LookupError(f"Malformed request: POST {self.path}")
            version = int(place[2]) if place[2] else None
            rows = body["instances"]
            inputs = {
                name: tf.constant([base64.b64decode(row[name]["b64"]) for row in rows])
                for name in rows[0]
            }
            outputs = self.served.run(place[1], version, body["signature_name"], inputs)
            names = [(key, value.tolist()) for key, value in outputs.items()]
            predictions = [{k: text(v[i]) for k, v in names} for i in range(len(rows))]
            self.answer(200, {"predictions": predictions})
        except LookupError as error:
            self.answer(404, {"error": str(error)})
        except tf.errors.InvalidArgumentError as error:
            self.answer(400, {"error": error.message})

    def answer(self, status: int, content: Any) -> None:
        body = json.dumps(content, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing on the terminal."""


def text(value: Any) -> Any:
    """Strings are text in JSON."""
    if isinstance(value, list):
        return [text(v) for v in value]
    return value.decode() if isinstance(value, bytes) else value


@contextlib.contextmanager
def http_server(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serves on a free port; yields the URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def rest_server(served: Served) -> Iterator[str]:
    with http_server(type("Handler", (RestHandler,), {"served": served})) as url:
        yield url


@contextlib.contextmanager
def grpc_server(served: Served) -> Iterator[str]:
    import grpc
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):  # noqa: N802
            spec = request.model_spec
            version = spec.version.value if spec.HasField("version") else None
            inputs = {k: tf.constant(tf.make_ndarray(v)) for k, v in request.inputs.items()}
            try:
                outputs = served.run(spec.name, version, spec.signature_name, inputs)
            except LookupError as error:
                context.abort(grpc.StatusCode.NOT_FOUND, str(error))
            except tf.errors.InvalidArgumentError as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
            response = predict_pb2.PredictResponse()
            for name, value in outputs.items():
                response.outputs[name].CopyFrom(tf.make_tensor_proto(np.asarray(value)))
            return response

    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(futures.ThreadPoolExecutor(2), options=options)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"grpc://127.0.0.1:{port}"
    finally:
        server.stop(None).wait()

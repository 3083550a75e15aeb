"""TensorFlow Serving's gRPC API, with the stubs of `tensorflow-serving-api`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras_maskrcnn.optional import needed_for
from keras_maskrcnn.serving.errors import ServerError

# A hundred masks are 300 KB of floats: a few pictures go beyond gRPC's own limit of 4 MB.
_OPTIONS = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))


class GrpcTransport:
    """Sends picture files to one model.

    Args:
        url: `grpc://host:port`, or `grpcs://host:port` for TLS with the roots that gRPC trusts.
        model: name on the server.
        version: number on the server; `None` for the latest.
        timeout: seconds for a whole request.

    Raises:
        ImportError: where the stubs are not installed.
    """

    def __init__(self, url: str, model: str, version: int | None, timeout: float) -> None:
        with needed_for(url, "maskrcnn-keras[serving]"):
            import grpc
            from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
        scheme, _, address = url.rstrip("/").partition("://")
        if scheme == "grpcs":
            credentials = grpc.ssl_channel_credentials()
            self._channel = grpc.secure_channel(address, credentials, options=_OPTIONS)
        else:
            self._channel = grpc.insecure_channel(address, options=_OPTIONS)
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._request = predict_pb2.PredictRequest()
        self._request.model_spec.name = model
        self._request.model_spec.signature_name = "encoded"
        if version is not None:
            self._request.model_spec.version.value = version
        self._grpc = grpc
        self.target = f"model {model} of {url}"
        self.timeout = timeout

    def predict(self, contents: Sequence[bytes]) -> list[Mapping[str, Any]]:
        """The outputs for each file.

        Raises:
            ConnectionError: where no server was reached, or it is not available.
            TimeoutError: where it did not answer in time.
            ServerError: where it answered with an error.
        """
        import tensorflow as tf

        request = type(self._request)()
        request.CopyFrom(self._request)
        request.inputs["image_bytes"].CopyFrom(
            tf.make_tensor_proto(list(contents), tf.string, [len(contents)])
        )
        try:
            response = self._stub.Predict(request, timeout=self.timeout)
        except self._grpc.RpcError as error:
            raise self._explain(error) from error
        outputs = {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}
        return [
            {name: value[row] for name, value in outputs.items()} for row in range(len(contents))
        ]

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    def _explain(self, error: Any) -> OSError:
        code, reason = error.code(), error.details() or ""
        if code == self._grpc.StatusCode.DEADLINE_EXCEEDED:
            return TimeoutError(f"{self.target} did not answer within {self.timeout:g} seconds")
        if code == self._grpc.StatusCode.UNAVAILABLE:
            return ConnectionError(f"cannot reach {self.target}: {reason}")
        return ServerError.of_answer(f"{self.target} answered with {code.name}", reason)

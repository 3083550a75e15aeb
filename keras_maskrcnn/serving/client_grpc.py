"""TensorFlow Serving's gRPC API, with the stubs of `tensorflow-serving-api`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_maskrcnn.optional import needed_for
from keras_maskrcnn.serving.client_inputs import FILES, PIXELS, PixelInput, inputs_of
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

        tensor = tf.make_tensor_proto(list(contents), tf.string, [len(contents)])
        return self._predict(FILES, "image_bytes", tensor, len(contents))

    def predict_pixels(self, pictures: np.ndarray) -> list[Mapping[str, Any]]:
        """`predict` of pixels `[B, h, w, C]`."""
        import tensorflow as tf

        return self._predict(PIXELS, "images", tf.make_tensor_proto(pictures), len(pictures))

    def inputs(self) -> dict[str, PixelInput | None]:
        """What the model takes, by signature; errors as those of `predict`."""
        from google.protobuf import json_format
        from tensorflow_serving.apis import get_model_metadata_pb2 as metadata

        request = metadata.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.CopyFrom(self._request.model_spec)
        request.model_spec.ClearField("signature_name")
        try:
            response = self._stub.GetModelMetadata(request, timeout=self.timeout)
        except self._grpc.RpcError as error:
            raise self._explain(error) from error
        signatures = metadata.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        options = {"preserving_proto_field_name": True}
        return inputs_of(
            {
                name: json_format.MessageToDict(signature, **options)
                for name, signature in signatures.signature_def.items()
            }
        )

    def _predict(
        self, signature: str, name: str, tensor: Any, count: int
    ) -> list[Mapping[str, Any]]:
        import tensorflow as tf

        request = type(self._request)()
        request.CopyFrom(self._request)
        request.model_spec.signature_name = signature
        request.inputs[name].CopyFrom(tensor)
        try:
            response = self._stub.Predict(request, timeout=self.timeout)
        except self._grpc.RpcError as error:
            raise self._explain(error) from error
        outputs = {key: tf.make_ndarray(value) for key, value in response.outputs.items()}
        return [{key: value[row] for key, value in outputs.items()} for row in range(count)]

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

"""The two walks for XLA, which compiles a whole step into few kernels and must know every shape."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Hashable

import keras

from keras_maskrcnn.models.network import Network

# Norms that train on the statistics of a batch.
_OF_THE_BATCH = ("batch", "sync_batch")


class XlaGraphs:
    """Functional models of layers that XLA can compile, with a network's own weights.

    Args:
        network: of the model, which does not notice.
    """

    def __init__(self, network: Network) -> None:
        self._network = network.variant(backend="gather", fixed_slots=True)
        self.inference = functools.cache(self._inference)
        self.training = functools.cache(self._training)

    def _inference(self) -> keras.Model:
        """As the model itself.

        Raises:
            ValueError: naming the layers that XLA cannot compile.
        """
        return _compilable(self._network.inference_graph())

    def _training(self, layouts: tuple[Hashable, ...]) -> keras.Model:
        """As `Network.training_graph`.

        Raises:
            ValueError: as `inference`, and for parts that would take padding for RoIs.
        """
        _require_masking(self._network)
        return _compilable(self._network.training_graph(layouts))


def _compilable(graph: keras.Model) -> keras.Model:
    names = sorted(layer.name for layer in graph.layers if not layer.supports_jit)
    if names:
        raise ValueError(
            "jit_compile=True needs layers whose shapes do not depend on what is in a picture. "
            f"Received: layers {names} in the graph of {graph.name}"
        )
    return graph


def _require_masking(network: Network) -> None:
    """Makes sure that padding among the RoIs enters neither a statistic nor a loss."""
    parts = {name: network.parts[name] for name in ("box", *(head.name for head in network.heads))}
    if network.neck.shares_roi_features:
        parts["backbone"] = network.parts["backbone"]  # Its last stage sees RoIs.
    norms = {f"{name}.norm": part.get_config().get("norm") for name, part in parts.items()}
    norms = {name: norm for name, norm in norms.items() if norm in _OF_THE_BATCH}
    if norms:
        raise ValueError(
            "jit_compile=True needs heads whose norms do not train on the statistics of a batch, "
            f"in which RoIs that are padding would count. Received: {norms}"
        )
    for head in network.heads:
        if "real" not in inspect.signature(head.losses).parameters:
            raise ValueError(
                "jit_compile=True needs heads whose losses take `real`, which RoIs are no padding, "
                f"see heads.RoIHead.losses. Received: head {head.name!r} without it"
            )

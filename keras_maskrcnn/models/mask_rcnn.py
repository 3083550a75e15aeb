"""The model that users hold."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

import keras_maskrcnn.schedules  # noqa: F401  # A saved optimizer holds one: Keras must know it.
from keras_maskrcnn.checks import at_least
from keras_maskrcnn.images.input_size import InputSize
from keras_maskrcnn.images.pixels import PixelFormat
from keras_maskrcnn.layers.preprocessing import check_statistics
from keras_maskrcnn.models.assembly import make_parts
from keras_maskrcnn.models.finite import FiniteGuard
from keras_maskrcnn.models.network import Network
from keras_maskrcnn.models.objective import layouts, loss_names, needed_targets
from keras_maskrcnn.models.pretrained import PretrainedDetector, load_backbone
from keras_maskrcnn.models.xla import XlaGraphs
from keras_maskrcnn.parts import describe, restore
from keras_maskrcnn.tensorflow_errors import plain_errors

if TYPE_CHECKING:
    from keras_maskrcnn.inference.tiling import Tiling
    from keras_maskrcnn.results import Detections

Tensor = Any

# Of the saved configuration; raised with every change that older files do not fit.
CONFIG_VERSION = 1


@keras.saving.register_keras_serializable(package="keras_maskrcnn")
class MaskRCNN(PretrainedDetector):
    """Mask R-CNN (He, Gkioxari, Dollár, Girshick 2017), as one Keras model.

    A Functional model from pictures to detections. `fit` and `evaluate` feed the ground truth
    through the same layers; no mode is switched by hand.

    A part is chosen by name (`backbone="resnet101"`), by a dict of its settings
    (`rpn={"samples": 128}`), with `name` where it is not the default, or by an object
    (`heads=["mask", MyHead()]`). Defaults are the paper's numbers in the form of its FPN variant; a
    preset for foreign weights binds others.

    Args:
        num_classes: foreground classes `K`; background is not counted.
        class_names: `K` names, or empty for `class_0 ...`.
        backbone: of `backbones.BACKBONES`, or any Keras model with a pyramid of outputs.
        neck: of `necks.NECKS`: `"fpn"` (P2..P6) or `"c4"` (one map at stride 16, res5 in the head).
        rpn: settings of `heads.RPN`.
        box: settings of `heads.Box`.
        heads: of `heads.HEADS`: what describes the boxes that are found, in this order.
        pooler: of `poolers.POOLERS`, for every head that has no choice of its own.
        weights: `None` for random weights; `"imagenet"` for a ResNet-50/101 backbone through
            Keras' own download; or a path to backbone weights
            (see `keras_maskrcnn.weights.load_backbone_weights`).
        min_size, max_size: a picture is resized so that the shorter side is `min_size` and the
            longer side at most `max_size`, in pixels.
        size_divisor: batches are padded to a multiple of it.
        box_style: `"continuous"`, or `"matterport"`: inside the network boxes end on their last
            pixel (x2 - 1), and proposals may reach into the padding. Results and ground truth are
            continuous either way.
        weight_decay: L2 penalty coefficient; the loss grows by half of it times the squared sum of
            every trained kernel. As in Detectron, biases and norms do not decay; detectron2's
            recipe decays biases too, torchvision's all that trains. As a part of the loss it is
            within the norm at which an optimizer clips, where PyTorch's SGD adds it afterwards.
        seed: of the samplers.
        channels: `C` of the pictures.
        value_range: `(low, high)`, the values of pictures that count as black and white; `None`: by
            the type of their values, see `images.pixels.PixelFormat`.
        pixel_mean, pixel_std: mean and deviation of the pixels, a number for each channel on the
            scale 0..255, as `measure_pixels` gives them: in place of ImageNet's, which belong to
            the weights; see `layers.preprocessing.ImageNormalization`. Needed for other channels
            than 3. A backbone of one's own with `preprocessing="none"` then gets values of mean 0
            and deviation 1.
        name: of the model.
        dtype: dtype policy of the heavy layers, such as `"mixed_bfloat16"`; by default Keras'
            global one. Coordinates and losses stay float32. A saved model keeps its policy.

    Call arguments:
        inputs: `[B, H, W, C]` pictures (RGB, where there are three channels) on the scale 0..255,
            from black to white; or a dict of `images` and `image_sizes` (int32 `[B, 2]`, height and
            width of the valid area; the rest is padding).

    Returns:
        dict of `boxes` float32 `[B, D, 4]` in pixels of the input, `scores` float32 `[B, D]`
        falling, `classes` int32 `[B, D]` (-1 where padded), `counts` int32 `[B]`, and the results
        of the heads: `masks` float32 `[B, D, M, M]`, the probability that a pixel of the box
        belongs to the object.

    Raises:
        ValueError: for a setting that does not exist or is out of range, naming the nearest.

    Example:

    ```python
    data = keras_maskrcnn.load_coco("instances.json", "pictures/")
    model = MaskRCNN(num_classes=len(data.class_names), class_names=data.class_names)
    model.compile()
    model.fit(data.batches(2, shuffle=True, augment=True), epochs=12)
    detections = model.predict("picture.jpg")[0]
    ```
    """

    def __init__(
        self,
        num_classes: int,
        *,
        class_names: Sequence[str] = (),
        backbone: Any = "resnet50",
        neck: Any = "fpn",
        rpn: Any = None,
        box: Any = None,
        heads: Sequence[Any] = ("mask",),
        pooler: Any = "roi_align",
        weights: str | None = None,
        min_size: int = 800,
        max_size: int = 1333,
        size_divisor: int = 32,
        box_style: str = "continuous",
        weight_decay: float = 1e-4,
        seed: int = 0,
        channels: int = 3,
        value_range: tuple[float, float] | None = None,
        pixel_mean: Sequence[float] | None = None,
        pixel_std: Sequence[float] | None = None,
        name: str = "mask_rcnn",
        dtype: Any = None,
    ) -> None:
        at_least(1, num_classes=num_classes)
        at_least(0, weight_decay=weight_decay)
        if class_names and len(class_names) != num_classes:
            raise ValueError(
                f"class_names must hold num_classes={num_classes} names. "
                f"Received: {len(class_names)} names"
            )
        pixels = PixelFormat(channels, value_range)
        if channels != 3 and (pixel_mean is None or pixel_std is None):
            raise ValueError(
                f"channels={channels} needs pixel_mean and pixel_std, a number for each channel: "
                "MaskRCNN(..., **keras_maskrcnn.measure_pixels(data)). "
                f"Received: pixel_mean={pixel_mean}, pixel_std={pixel_std}"
            )
        check_statistics(pixel_mean, pixel_std, channels)
        input_size = InputSize(min_size, max_size, size_divisor)
        policy = keras.dtype_policies.get(dtype)
        parts = make_parts(backbone, neck, rpn, box, heads, weights)
        network = Network(
            **parts,
            num_classes=num_classes,
            pooler=pooler,
            box_style=box_style,
            seed=seed,
            channels=channels,
            pixel_mean=pixel_mean,
            pixel_std=pixel_std,
            dtype=policy,
        )
        images = keras.Input((None, None, channels), dtype="float32", name="images")
        image_sizes = keras.Input((2,), dtype="int32", name="image_sizes")
        super().__init__(
            inputs={"images": images, "image_sizes": image_sizes},
            outputs=network.inference(images, image_sizes),
            name=name,
        )
        self.dtype_policy = policy
        self.num_classes = num_classes
        self.given_class_names = tuple(class_names)
        self.input_size = input_size
        self.pixels = pixels
        self.seed = seed
        self.weight_decay = weight_decay
        self.network = network
        self._arguments = {
            "num_classes": num_classes,
            "class_names": list(class_names),
            **{key: describe(part) for key, part in parts.items()},
            "pooler": describe(pooler),
            "min_size": min_size,
            "max_size": max_size,
            "size_divisor": size_divisor,
            "box_style": box_style,
            "weight_decay": weight_decay,
            "seed": seed,
            "channels": channels,
            "value_range": describe(pixels.value_range),
            "pixel_mean": _numbers(pixel_mean),
            "pixel_std": _numbers(pixel_std),
        }
        # Layers that only training uses: tracked for their random state.
        self.anchor_targets = network.rpn.anchor_targets
        self.detection_targets = network.box.targets
        # A function remembers the graphs, so that Keras does not count their layers twice.
        self.training_graph = functools.cache(network.training_graph)
        self.finding_graph = functools.cache(network.finding_graph)
        self.description_graph = functools.cache(network.description_graph)
        self.xla_graphs = functools.cache(functools.partial(XlaGraphs, network))
        self._finite_guard = FiniteGuard()
        self._loss_means = [keras.metrics.Mean(name=name) for name in loss_names(network)]
        if weights is not None:
            self.load_report = load_backbone(network, weights)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the foreground classes."""
        return self.given_class_names or tuple(f"class_{i}" for i in range(self.num_classes))

    @property
    def keypoint_shift(self) -> float:
        """What makes the network's keypoints continuous, in pixels of the picture as on disk."""
        return sum(getattr(head, "shift", 0.0) for head in self.network.heads)

    @property
    def needs_masks(self) -> bool:
        """Whether training reads the objects' masks."""
        return "masks" in needed_targets(self.network)

    @property
    def result_names(self) -> tuple[str, ...]:
        """Names of what the model returns."""
        return tuple(self.output)

    @property
    def input_spec(self) -> None:
        """Nothing to enforce: `call` accepts plain pictures and dicts."""
        return None

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if not isinstance(inputs, dict):
            inputs = {"images": inputs}
        if "boxes" in inputs:
            make = self.xla_graphs().training if self.jit_compile else self.training_graph
            graph = make(layouts(self.network, inputs))
            return graph({name: inputs[name] for name in graph.input}, training=training)
        images = inputs["images"]
        sizes = inputs.get("image_sizes")
        if sizes is None:
            batch, height, width = ops.shape(images)[:3]
            row = ops.cast(ops.stack([height, width]), "int32")[None]
            sizes = ops.tile(row, (batch, 1))
        inputs = {"images": images, "image_sizes": sizes}
        if self.jit_compile:
            return self.xla_graphs().inference()(inputs, training=training)
        return super().call(inputs, training=training)

    @plain_errors()
    def predict(
        self,
        x: Any,
        batch_size: int = 1,
        verbose: Any = "auto",
        augment: Any = False,
        tile: int | Tiling | None = None,
        overlap: int | None = None,
    ) -> list[Any]:
        """Finds the objects of pictures.

        Args:
            x: a picture's path, a picture as an array `[H, W, C]` or of Pillow, a list of these, a
                `DetectionData`, or a data set of `(images, targets)` as `fit` takes. Values of
                arrays count as `value_range` says; without one, uint8 and floats are 0..255, and
                uint16 is 0..65535.
            batch_size: pictures per step, with `augment` those read at once, with `tile` tiles per
                step; pictures of a data set come batched.
            verbose: `0` hides the progress bar.
            augment: test-time augmentation: `True` looks at each picture in several sizes and
                mirrored, and merges what is found; a `TestTimeAugmentation` says which sizes. Each
                size takes four times as long as no augmentation: two passes, each mirrored, too.
            tile: look at pictures in their own size, in tiles of this side in pixels, of which no
                more than `batch_size` are in memory (see `Tiling`, which may be given, too). Masks
                are `Detections.outlines`, and objects that several tiles see are joined.
            overlap: of neighbouring tiles, in pixels; an eighth of `tile` by default.

        Returns:
            one `Detections` per picture, in the pixels of the picture as given (of a data set: as
            on disk). It knows its picture, by path or by reference, so that `found[0].show()`
            draws on it; of a data set of batches it does not.

        Raises:
            TypeError, ValueError: for what is no picture, with its position; for `augment` or
                `tile` with a data set of `(images, targets)`, whose pictures have a size already,
                and for both at once.
        """
        # Pictures and results are not needed to build or train a model.
        from keras_maskrcnn.inference.predict import predict_dataset, predict_pictures

        show = verbose not in (0, "0")
        if hasattr(x, "element_spec"):
            return predict_dataset(self, x, show, augment, tile)
        return predict_pictures(self, x, batch_size, show, augment, tile, overlap)

    @plain_errors()
    def describe(self, picture: Any, boxes: Any, classes: Any = None) -> Detections:
        """Tells what is in boxes that a person or another detector drew.

        Args:
            picture: a path, an array `[H, W, C]`, or a picture of Pillow, as `predict` takes them.
            boxes: `[D, 4]`, x1 y1 x2 y2 in pixels of the picture.
            classes: a name or an index for each box; by default each box's most likely class.

        Returns:
            `Detections` of these boxes in this order: classes with their scores, and what the
            heads say, such as masks. Boxes are clipped to the picture; one that lies outside of it
            is left out.

        Raises:
            TypeError, ValueError: for what is no picture, box or class of the model.
        """
        from keras_maskrcnn.inference.describe import describe_boxes

        return describe_boxes(self, picture, boxes, classes)

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "dtype": self.dtype_policy.name,
            "version": CONFIG_VERSION,
            **self._arguments,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> MaskRCNN:
        arguments = dict(config)
        version = arguments.pop("version", None)
        if version != CONFIG_VERSION:
            raise ValueError(
                f"this keras_maskrcnn reads models whose configuration has version "
                f"{CONFIG_VERSION}. Received: version={version}"
            )
        return cls(**{key: restore(value) for key, value in arguments.items()})


def _numbers(values: Sequence[float] | None) -> list[float] | None:
    """As JSON holds them, of NumPy's too."""
    return None if values is None else [float(value) for value in values]

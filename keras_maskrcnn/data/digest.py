"""Whether two machines have the same data, without sending it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from keras_maskrcnn.data.shard_files import name_as_file

if TYPE_CHECKING:
    from keras_maskrcnn.data.detection_data import DetectionData


def data_digest(data: DetectionData) -> str:
    """A text that differs where pictures do, or their order, or what is annotated on them.

    Of pictures, names, ids and sizes count, and of objects classes and boxes; pixels do not, nor
    does the folder in which they lie.

    Args:
        data: the pictures.
    """
    digest = hashlib.blake2b(digest_size=8)
    for record in data.records:
        instances = record.instances
        numbers = [record.image_id, record.height, record.width, len(instances)]
        kinds = [value for i in instances for value in (i.category, i.is_crowd)]
        digest.update(name_as_file(record.path).name.encode("utf-8", "surrogateescape"))
        digest.update(np.array([*numbers, *kinds], np.int64).tobytes())
        digest.update(np.array([i.box for i in instances], np.float64).tobytes())
    return digest.hexdigest()

"""What Matterport's weights mean, as settings of a model.

Apart from the reader of its files, which needs Keras: presets are listed without.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any

# A model that differs in one of them computes something else.
MATTERPORT_CONVENTIONS: Mapping[str, Any] = types.MappingProxyType(
    {
        "backbone.stride_in_1x1": True,
        "backbone.stem_pool": "same",
        "backbone.preprocessing": "matterport",
        "rpn.anchor_style": "exact",
        "rpn.anchor_offset": 0.0,
        "rpn.weights": (10.0, 10.0, 5.0, 5.0),
        "rpn.per_level": False,
        "box.weights": (10.0, 10.0, 5.0, 5.0),
        "box.one_class_per_roi": True,
        "box_style": "matterport",
        "pooler": "crop_and_resize",
    }
)

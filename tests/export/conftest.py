"""What the tests of this folder share; the fixture `exported` is for all tests."""

from exported_model import (
    EXPORTED_DETECTIONS,
    assert_results_equal,
    distinct_model,
    encode,
    make_picture,
)

__all__ = [
    "EXPORTED_DETECTIONS",
    "assert_results_equal",
    "distinct_model",
    "encode",
    "make_picture",
]

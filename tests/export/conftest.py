"""What the tests of this folder share; the fixture `exported` is for all tests."""

from exported_model import (
    DETECTIONS,
    EXPORTED_DETECTIONS,
    assert_results_equal,
    distinct_model,
    encode,
    encode_turned,
    make_picture,
    same_arithmetic,
)

__all__ = [
    "DETECTIONS",
    "EXPORTED_DETECTIONS",
    "assert_results_equal",
    "distinct_model",
    "encode",
    "encode_turned",
    "make_picture",
    "same_arithmetic",
]

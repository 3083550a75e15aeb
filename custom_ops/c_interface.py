"""What test/c_interface.cc takes, for ctypes."""

from __future__ import annotations

import ctypes


class Level(ctypes.Structure):
    """problem.h's Level."""

    _fields_ = (
        ("height", ctypes.c_int),
        ("width", ctypes.c_int),
        ("scale", ctypes.c_float),
    )


class Problem(ctypes.Structure):
    """problem.h's Problem."""

    _fields_ = (
        ("batch", ctypes.c_int),
        ("channels", ctypes.c_int),
        ("levels", ctypes.c_int),
        ("level", Level * 8),
        ("rois", ctypes.c_int),
        ("boxes", ctypes.c_void_p),
        ("batch_indices", ctypes.c_void_p),
        ("level_indices", ctypes.c_void_p),
        ("out_height", ctypes.c_int),
        ("out_width", ctypes.c_int),
        ("sampling_ratio", ctypes.c_int),
        ("aligned", ctypes.c_bool),
    )

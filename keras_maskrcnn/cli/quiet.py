"""TensorFlow started without its notes."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

_LEVEL, _QUIET = "TF_CPP_MIN_LOG_LEVEL", "3"

# Where the driver of an NVIDIA card lists what it drives.
_CARDS = Path("/proc/driver/nvidia/gpus")


def verbose_argument(parser: argparse.ArgumentParser) -> None:
    """`--verbose`."""
    parser.add_argument(
        "--verbose", action="store_true", help="show the log of TensorFlow and its libraries"
    )


def quieten(verbose: bool) -> None:
    """Sets what TensorFlow reads when it starts: without `verbose`, its log is not shown.

    What is wrong reaches the user as an error of Python. `TF_CPP_MIN_LOG_LEVEL` goes before.
    """
    os.environ.setdefault(_LEVEL, "0" if verbose else _QUIET)


def start_tensorflow() -> None:
    """Imports TensorFlow, once options and data are checked.

    Its first lines are written before it knows that it should be quiet: they are put aside, and
    shown only if it does not start, or after `quieten(verbose=True)`. A card that it cannot use is
    told in a line.
    """
    if "tensorflow" in sys.modules:
        return
    is_quiet = os.environ.get(_LEVEL, "0") >= _QUIET
    with _errors_aside() if is_quiet else contextlib.nullcontext():
        import tensorflow as tf

        seen = tf.config.list_physical_devices("GPU")
    if not seen and _CARDS.is_dir() and any(_CARDS.iterdir()):
        print(
            "An NVIDIA GPU is there, but TensorFlow cannot use it, and computes on the CPU: "
            "--verbose shows its reason (often a missing `pip install tensorflow[and-cuda]`)",
            file=sys.stderr,
        )


@contextlib.contextmanager
def _errors_aside() -> Iterator[None]:
    """Keeps what this process writes to its standard error, native code included; shows it if
    that ends in an error."""
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # There is none.
        yield
        return
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(kept, 2)
            aside.seek(0)
            os.write(2, aside.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)

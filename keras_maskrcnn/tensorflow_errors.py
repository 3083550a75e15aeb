"""TensorFlow's errors in plain words: without its graph, and without tracebacks inside a text."""

from __future__ import annotations

import builtins
import contextlib
import re
from collections.abc import Iterator

# What TensorFlow writes around a sentence: "{{function_node __wrapped__DecodeImage_...}}",
# "[[{{node PyFunc}}]]", "[[IteratorGetNext]]", "[Op:DecodeImage]". Lists of a user look otherwise.
_NODE = r"\{\{(?:function_)?node [^}]*\}\}"
_INTERNALS = re.compile(rf"\s*(?:\[\[(?:{_NODE}|[A-Z]\w*)\]\]|{_NODE}|\[Op:\w+\])")

# The last line of a Python traceback: "ValueError: Image id 3: ...".
_RAISED = re.compile(r"^\s*(\w+): (.+)$", re.MULTILINE)


def without_internals(text: str) -> str:
    """A text in one line, without the names that TensorFlow gives to parts of its graph."""
    return " ".join(_INTERNALS.sub("", text).split())


def pipeline_message(error: BaseException) -> str | None:
    """What was wrong with the user's data, of an error that arrives through TensorFlow.

    A `ValueError` or `OSError` that Python code raises inside a `tf.data` pipeline, such as for a
    picture that cannot be decoded, arrives as an error of TensorFlow. Its text holds the traceback,
    and nothing else crosses: no object of Python's does.

    Args:
        error: any error.

    Returns:
        One line, or `None` when TensorFlow means something else.
    """
    # Without TensorFlow itself: a command that fails before it is needed should not wait for it.
    if not type(error).__module__.startswith("tensorflow"):
        return None
    for name, message in reversed(_RAISED.findall(str(error))):
        kind = getattr(builtins, name, None)
        if isinstance(kind, type) and issubclass(kind, ValueError | OSError):
            return without_internals(message)
    return None


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Raises errors of a `tf.data` pipeline as the `ValueError` that they were inside it.

    Also a decorator.

    Raises:
        ValueError: with the message of the Python code that failed, and nothing of TensorFlow's.
    """
    try:
        yield
    except Exception as error:
        message = pipeline_message(error)
        if message is None:
            raise
        # What it hides is the same message in several pages of TensorFlow's own code.
        raise ValueError(message) from None

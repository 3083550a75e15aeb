"""What may become of a case, and what may not."""

from __future__ import annotations

import re

# Good ends.
ACCEPTED = "accepted"  # and right
LEFT_OUT = "left out"  # accepted but for items that are counted and named
REFUSED = "refused"  # by an error that says which file or request, and why
# Bad ends.
CRASH = "crash"  # the process died
HANG = "hang"  # no answer in time
MEMORY = "memory"  # more than `MEMORY_LIMIT`
UNCLEAR = "unclear"  # another error, or words that do not help
SILENT = "silent"  # something was lost, changed or let through, and nothing was said

GOOD = (ACCEPTED, LEFT_OUT, REFUSED)
BAD = (CRASH, HANG, MEMORY, UNCLEAR, SILENT)

# Bytes of a process.
MEMORY_LIMIT = 1_500_000_000

_LONGEST_MESSAGE = 1500
# What no user can read: TensorFlow's internals, places in memory, traces.
_INTERNALS = re.compile(r"\{\{function_node|Traceback \(most recent|\bat 0x[0-9a-f]{6,}|<class '")


class SilentError(Exception):
    """Something passed that should not have, or was lost."""


class UnclearError(Exception):
    """An error or a message that does not help."""


def check_words(text: str, *names: str) -> None:
    """What every message owes: the names of what it is about, and a length that is read.

    Args:
        text: the message.
        names: words that it must hold.

    Raises:
        UnclearError: when it lacks one, is too long, or shows what only the code's authors know.
    """
    for name in names:
        if name not in text:
            raise UnclearError(f"does not name {name}: {text}")
    if len(text) > _LONGEST_MESSAGE:
        raise UnclearError(f"{len(text)} characters: {text}")
    found = _INTERNALS.search(text)
    if found:
        raise UnclearError(f"holds {found[0]!r}: {text}")


def check_refusal(error: Exception, name: str) -> None:
    """An error must be a `ValueError` about the file.

    Args:
        error: that the library raised.
        name: of the file.

    Raises:
        UnclearError: when it is not.
    """
    if not isinstance(error, ValueError):
        raise UnclearError(f"{type(error).__name__}: {error}")
    # Subclasses that Python and its packages raise themselves.
    if type(error).__module__ == "builtins" and type(error) is not ValueError:
        raise UnclearError(f"{type(error).__name__}: {error}")
    check_words(str(error), name)

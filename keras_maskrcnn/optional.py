"""Packages that only some abilities need: imported where they are used."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def needed_for(use: str, install: str) -> Iterator[None]:
    """Around an import: one sentence where the package is not there.

    Args:
        use: what cannot be done without it.
        install: what pip is to install, such as `"maskrcnn-keras[plots]"`.

    Raises:
        ImportError: with what to install.
    """
    try:
        yield
    except ImportError as error:
        packages = f'"{install}"' if "[" in install else install  # A shell reads brackets itself.
        raise ImportError(
            f"{use} needs a package that is not installed ({error}): pip install {packages}",
            name=error.name,
        ) from error

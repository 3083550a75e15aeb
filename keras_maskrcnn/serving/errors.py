"""What a server may answer instead of results."""

from __future__ import annotations


class ServerError(OSError):
    """A server answered with an error.

    Args:
        message: whole sentence for the user.
        reason: the server's own words.
        unavailable: whether the server says that it cannot answer now, and may later.
    """

    def __init__(self, message: str, reason: str = "", unavailable: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.unavailable = unavailable

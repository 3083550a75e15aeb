"""What a server may answer instead of results."""

from __future__ import annotations

from typing import Self

from keras_maskrcnn.export.refusals import read_refusal


class ServerError(OSError):
    """A server answered with an error.

    Args:
        message: whole sentence for the user.
        reason: the server's own words.
        unavailable: whether the server says that it cannot answer now, and may later.
        picture: the position of the picture that the error is about; `None` where it is about none.
    """

    def __init__(
        self,
        message: str,
        reason: str = "",
        unavailable: bool = False,
        picture: int | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.unavailable = unavailable
        self.picture = picture

    @classmethod
    def of_answer(
        cls,
        answered: str,
        reason: str,
        *,
        unavailable: bool = False,
        picture: int | None = None,
    ) -> Self:
        """The error for an answer.

        A server that knows nothing of pictures passes on the words of the exported model.

        Args:
            answered: who answered, and with what status.
            reason, unavailable, picture: as of the answer.
        """
        refusal = read_refusal(reason) if picture is None else None
        if refusal is not None:
            reason, picture = refusal.error, refusal.picture
        return cls(f"{answered}: {' '.join(reason.split())}", reason, unavailable, picture)

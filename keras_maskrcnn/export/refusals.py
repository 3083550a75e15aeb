"""What an exported model says of a picture that it refuses: data within TensorFlow's message.

A SavedModel can tell its caller of an error only by the text of a failed assertion, to which
TensorFlow and its servers add words of their own. So the text is a JSON object, with the names that
`maskrcnn serve` gives its errors: `{"picture": 1, "error": "Cannot decode the picture..."}`.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

_START = '{"picture":'


@dataclasses.dataclass(frozen=True)
class Refusal:
    """A picture that was refused.

    Args:
        picture: its position in the batch that the model was called with.
        error: why, for people.
    """

    picture: int
    error: str


def refusal_parts(position: Any, *words: Any) -> list[Any]:
    """The parts of the text, to be joined in the graph: strings, and tensors of numbers.

    Args:
        position: of the picture in the batch, an integer tensor `[]`.
        words: what was wrong, without `"` and `\\`: strings, and integer tensors `[]`.
    """
    return [f"{_START} ", position, ', "error": "', *words, '"}']


def read_refusal(message: str) -> Refusal | None:
    """Finds the refusal in the message of an error; `None` where it is about something else.

    Args:
        message: of TensorFlow or a server of its models.
    """
    # TensorFlow escapes what it quotes.
    text = message.replace('\\"', '"')
    start = text.find(_START)
    if start < 0:
        return None
    try:
        content, _ = json.JSONDecoder().raw_decode(text, start)
        return Refusal(int(content["picture"]), str(content["error"]))
    except (ValueError, TypeError, KeyError):  # Of somebody else, or cut short.
        return None

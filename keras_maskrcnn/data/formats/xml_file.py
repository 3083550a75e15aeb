"""Reads XML that nobody vouches for: nothing is fetched, and no entity grows."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError


def xml_elements(file: Path, tags: Collection[str]) -> Iterator[Element]:
    """The elements directly below the root, one after the other; each is then forgotten.

    Args:
        file: path of the file.
        tags: those that are wanted.

    Raises:
        ValueError: if it is no XML, or has a document type; the message names it.
    """
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import iterparse

    path: list[Any] = []
    try:
        with open(file, "rb") as stream:
            for event, element in iterparse(stream, ("start", "end"), forbid_dtd=True):
                if event == "start":
                    path.append(element)
                    continue
                path.pop()
                if len(path) == 1:
                    if element.tag in tags:
                        yield element
                    path[0].remove(element)
    except DefusedXmlException as error:
        raise ValueError(
            f"{file}: expected XML without a document type. Received: {type(error).__name__}"
        ) from None
    except (ParseError, OSError, UnicodeDecodeError, LookupError) as error:
        raise ValueError(f"{file} is not valid XML: {error}") from None

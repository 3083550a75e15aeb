"""Paths within the addresses and storages from which annotation tools take pictures."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, unquote, urlsplit

# Label Studio puts eight hexadecimal digits before the name of an uploaded file.
_UPLOAD = re.compile(r"[0-9a-f]{8}-")


def local_path(address: str) -> str:
    """The path of `https://host/a/b.jpg`, `s3://bucket/a/b.jpg` or `.../local-files/?d=a/b.jpg`."""
    try:
        parts = urlsplit(address)
        return unquote(parse_qs(parts.query).get("d", [parts.path])[0])
    except ValueError:
        return address


def without_upload_prefix(path: str) -> str:
    """`upload/4/photo.jpg` of `upload/4/0f3c2d1e-photo.jpg`."""
    cut = max(path.rfind("/"), path.rfind("\\")) + 1
    return path[:cut] + _UPLOAD.sub("", path[cut:], count=1) if _UPLOAD.match(path, cut) else path

"""Broken requests to the server, as bytes."""

from __future__ import annotations

import base64
import copy
import dataclasses
import functools
import gzip
import json
import random
from typing import Any

from fuzz import hostile_json, pictures
from fuzz.mutations import mutate_bytes

PREDICT = "/v1/models/tiny:predict"


@dataclasses.dataclass(frozen=True)
class Request:
    """What is sent through one connection.

    Args:
        content: the bytes.
        methods: of the requests that they hold, as far as they are sound.
        sound: whether it is HTTP that every server understands: what is wrong is inside.
        complete: whether an answer is owed.
        wanted: status that each of its answers must have, where that is known.
        document: of a predict request, where Python reads its body as JSON.
    """

    content: bytes
    methods: tuple[str, ...]
    sound: bool = True
    complete: bool = True
    wanted: int | None = None
    document: Any = None


@functools.cache
def picture() -> bytes:
    """A whole file."""
    return pictures.whole_file("png")


def build(
    method: str = "POST",
    path: str = "/detect",
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    version: str = "HTTP/1.1",
) -> bytes:
    """A request; a header that is `None` is left out."""
    lines: dict[str, str | None] = {
        "Host": "127.0.0.1",
        "Connection": "close",
        "Content-Type": "image/png" if path == "/detect" else "application/json",
        "Content-Length": str(len(body)),
        **(headers or {}),
    }
    head = [f"{method} {path} {version}", *(f"{k}: {v}" for k, v in lines.items() if v is not None)]
    return "\r\n".join([*head, "", ""]).encode("utf-8", "surrogateescape") + body


def make(rng: random.Random) -> tuple[Request, str]:
    """A request and what is wrong with it."""
    if rng.random() < 0.04:
        return Request(build(body=picture()), ("POST",), wanted=200), "nothing"
    return rng.choice(
        (_document, _document, _base64, _picture, _head, _head, _framing, _bytes, _several, _cut)
    )(rng)


def _rows(*files: bytes) -> dict[str, Any]:
    rows = [{"b64": base64.b64encode(file).decode()} for file in files]
    return {"signature_name": "encoded", "instances": rows}


_VALUES: dict[str, tuple] = {
    "b64": ("", "A", "====", "AAAA" * 1000, "\u0000", "Zm9v\nZm9v", "_-__", 5, None, ["AAAA"]),
    "signature_name": ("", "serving_default", "nothing", 1, None, {}, "x" * 100_000),
    "instances": ([], {}, None, "AAAA", [[]], [{}], [None], [{"image_bytes": {"b64": "AAAA"}}]),
    "inputs": ([], {}, None, {"images": []}, {"b64": "AAAA"}, {"image_bytes": []}),
}


def _predict(body: bytes, what: str) -> tuple[Request, str]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    return Request(build(path=PREDICT, body=body), ("POST",), document=document), what


def _document(rng: random.Random) -> tuple[Request, str]:
    """A JSON document with a wrong part."""
    if rng.random() < 0.5:
        document: dict[str, Any] = _rows(picture(), picture())
    else:
        row = [[[(i * j) % 256] * 3 for j in range(4)] for i in range(3)]
        document = {"instances": [row, copy.deepcopy(row)]}
    if rng.random() < 0.3:
        name = "image_bytes" if "signature_name" in document else "images"
        document["inputs"] = {name: document.pop("instances")}
    steps = [
        hostile_json.mutate_document(rng, document, _VALUES) for _ in range(rng.choice((1, 1, 2)))
    ]
    return _predict(hostile_json.write(document).encode(), "; ".join(steps))


def _base64(rng: random.Random) -> tuple[Request, str]:
    """Encodings of the file, and of the document around it."""
    text = base64.b64encode(picture()).decode()
    changes = {
        "url alphabet": text.replace("+", "-").replace("/", "_"),
        "lines": "\n".join(text[i : i + 76] for i in range(0, len(text), 76)),
        "no padding": text.rstrip("="),
        "padding": text + "====",
        "padding within": text[:40] + "=" + text[40:],
        "one short": text[:-5],
        "wide": text[:20] + "\u00e9" + text[20:],
        "full-width": text.translate({65: 0xFF21}),
        "twice": base64.b64encode(text.encode()).decode(),
        "address of data": f"data:image/png;base64,{text}",
    }
    name = rng.choice(list(changes))
    document = {"signature_name": "encoded", "instances": [{"b64": changes[name]}]}
    body = json.dumps(document, ensure_ascii=False)
    encoding = rng.choice(("utf-8", "utf-8", "utf-16", "utf-8-sig", "utf-32", "latin-1"))
    return _predict(body.encode(encoding, "replace"), f"base64: {name} in {encoding}")


def _picture(rng: random.Random) -> tuple[Request, str]:
    """A broken picture, by either address."""
    case, what = pictures.make(rng)
    if rng.random() < 0.3:
        return _predict(json.dumps(_rows(picture(), case.content)).encode(), what)
    kind = {"jpg": "jpeg"}.get(case.kind[:3], case.kind[:3])
    headers = {"Content-Type": f"image/{kind}"}
    return Request(build(body=case.content, headers=headers), ("POST",)), what


_PATHS = (
    *("/", "/model", "/detect", PREDICT, "/v1/models/tiny", "/v1/models/tiny/metadata", "/nothing"),
    *("/v1/models/tiny/versions/99999999999999999999:predict", "/v1/models/%00:predict", "//"),
    *("/../../etc/hostname", "/%2e%2e/%2e%2e/etc/hostname", "/page.js/..", "/" + "a" * 5000, "*"),
    *(
        "http://127.0.0.1/model",
        "/model?x=" + "y" * 3000,
        "/model#x",
        "/mod\u00e9l",
        "/%ff%fe",
        "?",
    ),
    *(
        "/v1/models/tiny:predict/",
        "/v1/models//versions/1",
        "/%6dodel",
        "/model%20",
        "/v1/models/🎈",
    ),
)
_METHODS = (
    *("GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "TRACE", "PATCH", "get", "X" * 300),
    *("CONNECT", "PROPFIND", "M-SEARCH", "G=T"),
)
_HEADERS: tuple[dict[str, str | None], ...] = (
    *(
        {"Content-Type": v}
        for v in ("", "text/html", "image/png; x=" + "y" * 2000, "é/é", ";", "a")
    ),
    *({"Content-Encoding": v} for v in ("gzip", "br", "identity", "nothing")),
    *({"Expect": v} for v in ("100-continue", "200-ok")),
    *({"Accept-Encoding": "gzip, br"}, {"Range": "bytes=0-3"}, {"If-None-Match": "*"}),
    *({"Upgrade": "websocket", "Connection": "Upgrade"}, {"Upgrade": "h2c"}, {"TE": "trailers"}),
    *({"Origin": "http://elsewhere.example"}, {"Origin": "null"}, {"Cookie": "a" * 4000}),
    *({"Host": v} for v in ("elsewhere.example", "", "127.0.0.1:99999", "[::1", "a b", "é")),
    *({f"X-{i}": "y" for i in range(n)} for n in (50, 500)),
    *({"Connection": v} for v in ("keep-alive, close", "content-length", "")),
    {"X-Long": "y" * 60_000},
)


def _head(rng: random.Random) -> tuple[Request, str]:
    """Methods, addresses and headers."""
    method, path = rng.choice(_METHODS), rng.choice(_PATHS)
    if rng.random() < 0.5:
        method, path = "POST", "/detect"
    headers = dict(rng.choice(_HEADERS)) if rng.random() < 0.8 else {}
    body = picture() if method in ("POST", "PUT", "PATCH") else b""
    if headers.get("Content-Encoding") == "gzip":
        body = gzip.compress(body)
    content = build(method, path, body, headers)
    what = f"{method:.20} {path:.60} {str(headers)[:80]}"
    sound = path.isascii() and str(headers).isascii() and method != "G=T"
    sound = sound and path[:1] in ("/", "*") and len(content) - len(body) < 16_000
    # Whether an answer to it has a body is told by the method, which a server may not have read.
    if method == "HEAD" and not sound:
        content = content.replace(b"HEAD", b"GET", 1)
    return Request(content, (method,) if sound else (), sound=sound), what


def _framing(rng: random.Random) -> tuple[Request, str]:
    """Where a request ends: lengths, chunks, both, neither; and broken lines."""
    body = picture()
    chunks = b"".join(
        b"%x\r\n%b\r\n" % (len(part), part)
        for part in (body[i : i + 100] for i in range(0, len(body), 100))
    )
    chunked = {"Transfer-Encoding": "chunked", "Content-Length": None}
    whole = chunks + b"0\r\n\r\n"
    good = build(body=body)
    changes: dict[str, tuple[bytes, bool]] = {
        "in chunks": (build(body=whole, headers=chunked), True),
        "chunks with extensions": (
            build(body=whole.replace(b"64\r\n", b"64;a=b\r\n"), headers=chunked),
            True,
        ),
        "trailers": (build(body=chunks + b"0\r\nX-Y: z\r\n\r\n", headers=chunked), True),
        "size of a chunk": (
            build(body=whole.replace(b"64\r\n", b"-64\r\n", 1), headers=chunked),
            False,
        ),
        "huge chunk": (build(body=b"ffffffffffffffffff\r\n" + body, headers=chunked), False),
        "both": (build(body=whole, headers={"Transfer-Encoding": "chunked"}), False),
        "unknown coding": (build(body=body, headers={"Transfer-Encoding": "gzip"}), False),
        "two lengths": (
            good.replace(b"Content-Length", b"Content-Length: 5\r\nContent-Length"),
            False,
        ),
        "bare line feeds": (good.replace(b"\r\n", b"\n"), False),
        "a folded line": (good.replace(b"Connection: ", b"Connection:\r\n "), False),
        "a blank before the colon": (good.replace(b"Host:", b"Host :"), False),
        "no colon": (good.replace(b"Host:", b"Host"), False),
        "no host": (good.replace(b"Host: 127.0.0.1\r\n", b""), False),
        "two hosts": (good.replace(b"Host:", b"Host: a\r\nHost:"), False),
        "nul": (good.replace(b"Host: ", b"Host: \0"), False),
        "version 1.0": (good.replace(b"HTTP/1.1", b"HTTP/1.0"), True),
        "version 9.9": (good.replace(b"HTTP/1.1", b"HTTP/9.9"), False),
        "no version": (good.replace(b" HTTP/1.1", b""), False),
        "blank lines first": (b"\r\n\r\n" + good, False),
        "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n", False),
        "http/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", False),
    }
    for value in ("-1", "+5", "0x10", "1e3", "5, 5", "", "9" * 30, str(10**9)):
        changes[f"length {value[:12]}"] = (build(headers={"Content-Length": value}), False)
    what = rng.choice(list(changes))
    content, sound = changes[what]
    # What owes no answer: the rest of the body may still come.
    waits = what in (f"length {10**9}", "huge chunk")
    return Request(content, ("POST",), sound=sound, complete=not waits), f"framing: {what}"


def _bytes(rng: random.Random) -> tuple[Request, str]:
    """Bytes of a good request."""
    good = build(body=picture())
    if rng.random() < 0.5:
        good = build(path=PREDICT, body=json.dumps(_rows(picture())).encode())
    content, what = mutate_bytes(rng, good)
    return Request(content, (), sound=False, complete=False), f"bytes: {what}"


def _several(rng: random.Random) -> tuple[Request, str]:
    """Good requests one behind the other."""
    count = rng.choice((2, 3, 5))
    kept = build(body=picture(), headers={"Connection": "keep-alive"})
    content = kept * (count - 1) + build(body=picture())
    return Request(content, ("POST",) * count, wanted=200), f"{count} requests at once"


def _cut(rng: random.Random) -> tuple[Request, str]:
    """A client that leaves before it has said all."""
    good = build(body=picture())
    at = rng.choice((rng.randrange(1, len(good) - 1), rng.randrange(1, 60)))
    return Request(good[:at], (), sound=False, complete=False), f"cut after {at} bytes"

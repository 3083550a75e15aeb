"""By which names the server is called, and whose pages may send it something."""

import socket

import pytest

from keras_maskrcnn.serving.hosts import AllowedHosts

from .conftest import ask, read_all, running
from .test_limits import PICTURE, slow_model


@pytest.fixture(scope="module")
def port():
    with running(slow_model(0), ("Photos.example.com", "10.0.0.5", "2001:DB8:0::7")) as port:
        yield port


LOOPBACK = [
    "localhost",
    "LOCALHOST:8501",
    "localhost.",
    "localhost:",
    "127.0.0.1",
    "127.0.0.1:1",
    "127.8.9.10",
    "[::1]",
    "[::1]:8501",
    "[0:0:0:0:0:0:0:1]:8501",
    "[::ffff:127.0.0.1]",
]
ALLOWED = [
    "photos.example.com",
    "PHOTOS.example.com.:80",
    "10.0.0.5:99",
    "[2001:db8::7]",
    "[::ffff:a00:5]",
]
OTHERS = [
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "example.com",
    "a.photos.example.com",
    "10.0.0.6",
    "0.0.0.0",
    "[2001:db8::8]:8501",
    "[::]",
    "127.1",
    "2130706433",
    "0x7f.1",
    "localhost..",
]
INVALID = [
    "",
    "local host",
    "localhost:x",
    "localhost:80:80",
    "localhost:123456",
    "[::1",
    "::1",
    "[::1]x",
    "[:::1]",
    "[localhost]",
    "localhost,evil.example",
    "user@localhost",
    "localhost/x",
    "http://localhost",
    "lo\xe7alhost",
]


@pytest.mark.parametrize(
    ("host", "status"),
    [(host, 200) for host in LOOPBACK + ALLOWED]
    + [(host, 421) for host in OTHERS]
    + [(host, 400) for host in INVALID],
)
def test_names_of_the_server(port, host, status):
    received, _, answer = ask(port, "GET", "/model", headers={"Host": host})
    assert received == status
    if status == 421:
        assert "does not answer to the name" in answer["error"]
        assert "--allowed-hosts" in answer["error"]
    if status == 400:
        assert answer["error"].startswith("expected one Host header")
    if status != 400:
        content_type = {"Host": host, "Content-Type": "image/png"}
        assert ask(port, "POST", "/detect", PICTURE, content_type)[0] == status


@pytest.mark.parametrize(
    "head",
    [
        b"GET /model HTTP/1.1\r\n",
        b"GET /model HTTP/1.0\r\n",
        b"GET /model HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n",
        b"GET /model HTTP/1.1\r\nHost: localhost\r\nhost: evil.example\r\n",
    ],
)
def test_one_host_is_to_be_named(port, head):
    client = socket.create_connection(("127.0.0.1", port), timeout=30)
    client.sendall(head + b"Connection: close\r\n\r\n")
    assert read_all(client).startswith(b"HTTP/1.1 400 ")


def allows(hosts, host):
    return hosts._allows(host)


def test_where_a_server_listens():
    own = AllowedHosts.of([], "server.lan", "192.168.1.20")
    assert allows(own, "server.lan") and allows(own, "192.168.1.20") and allows(own, "localhost")
    assert not allows(own, "192.168.1.21") and not allows(own, "evil.example")
    for everywhere in ("0.0.0.0", "::"):
        # A page can come under a name that points here, not under an address.
        hosts = AllowedHosts.of([], everywhere)
        assert hosts.addresses
        assert all(allows(hosts, host) for host in ("192.168.1.21", "2001:db8::1", "localhost"))
        assert not allows(hosts, "evil.example")
    assert allows(AllowedHosts.of(["*"], "127.0.0.1"), "evil.example")


@pytest.mark.parametrize(
    "name", ["", "http://photos", "photos:80", "[::1]:80", "a b", "*.example.com", "cafe:80"]
)
def test_names_that_are_none(name):
    with pytest.raises(ValueError, match="must be a name or an address without scheme and port"):
        AllowedHosts.of([name])


FORM = {"Content-Type": "application/x-www-form-urlencoded"}
IMAGE = {"Content-Type": "image/png"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://localhost:8501"}, 200),
        ({"Origin": "http://LOCALHOST:8501", "Sec-Fetch-Site": "same-origin"}, 200),
        # Behind a proxy that speaks TLS and asks by another name.
        ({"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "https://photos.example.com", "Host": "photos.example.com"}, 200),
        ({"Origin": "https://photos.example.com", "Host": "photos.example.com:443"}, 200),
        ({"Origin": "http://[::1]:8501", "Host": "[0::1]:8501"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://evil.example:8501"}, 403),
        ({"Origin": "http://localhost:8502"}, 403),
        ({"Origin": "http://localhost"}, 403),
        ({"Origin": "http://photos.example.com"}, 403),
        ({"Origin": "http://localhost:8501.evil.example"}, 403),
        ({"Origin": "http://localhost:8501@evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "localhost:8501"}, 403),
        ({"Origin": "file://"}, 403),
        ({"Origin": "chrome-extension://abcdefgh"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "what"}, 403),
        ({"Origin": "http://localhost:8501", "Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_who_may_send(port, headers, status):
    headers = {"Host": "localhost:8501", **headers}
    received, answered, answer = ask(port, "POST", "/detect", PICTURE, headers | IMAGE)
    assert received == status
    if status == 403:
        assert answer["error"].startswith("expected a request of this server's own page")
    # What a form of that page would send; this server has no such picture, form or model.
    form = ask(port, "POST", "/v1/models/slow:predict", b"a=b", headers | FORM)
    assert form[0] == (403 if status == 403 else 400)
    for kind in ("text/plain", "multipart/form-data; boundary=x", "application/json"):
        refused = ask(port, "POST", "/detect", b"a=b", headers | {"Content-Type": kind})[0]
        assert refused == (403 if status == 403 else 415)
    # Reading changes nothing, and no page of another site is told what was read.
    received, answered, _ = ask(port, "GET", "/model", headers=headers)
    assert received == 200
    assert not [name for name in answered if name.lower().startswith("access-control")]


def test_preflight_is_not_granted(port):
    headers = {"Host": "localhost:8501", "Origin": "http://evil.example"}
    asked = {"Access-Control-Request-Method": "POST"}
    status, answered, _ = ask(port, "OPTIONS", "/detect", headers=headers | asked)
    assert status == 405
    assert not [name for name in answered if name.lower().startswith("access-control")]

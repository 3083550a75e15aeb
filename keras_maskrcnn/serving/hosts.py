"""Which names the server answers to, and which pages may send it something.

A page of another site can make a browser send requests to this machine. Under a name of its own
that suddenly points here (DNS rebinding), it could read the answers, too: hence the list of names.
A form or a script of a site that stays where it is can only send: browsers say so, and it is
refused.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Sequence
from typing import Self

from starlette.datastructures import Headers

from keras_maskrcnn.serving.requests import RequestError

ANY = "*"
_LOCALHOST = "localhost"
# RFC 3986, without what no browser sends: names in ASCII, addresses of IPv6 in brackets.
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{0,5}))?", re.ASCII)
_DEFAULT_PORTS = {"http": "80", "https": "443"}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclasses.dataclass(frozen=True)
class AllowedHosts:
    """Names that a request may ask for. Those of the loopback interface always belong to them.

    Args:
        names: host names in lower case and addresses, as `_plain` writes them; or `ANY`.
        addresses: whether any address will do. Only a name can be pointed elsewhere.
    """

    names: frozenset[str] = frozenset()
    addresses: bool = False

    @classmethod
    def of(cls, names: Sequence[str], *listening: str) -> Self:
        """What a server allows.

        Args:
            names: that the user gave.
            listening: name and address that the server listens on. Where that is every address of
                the machine, any address is allowed.

        Raises:
            ValueError: for a name that is none.
        """
        allowed = {_plain(name.lower()) for name in listening}
        addresses = [address for address in map(_address, allowed) if address is not None]
        for name in names:
            host, port = (ANY, "") if name == ANY else _split(_bracketed(name)) or ("", "")
            if not host or port:
                raise ValueError(
                    "an allowed host must be a name or an address without scheme and port, or "
                    f"{ANY} for any. Received: {name!r}"
                )
            allowed.add(host)
        everywhere = any(address.is_unspecified for address in addresses)
        return cls(frozenset(allowed), addresses=everywhere)

    def check_host(self, headers: Headers) -> None:
        """Looks at the name that a request asks for.

        Raises:
            RequestError: 400 where there is not one valid name, 421 where it is not allowed.
        """
        hosts = headers.getlist("host")
        parts = _split(hosts[0]) if len(hosts) == 1 else None
        if parts is None:
            raise RequestError(
                400,
                "expected one Host header, of a name or an address and maybe a port. "
                f"Received: {', '.join(hosts) or 'none'}",
            )
        if not self._allows(parts[0]):
            raise RequestError(
                421,
                f"this server does not answer to the name {parts[0]}. Its owner can add it: "
                f"maskrcnn serve --allowed-hosts {parts[0]}",
            )

    def _allows(self, host: str) -> bool:
        if host == _LOCALHOST or host in self.names or ANY in self.names:
            return True
        address = _address(host)
        return address is not None and (self.addresses or address.is_loopback)


def check_origin(headers: Headers) -> None:
    """Refuses what a page of another site sends; programs, which name no origin, may send.

    Browsers tell with `Sec-Fetch-Site` how page and server relate. They omit it where the server is
    neither on this machine nor encrypted; then the page's `Origin` has to be the `Host` asked for.

    Args:
        headers: of a request that is not only for reading; `Host` is known to be valid.

    Raises:
        RequestError: 403, for another site's.
    """
    sites = headers.getlist("sec-fetch-site")
    if sites:
        own = all(site in ("same-origin", "none") for site in sites)
    else:
        own = all(_is_origin_of(origin, headers["host"]) for origin in headers.getlist("origin"))
    if not own:
        origin = ", ".join(headers.getlist("origin")) or "another site"
        raise RequestError(
            403, f"expected a request of this server's own page or of a program. Received: {origin}"
        )


def _is_origin_of(origin: str, host: str) -> bool:
    scheme, _, place = origin.lower().partition("://")
    default = _DEFAULT_PORTS.get(scheme)
    page, server = _split(place), _split(host)
    if default is None or page is None or server is None:
        return False
    return (page[0], page[1] or default) == (server[0], server[1] or default)


def _split(authority: str) -> tuple[str, str] | None:
    """Host and port, empty where there is none, of `host`, `host:port` or `[address]:port`."""
    found = _AUTHORITY.fullmatch(authority.lower())
    if found is None or (found[1].startswith("[") and _address(_plain(found[1])) is None):
        return None
    return _plain(found[1]), (found[2] or "").lstrip("0")


def _plain(host: str) -> str:
    """One way to write a host: addresses in their shortest form, names without the root's dot."""
    host = host.removeprefix("[").removesuffix("]")
    address = _address(host)
    return host.removesuffix(".") if address is None else str(address)


def _address(host: str) -> Address | None:
    """`None` for a name. An address of IPv4 within IPv6 counts as what it stands for."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _bracketed(host: str) -> str:
    """As it stands in a URL: users write addresses of IPv6 without brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host

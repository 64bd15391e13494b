"""Who may read: the person who was given the first address, in a browser on this machine.

What reaches the pages has passed `Guard`: only GET and HEAD; a `Host` that is ours, since another
site's name can be made to lead to this machine (DNS rebinding); an `Origin` that is ours; and the
cookie that the first address is exchanged for. Every answer carries the headers that keep a browser
from loading, framing, guessing or keeping anything.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Iterable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode

from watchkeeper.show.web.parameters import MOST_CHARACTERS

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN = "token"
"""The parameter of the first address."""
_TOKEN_BYTES = 32
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "x-frame-options": "DENY",
}
_ASK = "Open the address that `wk serve` printed: it carries the token that lets you in.\n"


class Keys:
    """The secrets of one server: the token of its first address, and the cookie for it. A *ticket*
    is a token that opens once: what a browser is started with, everyone on the machine can see.
    """

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(_TOKEN_BYTES)
        self._tickets: set[str] = set()
        self._cookie = secrets.token_urlsafe(_TOKEN_BYTES)
        # All ports of a host share cookies: each server gives its cookie another name.
        self.cookie_name = f"wk-{hashlib.sha256(self._cookie.encode()).hexdigest()[:12]}"

    def new_ticket(self) -> str:
        """A token that opens once."""
        ticket = secrets.token_urlsafe(_TOKEN_BYTES)
        self._tickets.add(ticket)
        return ticket

    def opens(self, text: str) -> bool:
        """Whether this is the token, or a ticket that nobody has used yet; it is used then."""
        if hmac.compare_digest(text.encode(), self.token.encode()):
            return True
        used = [
            ticket
            for ticket in self._tickets
            if hmac.compare_digest(ticket.encode(), text.encode())
        ]
        self._tickets.difference_update(used)
        return bool(used)

    def admits(self, cookies: str) -> bool:
        """Whether the `Cookie` header holds the cookie."""
        try:
            jar = SimpleCookie(cookies)
        except CookieError:
            return False
        morsel = jar.get(self.cookie_name)
        if morsel is None:
            return False
        return hmac.compare_digest(morsel.value.encode(), self._cookie.encode())

    @property
    def cookie(self) -> str:
        """The `Set-Cookie` header."""
        return f"{self.cookie_name}={self._cookie}; HttpOnly; SameSite=Strict; Path=/"


class Refusal(Exception):
    """A request that is not answered: the status, and why, in words."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


class Guard:
    """Refuses what is not a request of the person's own browser, and gives every answer its
    headers. `hosts`: the names of this machine under which it may be asked for besides loopback's;
    "*" is any numeric address, which no other site's name leads to.
    """

    def __init__(self, app: ASGIApp, keys: Keys, hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._keys = keys
        self._hosts = _LOOPBACK | {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI calls it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": _guarded(message.get("headers", []))}
            await send(message)

        try:
            token = self._check(scope)
        except Refusal as refusal:
            await _answer(send_guarded, refusal.status, refusal.words)
            return
        if token:
            await _admit(send_guarded, scope, token)
            return
        await self._app(scope, receive, send_guarded)

    def _check(self, scope: Scope) -> str:
        """The cookie to set where the request brings the token, "" where it may pass.

        Raises:
            Refusal: it may not.
        """
        headers = _headers_of(scope)
        if scope["method"] not in ("GET", "HEAD"):
            raise Refusal(405, "This page only reads: GET and HEAD.\n")
        if len(scope["query_string"]) > MOST_CHARACTERS:
            raise Refusal(414, f"The query has more than {MOST_CHARACTERS} characters.\n")
        self._check_host(headers.get("host", ""))
        _check_origin(headers, scope)
        query = parse_qsl(scope["query_string"].decode("latin-1"))
        tokens = [text for name, text in query if name == TOKEN]
        if tokens:
            if not self._keys.opens(tokens[0]):
                raise Refusal(403, f"The token of this address is not this server's. {_ASK}")
            return self._keys.cookie
        if not self._keys.admits(headers.get("cookie", "")):
            raise Refusal(403, _ASK)
        return ""

    def _check_host(self, host: str) -> None:
        # A tunnel may end at another port: the name alone is what rebinding cannot choose.
        name = host.lower()
        head, colon, port = name.rpartition(":")
        if colon and port.isdigit():
            name = head
        is_ours = name in self._hosts or ("*" in self._hosts and _is_numeric(name))
        if not is_ours:
            raise Refusal(421, "This server does not answer under that name.\n")


def _check_origin(headers: MutableMapping[str, str], scope: Scope) -> None:
    """Refuse what another site's page asks for."""
    origin = headers.get("origin")
    if origin is not None and origin != f"{scope['scheme']}://{headers.get('host', '')}":
        raise Refusal(403, "Another site's page may not ask.\n")
    is_data = scope["path"].startswith("/api/")
    if is_data and headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        raise Refusal(403, "Another site's page may not ask.\n")


def _is_numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _headers_of(scope: Scope) -> dict[str, str]:
    """The headers by their names; of one that comes twice all, with a comma between."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if name in headers:
            value = f"{headers[name]}, {value}"
        headers[name] = value
    return headers


def _guarded(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    ours = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    return [*(pair for pair in headers if pair[0].decode().lower() not in HEADERS), *ours]


def _without_token(scope: Scope) -> bytes:
    """The same address without the token, as a path on this server."""
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    kept = urlencode([(name, text) for name, text in query if name != TOKEN])
    # Two slashes at the beginning would name another host.
    path = "/" + quote(scope["path"].lstrip("/"))
    if kept:
        path += f"?{kept}"
    return path.encode()


async def _admit(send: Send, scope: Scope, cookie: str) -> None:
    """Set the cookie, and lead to the same address without the token. Where a link of another site
    led here, a redirect would not bring the cookie along: the browser loads it by itself then.
    """
    location = _without_token(scope)
    headers = [(b"set-cookie", cookie.encode())]
    if _headers_of(scope).get("sec-fetch-site", "none") in ("same-origin", "none"):
        await _answer(send, 303, "", [*headers, (b"location", location)])
    else:
        await _answer(send, 200, "One moment.\n", [*headers, (b"refresh", b"0;url=" + location)])


async def _answer(
    send: Send, status: int, words: str, headers: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    body = words.encode()
    start: dict[str, Any] = {
        "type": "http.response.start",
        "status": status,
        "headers": [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            *headers,
        ],
    }
    await send(start)
    await send({"type": "http.response.body", "body": body})

"""Who may use the server: a token, the sites whose pages may, and the names under which it may be asked."""

import ipaddress
import secrets
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

import attrs
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
PUBLIC = "/page/"
"""Files of the page, which are no secret; a module that imports another cannot pass a token on."""
USUAL_PORTS = {"http": 80, "https": 443}
SAFETY_HEADERS = {
    # the token is in the URL of the page
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # nothing from elsewhere, and no page of elsewhere around it, which would have the user's camera
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; object-src 'none'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class Denied(Exception):
    """A request may not be answered; the message says why.

    Args:
        reason: a sentence.
        status: of HTTP.
    """

    def __init__(self, reason: str, status: int = 403) -> None:
        super().__init__(reason)
        self.status = status


def is_local(host: str) -> bool:
    """Whether only programs of this machine reach a host that the server is bound to.

    Args:
        host: a name or an address.
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def new_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_urlsafe(18)


@attrs.frozen(kw_only=True)
class Access:
    """Who may use the server.

    Bound to this machine alone, the server is still asked by every page that its user's browser shows. Such a page is
    refused by its origin; one whose name was made to point at this machine (DNS rebinding) by the name in `Host`.
    """

    token: str | None = None
    """None: none is needed."""
    origins: tuple[str, ...] = ()
    """Sites besides the server's own whose pages may use it, such as `https://example.org`."""
    local: bool = True
    """Whether it is bound to this machine alone, so that it is asked under no other name."""

    @classmethod
    def of(cls, host: str, *, token: str | None = None, origins: tuple[str, ...] = ()) -> "Access":
        """What fits a host that the server is bound to: any but this machine alone has a token.

        Args:
            host: a name or an address.
            token: None: a new one, where one is needed.
            origins: other sites whose pages may use the server.

        Raises:
            ValueError: an origin is no address of a site.
        """
        for origin in origins:
            scheme, name, _ = _split(origin)
            if scheme not in USUAL_PORTS or not name:
                raise ValueError(
                    f"{origin!r} is no address of a site; write for instance https://example.org"
                )
        local = is_local(host)
        return cls(token=token if token or local else new_token(), origins=origins, local=local)

    @property
    def site_hosts(self) -> set[str | None]:
        """The hosts of `origins`; a proxy on this machine passes on the name that it was asked under."""
        return {urlsplit(origin).hostname for origin in self.origins}

    def check(self, headers: Mapping[str, str], query: str, path: str) -> None:
        """Refuse a request that may not be answered.

        Args:
            headers: of the request; their names are in lower case, or it finds them in any.
            query: of its URL.
            path: of its URL.

        Raises:
            Denied: another site's page asks, or the token is missing or wrong.
        """
        host = headers.get("host", "")
        self._check_host(host)
        self._check_origin(headers.get("origin"), host)
        if self.token is not None and not path.startswith(PUBLIC):
            self._check_token(headers.get("authorization", ""), query)

    def _check_host(self, host: str) -> None:
        name = _split(f"//{host}")[1]
        if not self.local or name in LOCAL_NAMES or name in self.site_hosts:
            return
        raise Denied(
            f"this server is for this machine alone and is asked as localhost, not as {host!r}; behind a proxy, "
            "name its site with --origin"
        )

    def _check_origin(self, origin: str | None, host: str) -> None:
        if origin is None:  # no page of another site: browsers name it then
            return
        asking = _split(origin)
        allowed = [_split(one) for one in self.origins]
        own = _split(f"{asking[0]}://{host}")
        if asking[1] is None or asking not in [own, *allowed]:
            raise Denied(f"pages of {origin!r} may not use this server; allow them with --origin {origin}")

    def _check_token(self, authorization: str, query: str) -> None:
        given = parse_qs(query, max_num_fields=100).get("token", [""])[0]
        kind, _, value = authorization.partition(" ")
        if kind.lower() == "bearer":
            given = value.strip()
        assert self.token is not None
        if not secrets.compare_digest(given.encode("utf-8", "replace"), self.token.encode()):
            raise Denied(
                "a token is needed: open the address that `lipar live` printed, or send the header "
                "'Authorization: Bearer TOKEN'",
                401,
            )


def _split(origin: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port of a site."""
    try:
        parts = urlsplit(origin)
        return parts.scheme, parts.hostname, parts.port or USUAL_PORTS.get(parts.scheme)
    except ValueError:
        return "", None, None


class AccessCheck:
    """Answers requests that may not be answered, before anything reads them; others get headers for safety.

    Args:
        app: answers all others.
        access: who may use it.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have it answered."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            query = scope["query_string"].decode("latin-1")
            self._access.check(Headers(scope=scope), query, scope["path"])
        except (Denied, ValueError) as error:
            status = error.status if isinstance(error, Denied) else 400
            answer = JSONResponse({"error": str(error)}, status, SAFETY_HEADERS)
            if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
                await send({"type": "websocket.close", "code": 1008, "reason": str(error)})
            else:
                await answer(scope, receive, send)
            return
        await self._app(scope, receive, send if scope["type"] == "websocket" else _with_headers(send))


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [(name.lower().encode(), value.encode()) for name, value in SAFETY_HEADERS.items()]
            message = {**message, "headers": [*message.get("headers", ()), *headers]}
        await send(message)

    return send_with_headers

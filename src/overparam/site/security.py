"""What stands between the network and the pages: hosts, sizes, origins, limits, and headers of answers.

Slow clients and large headers are the server's: run uvicorn with `h11_max_incomplete_event_size=16384`,
`timeout_keep_alive=5`, `limit_concurrency=500` and `backlog=256`. Behind a proxy let it set the client's address
(`proxy_headers=True`, `forwarded_allow_ips` naming the proxy and nobody else): nothing here reads X-Forwarded-For.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from overparam.errors import BadInput, Unavailable
from overparam.feed.limits import EPOCH, allow
from overparam.feed.secrets import fingerprint
from overparam.lab.wording import duration
from overparam.ledger.clock import now
from overparam.site import problems
from overparam.site.viewer import COOKIE, bearer_of, viewer_of

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # links with tokens stay here; `no-referrer` would take Origin from our own forms
    "Cache-Control": "private, no-cache",  # pages depend on who looks
}
TRANSPORT_SECURITY = "max-age=31536000"
LARGEST_BODY = 64 * 1024
BODY_SECONDS = 15.0
SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")
ONE_CLICK = re.compile(r"/u/[^/]+")  # RFC 8058: mail programs post here without cookie, origin or session
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class Limit:
    """How often one account, or one network where nobody is signed in, may ask for something.

    Attributes:
        name: Of the bucket.
        path: Pattern of the whole path.
        most: Requests in a window.
        per_seconds: Length of the window.
        changing: Whether only requests count that change something.
    """

    name: str
    path: str
    most: int
    per_seconds: int
    changing: bool = True

    def covers(self, scope: Scope) -> bool:
        """Tell whether a request counts."""
        counts = scope["method"] not in SAFE if self.changing else scope["method"] != "OPTIONS"
        return counts and re.fullmatch(self.path, scope["path"], re.DOTALL) is not None


LIMITS = (  # the first that covers a request counts it; plain pages are covered by none and write nothing
    Limit("one click", ONE_CLICK.pattern, 6000, 60),
    Limit("sign-in", "/sign-in", 10, 3600),
    Limit("vote", "/papers/.+/vote", 60, 60),
    Limit("api", "/api/.*", 600, 300, changing=False),
    Limit("search", "/search(/.*)?", 120, 60, changing=False),
    Limit("change", ".*", 120, 60),
)


def protect(*, hosts: Sequence[str], https: bool) -> list[Middleware]:
    """List the middleware, from the outside in.

    Args:
        hosts: Names under which the site may be asked for, without ports.
        https: Whether readers reach it by HTTPS only.

    Returns:
        For `Starlette(middleware=...)`.
    """
    return [
        Middleware(AnswerHeaders, https=https),
        Middleware(KnownHosts, hosts=hosts),
        Middleware(OwnOrigin, https=https),
        Middleware(Limits),
        Middleware(SmallBodies),
    ]


def require_loopback(host: str) -> None:
    """Refuse to serve the rights of the desk to a network.

    Args:
        host: Address to listen on.

    Raises:
        BadInput: Others can reach it.
    """
    try:
        fine = host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        fine = False
    if not fine:
        raise BadInput(
            f"--local lets everybody who can reach {host} start runs; listen on 127.0.0.1, or leave --local out"
        )


def network_of(request: Request) -> str:
    """Return the network of the client, as limits count it.

    Args:
        request: What was asked.

    Returns:
        An IPv4 address, or the /64 of an IPv6 address, which is what one subscriber has.
    """
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host or "unknown"
    if isinstance(address, ipaddress.IPv4Address):
        return host
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), 64), strict=False))


def local_path(text: str | None, otherwise: str = "/") -> str:
    """Accept an address to go back to only if it lies on this site.

    Args:
        text: From a form or a query.
        otherwise: Taken if it does not.

    Returns:
        A path with its query.
    """
    fine = text and len(text) <= 2000 and re.fullmatch(r"/(?![/\\])[!-~]*", text) and "\\" not in text
    return str(text) if fine else otherwise


class AnswerHeaders:
    """Adds headers to every answer that does not bring its own.

    Args:
        app: What is protected.
        https: Whether to tell browsers never to use plain HTTP again.
    """

    def __init__(self, app: ASGIApp, https: bool) -> None:
        self.app = app
        self.headers = HEADERS | ({"Strict-Transport-Security": TRANSPORT_SECURITY} if https else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and add them on the way back."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)


class KnownHosts:
    """Answers only under the site's own names, which also stops DNS rebinding.

    Args:
        app: What is protected.
        hosts: The names, without ports; one name of this machine stands for all of them.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self.app = app
        names = {f"[{host}]" if ":" in host.strip("[]") and host[0] != "[" else host.lower() for host in hosts}
        self.hosts = names | (set(LOOPBACK) if names & set(LOOPBACK) else set())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or refuse."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        name = re.sub(r":\d{1,5}$", "", given[0]).lower() if len(given) == 1 else ""
        if name in self.hosts:
            return await self.app(scope, receive, send)
        words = "This site does not answer under that name. Whoever runs it names it in OVERPARAM_SITE_URL.\n"
        return await PlainTextResponse(words, 400)(scope, receive, send)


class OwnOrigin:
    """Lets only the site's own pages, and programs without a cookie, change anything.

    A browser says with every form where it comes from: `Sec-Fetch-Site`, or `Origin` where it is older or the site is
    reached by plain HTTP.

    Args:
        app: What is protected.
        https: Whether pages come by HTTPS only.
    """

    def __init__(self, app: ASGIApp, https: bool) -> None:
        self.app, self.https = app, https

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or refuse."""
        if scope["type"] != "http" or scope["method"] in SAFE or ONE_CLICK.fullmatch(scope["path"]):
            return await self.app(scope, receive, send)
        request = Request(scope)
        if self._own(request):
            return await self.app(scope, receive, send)
        words = "This came from another site, so nothing was changed. Go back, load the page again and try once more."
        return await _refuse(request, 403, words, receive, send)

    def _own(self, request: Request) -> bool:
        headers = request.headers
        if bearer_of(request) is not None and not request.cookies:
            return True
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if site is not None:
            return site in ("same-origin", "none")
        if origin is not None:
            schemes = ("https",) if self.https else ("http", "https")
            return origin.lower() in {f"{scheme}://{headers.get('host', '').lower()}" for scheme in schemes}
        return COOKIE not in request.cookies  # a program: no browser leaves out both


class Limits:
    """Counts requests that are costly or change something, in the ledger, so that all processes agree.

    Args:
        app: What is protected.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or refuse."""
        limit = next((limit for limit in LIMITS if limit.covers(scope)), None) if scope["type"] == "http" else None
        if limit is None:
            return await self.app(scope, receive, send)
        request = Request(scope)
        try:
            answer = await run_in_threadpool(self._count, request, limit)
        except Unavailable:
            words = "The database does not answer. Nothing was changed; try again in a minute."
            answer = await run_in_threadpool(problems.answer, request, 503, words, headers={"Retry-After": "60"})
        return await (answer or self.app)(scope, receive, send)

    def _count(self, request: Request, limit: Limit) -> Response | None:
        viewer = viewer_of(request)
        if viewer.local:
            return None
        moment = now()
        who = viewer.account_id or fingerprint(network_of(request), "network")
        if not allow(
            request.app.state.ledger,
            f"{limit.name} {who}",
            limit=limit.most,
            per_seconds=limit.per_seconds,
            now=moment,
        ):
            wait = limit.per_seconds - (int(datetime.fromisoformat(moment).timestamp()) - EPOCH) % limit.per_seconds
            words = f"At most {limit.most:,} in {duration(limit.per_seconds)}. Try again in {duration(wait)}."
            return problems.answer(request, 429, words, headers={"Retry-After": str(wait)})
        if bearer_of(request) is not None and viewer.account_id is None:
            words = "The token is not known or was revoked. Make one on the account page."
            return problems.answer(request, 401, words, headers={"WWW-Authenticate": "Bearer"})
        return None


class SmallBodies:
    """Reads a body whole before it is looked at, up to a size and for a time.

    Args:
        app: What is protected.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or refuse."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        request = Request(scope)
        length = request.headers.get("content-length", "0")
        body: bytes | None = None
        if length.isdigit() and int(length) <= LARGEST_BODY:
            if scope["method"] in SAFE:
                return await self.app(scope, receive, send)
            with anyio.move_on_after(BODY_SECONDS) as time:
                body = await _read(receive)
            if time.cancelled_caught:
                words = f"The request took more than {BODY_SECONDS:.0f} s to arrive. Send it again."
                return await _refuse(request, 408, words, receive, send)
        if body is None:
            words = f"A request may hold {LARGEST_BODY // 1024} kB. Send less at once."
            return await _refuse(request, 413, words, receive, send)
        waiting = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return waiting.pop() if waiting else await receive()

        return await self.app(scope, replay, send)


async def _read(receive: Receive) -> bytes | None:
    """Read a body; None if it is too large."""
    body = b""
    while len(body) <= LARGEST_BODY:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):  # also when the client has gone
            return body if len(body) <= LARGEST_BODY else None
    return None


async def _refuse(request: Request, status: int, words: str, receive: Receive, send: Send) -> None:
    answer = await run_in_threadpool(problems.answer, request, status, words)
    await answer(request.scope, receive, send)

"""Keeps what anonymous readers see for a second, so that a crowd costs as much as one reader."""

from __future__ import annotations

import asyncio
import functools
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from overparam.site.viewer import COOKIE

SECONDS = 1.0
LONGEST_SECONDS = 5.0  # a page that is being made again is shown as it was, unless it is older than this
PAGES = 256  # about 70 kB each


@dataclass
class _Kept:
    """A page, and a lock for whoever makes it."""

    made: Response | None = None
    at: float = float("-inf")
    making: asyncio.Lock = field(default_factory=asyncio.Lock)

    def younger(self, seconds: float) -> Response | None:
        return self.made if time.monotonic() - self.at < seconds else None


def recent(handler: Callable[[Request], Response]) -> Callable[[Request], Awaitable[Response]]:
    """Let a handler answer anonymous readers from what it made within the last second.

    One request makes a page that has aged; the others get the old one meanwhile, or wait if there is none. What is kept
    is sent without a change of threads, so that even the slowest of many readers is not kept waiting.

    Args:
        handler: Whose pages depend on address, theme and ledger alone for readers who are not signed in.

    Returns:
        A handler.
    """
    pages: OrderedDict[tuple[int, str, str | None], _Kept] = OrderedDict()

    def find(request: Request) -> _Kept:
        key = (id(request.app.state.ledger), f"{request.url.path}?{request.url.query}", request.cookies.get("theme"))
        kept = pages.setdefault(key, _Kept())
        pages.move_to_end(key)
        while len(pages) > PAGES:
            pages.popitem(last=False)
        return kept

    @functools.wraps(handler)
    async def answer(request: Request) -> Response:
        if COOKIE in request.cookies or "authorization" in request.headers or request.app.state.local:
            return await run_in_threadpool(handler, request)
        kept = find(request)
        if found := kept.younger(LONGEST_SECONDS if kept.making.locked() else SECONDS):
            return _copy(found)
        async with kept.making:
            if found := kept.younger(SECONDS):  # somebody made it while we waited
                return _copy(found)
            fresh = await run_in_threadpool(handler, request)
            if fresh.status_code != 200:
                return fresh
            kept.made, kept.at = fresh, time.monotonic()
            return _copy(fresh)

    return answer


def _copy(made: Response) -> Response:
    """Copy an answer: middleware adds to the headers of what it passes on."""
    return Response(made.body, made.status_code, dict(made.headers))

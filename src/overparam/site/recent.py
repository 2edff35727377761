"""Keeps what anonymous readers see for a second, so that a crowd costs as much as one reader."""

from __future__ import annotations

import functools
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

from overparam.site.viewer import COOKIE

SECONDS = 1.0
LONGEST_SECONDS = 5.0  # a page that is being made again is shown as it was, unless it is older than this
PAGES = 256  # about 70 kB each

Handler = Callable[[Request], Response]


@dataclass
class _Kept:
    """A page, and who is at making it."""

    made: Response | None = None
    at: float = float("-inf")
    making: threading.Lock = field(default_factory=threading.Lock)

    def young(self, seconds: float) -> bool:
        return time.monotonic() - self.at < seconds


def recent(handler: Handler) -> Handler:
    """Let a handler answer anonymous readers from what it made within the last second.

    One request makes a page that has aged; the others get the old one meanwhile, or wait if there is none.

    Args:
        handler: Whose pages depend on address, theme and ledger alone for readers who are not signed in.

    Returns:
        A handler.
    """
    pages: OrderedDict[tuple[int, str, str | None], _Kept] = OrderedDict()
    lock = threading.Lock()

    def find(request: Request) -> _Kept:
        key = (id(request.app.state.ledger), f"{request.url.path}?{request.url.query}", request.cookies.get("theme"))
        with lock:
            kept = pages.setdefault(key, _Kept())
            pages.move_to_end(key)
            while len(pages) > PAGES:
                pages.popitem(last=False)
        return kept

    @functools.wraps(handler)
    def answer(request: Request) -> Response:
        if COOKIE in request.cookies or "authorization" in request.headers or request.app.state.local:
            return handler(request)
        kept = find(request)
        if kept.made and kept.young(SECONDS):
            return _copy(kept.made)
        if not kept.making.acquire(blocking=not (kept.made and kept.young(LONGEST_SECONDS))):
            assert kept.made is not None
            return _copy(kept.made)
        try:
            if not (kept.made and kept.young(SECONDS)):  # else somebody made it while we waited
                fresh = handler(request)
                if fresh.status_code != 200:
                    return fresh
                kept.made, kept.at = fresh, time.monotonic()
            return _copy(kept.made)
        finally:
            kept.making.release()

    return answer


def _copy(made: Response) -> Response:
    """Copy an answer: middleware adds to the headers of what it passes on."""
    return Response(made.body, made.status_code, dict(made.headers))

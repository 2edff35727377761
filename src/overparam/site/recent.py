"""Keeps what anonymous readers see for a second, so that a crowd costs as much as one reader."""

from __future__ import annotations

import functools
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from overparam.site.viewer import COOKIE

SECONDS = 1.0
PAGES = 256  # about 70 kB each

Handler = Callable[[Request], Response]


def recent(handler: Handler) -> Handler:
    """Let a handler answer anonymous readers from what it made within the last second.

    Args:
        handler: Whose pages depend on address, theme and ledger alone for readers who are not signed in.

    Returns:
        A handler.
    """
    kept: OrderedDict[tuple[int, str, str | None], tuple[float, Response]] = OrderedDict()
    lock = threading.Lock()

    @functools.wraps(handler)
    def answer(request: Request) -> Response:
        known = COOKIE in request.cookies or "authorization" in request.headers or request.app.state.local
        if known:
            return handler(request)
        address = f"{request.url.path}?{request.url.query}"
        key = (id(request.app.state.ledger), address, request.cookies.get("theme"))
        with lock:
            found = kept.get(key)
        if found is not None and time.monotonic() < found[0]:
            return _again(found[1])
        made = handler(request)
        if made.status_code == 200:
            with lock:
                kept[key] = (time.monotonic() + SECONDS, made)
                while len(kept) > PAGES:
                    kept.popitem(last=False)
            return _again(made)
        return made

    return answer


def _again(made: Response) -> Response:
    """Copy an answer: middleware adds to the headers of what it passes on."""
    return Response(made.body, made.status_code, dict(made.headers))

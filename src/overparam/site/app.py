"""Puts the site together: pages, API, live events, security."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.datastructures import State
from starlette.middleware import Middleware
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount

from overparam.ledger import Ledger
from overparam.site import assets, live, observe, problems
from overparam.site.api import make_api
from overparam.site.observe import Observed
from overparam.site.pages import board, days, feeds, papers, people, runs, searching, subscribing, texts
from overparam.site.security import protect
from overparam.site.verdicts import Overview

# The first route that fits answers: `/topics/{topic}/feed.atom` stands before `/topics/{topic}`
PARTS = (assets, live, feeds, runs, people, papers, days, board, searching, subscribing, texts, observe, problems)


def make_app(ledger: Ledger, *, local: bool = False, hosts: Sequence[str] = (), https: bool = False) -> Starlette:
    """Build the site.

    Args:
        ledger: Where everything lies.
        local: Whether whoever asks is the person at this desk.
        hosts: Names under which it may be reached.
        https: Whether readers reach it by https, so that cookies can be kept to that.

    Returns:
        The application.
    """
    state = State({"ledger": ledger, "local": local, "overview": Overview(ledger)})
    first = len(assets.routes) + len(live.routes)
    routes = [route for part in PARTS for route in part.routes]
    routes.insert(first, Mount("/api/v1", make_api(state), name="api"))
    middleware = [
        Middleware(Observed),
        *protect(hosts=hosts, https=https),
        Middleware(GZipMiddleware, minimum_size=1000),
        Middleware(ServerErrorMiddleware, handler=problems.unexpected),  # inside, so that faults get all headers, too
    ]
    app = Starlette(routes=routes, middleware=middleware, exception_handlers=problems.handlers)
    app.state = state
    return app

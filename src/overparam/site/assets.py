"""Style sheet and scripts, with names that change when they do, so that browsers keep them for good."""

from __future__ import annotations

import functools
import hashlib
from importlib import resources

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from overparam.lab.report import look

FOLDER = resources.files("overparam.site") / "static"
FOR_GOOD = {"Cache-Control": "public, max-age=31536000, immutable"}


@functools.cache
def style() -> str:
    """Join the style sheets into one."""
    return look("tokens.css") + look("page.css") + (FOLDER / "site.css").read_text(encoding="utf-8")


@functools.cache
def version() -> str:
    """Hash everything that browsers keep."""
    texts = [style(), *((FOLDER / name).read_text(encoding="utf-8") for name in ("site.js", "live.js"))]
    return hashlib.sha256("".join(texts).encode()).hexdigest()[:12]


def _style(_request: Request) -> Response:
    return Response(style(), media_type="text/css", headers=FOR_GOOD)


routes = [
    Route("/static/{version}/style.css", _style),
    Mount("/static/{version}", StaticFiles(packages=[("overparam.site", "static")]), name="static"),
]

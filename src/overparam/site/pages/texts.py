"""Pages that are read: methods and how verdicts are made."""

from __future__ import annotations

import functools

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from overparam.errors import NotFound
from overparam.lab.registry import papers
from overparam.settings import shipped
from overparam.site.methods import methods as all_methods
from overparam.site.methods import prose
from overparam.site.views import page


def methods(request: Request) -> Response:
    """List the methods."""
    titles = {slug: entry.paper.title for slug, entry in papers().items()}
    return page(request, "methods.html.jinja", methods=list(all_methods().values()), titles=titles)


def method(request: Request) -> Response:
    """Show how to use a method."""
    slug = request.path_params["slug"]
    found = all_methods().get(slug)
    if found is None:
        raise NotFound(f"no page on methods is called {slug[:60]!r}; /methods lists them")
    title = papers()[slug].paper.title if slug in papers() else ""
    return page(request, "method.html.jinja", method=found, paper_title=title)


@functools.cache
def _judging() -> tuple[str, Markup]:
    title, _, body = (shipped("guide") / "verdicts.md").read_text(encoding="utf-8").partition("\n")
    return title.lstrip("# "), prose(body)


def judging(request: Request) -> Response:
    """Say how a verdict is made."""
    title, html = _judging()
    return page(request, "text.html.jinja", title=title, html=html)


routes = [Route("/methods", methods), Route("/methods/{slug}", method), Route("/judging", judging)]

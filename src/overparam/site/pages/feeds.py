"""Atom and JSON feeds of every list and every search."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from overparam.feed import listings
from overparam.feed.search import parse, search
from overparam.lab.wording import count
from overparam.settings import site_url
from overparam.site.cards import byline
from overparam.site.markup import clean_text
from overparam.site.pages.days import period_name
from overparam.site.recent import recent
from overparam.site.views import environment

ENTRIES = 50


@dataclass(frozen=True)
class Listed:
    """What a feed holds.

    Attributes:
        title: Of the feed.
        path: Of the page that shows the same.
        rows: Of `article`.
    """

    title: str
    path: str
    rows: list[sa.Row[Any]]


def _newest(request: Request) -> Listed:
    found = listings.articles(request.app.state.ledger, order="newest", limit=ENTRIES)
    return Listed("New papers", "/", found.items)


def _trending(request: Request) -> Listed:
    found = listings.articles(request.app.state.ledger, order="trending", limit=ENTRIES)
    return Listed("Trending", "/trending", found.items)


def _topic(request: Request) -> Listed:
    name = request.path_params["topic"]
    found = listings.articles(request.app.state.ledger, order="newest", topic=name, limit=ENTRIES)
    return Listed(f"Papers on {name}", f"/topics/{name}", found.items)


def _period(request: Request) -> Listed:
    kind = request.url.path.split("/")[1].removesuffix("s")
    shown = listings.parse_period(kind, request.path_params["name"])
    found = listings.articles(request.app.state.ledger, order="votes", period=shown, limit=100)
    return Listed(period_name(shown), shown.path, found.items)


def _search(request: Request) -> Listed:
    query = parse(request.query_params.get("q", "")[:2000])
    found = search(request.app.state.ledger, query, limit=ENTRIES)
    rows = listings.by_ids(request.app.state.ledger, [hit.article_id for hit in found.hits])
    rows = sorted(rows, key=lambda row: (row.added_at, row.id), reverse=True)
    return Listed(f"Search: {query.text}", str(request.url.replace(scheme="", netloc="", path="/search")), rows)


def _entries(request: Request, found: Listed) -> list[dict[str, Any]]:
    states = request.app.state.overview.states()
    entries = []
    for row in found.rows:
        state = states.get(row.slug) if row.slug else None
        judged = state.judged if state else []
        verdicts = [f"{c.claim} {c.status}{' (proxy)' if c.proxy else ''}: {c.statement}" for c in judged]
        changed = max(row.updated_at, state.newest if state else "")
        entries.append({
            "id": f"{site_url()}/papers/{row.key}",
            "title": clean_text(row.title),
            "by": byline(row),
            "names": [clean_text(name) for name in json.loads(row.authors_json)],
            "published": f"{row.published_on}T00:00:00Z",
            "updated": f"{changed[:19]}Z",
            "summary": state.entry.paper.summary if state else clean_text(row.abstract),
            "verdicts": verdicts,
            "verdict_words": f"{count(len(judged), 'claim')} judged" if judged else "",
        })
    return entries


def _updated(entries: list[dict[str, Any]]) -> str:
    return max((e["updated"] for e in entries), default=f"{datetime(2025, 1, 1, tzinfo=UTC):%Y-%m-%dT%H:%M:%SZ}")


def _atom(gather: Callable[[Request], Listed]) -> Callable[[Request], Response]:
    def atom(request: Request) -> Response:
        found = gather(request)
        entries = _entries(request, found)
        text = environment().get_template("feed.atom.jinja").render(
            title=found.title, page=site_url() + found.path, me=site_url() + _own_path(request), entries=entries,
            updated=_updated(entries),
        )  # fmt: skip
        return Response(text, media_type="application/atom+xml")

    return atom


def _own_path(request: Request) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def _json(gather: Callable[[Request], Listed]) -> Callable[[Request], Response]:
    def feed(request: Request) -> Response:
        found = gather(request)
        items = [
            {
                "id": e["id"],
                "url": e["id"],
                "title": e["title"],
                "content_text": "\n".join([e["summary"], *e["verdicts"]]).strip() or e["title"],
                "date_published": e["published"],
                "date_modified": e["updated"],
                "authors": [{"name": name} for name in e["names"]],
            }
            for e in _entries(request, found)
        ]
        body = {
            "version": "https://jsonfeed.org/version/1.1",
            "title": f"overparam: {found.title}",
            "home_page_url": site_url() + found.path,
            "feed_url": site_url() + _own_path(request),
            "items": items,
        }
        return JSONResponse(body, media_type="application/feed+json")

    return feed


LISTS = {
    "": _newest,
    "/trending": _trending,
    "/topics/{topic:path}": _topic,
    "/days/{name}": _period,
    "/weeks/{name}": _period,
    "/months/{name}": _period,
    "/search": _search,
}
routes = [
    route
    for path, gather in LISTS.items()
    for route in (Route(f"{path}/feed.atom", recent(_atom(gather))), Route(f"{path}/feed.json", recent(_json(gather))))
]

"""The feed: today, days, weeks, months, trending, topics."""

from __future__ import annotations

from datetime import date
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from overparam.errors import BadInput, NotFound
from overparam.feed import listings
from overparam.feed.listings import ORDERS, Period
from overparam.site.cards import cards
from overparam.site.recent import recent
from overparam.site.verdicts import tally
from overparam.site.views import page


def today(request: Request) -> Response:
    """Show the newest day with papers."""
    newest = listings.newest_day(request.app.state.ledger)
    return _period(request, listings.period_of("day", newest or date.today()), path="/")


def period(request: Request) -> Response:
    """Show a day, a week or a month."""
    kind = request.url.path.split("/")[1].removesuffix("s")
    return _period(request, listings.parse_period(kind, request.path_params["name"]))


def _order(request: Request, otherwise: str) -> Any:
    order = request.query_params.get("order", otherwise)
    if order not in ORDERS:
        raise BadInput(f"order={order[:40]!r} is none of {', '.join(ORDERS)}")
    return order


def _address(path: str, **query: str | None) -> str:
    kept = {k: v for k, v in query.items() if v}
    return path + (f"?{urlencode(kept)}" if kept else "")


def _period(request: Request, shown: Period, path: str | None = None) -> Response:
    ledger = request.app.state.ledger
    order = _order(request, "votes")
    after = request.query_params.get("after")
    found = listings.articles(ledger, order=order, period=shown, after=after)
    states = request.app.state.overview.states()
    ours = [states[row.slug] for row in found.items if row.slug in states]
    total = listings.total(ledger, shown)
    path = path or shown.path
    return page(
        request,
        "day.html.jinja",
        period=shown,
        name=period_name(shown),
        views=[(listings.period_of(kind, shown.last), kind.capitalize()) for kind in ("day", "week", "month")],
        orders=[(o, _address(path, order=o if o != "votes" else None)) for o in ORDERS],
        order=order,
        earlier=_earlier(ledger, shown),
        later=_later(ledger, shown),
        cards=cards(request, found.items),
        tally=tally(ours) if ours and not after else None,
        papers=total,
        after=after,
        more=_address(path, order=order if order != "votes" else None, after=found.next) if found.next else None,
        newest=listings.newest_day(ledger) if not found.items else None,
        feed=shown.path,
    )


def period_name(shown: Period) -> str:
    """Write a period for people.

    Args:
        shown: The period.

    Returns:
        `Friday 26 December 2025`, `22 to 28 December 2025` or `December 2025`.
    """
    first, last = shown.first, shown.last
    if shown.kind == "day":
        return f"{first:%A} {first.day} {first:%B %Y}"
    if shown.kind == "month":
        return f"{first:%B %Y}"
    start = f"{first.day}" + (f" {first:%B}" if first.month != last.month else "")
    return f"{start}{f' {first.year}' if first.year != last.year else ''} to {last.day} {last:%B %Y}"


def _earlier(ledger: Any, shown: Period) -> tuple[Period, str] | None:
    day = listings.newest_day(ledger, before=shown.first)
    return _named(shown, day)


def _later(ledger: Any, shown: Period) -> tuple[Period, str] | None:
    return _named(shown, listings.next_day(ledger, shown.last))


def _named(shown: Period, day: date | None) -> tuple[Period, str] | None:
    """Name a neighbour; the year of a day is said only where it is another one."""
    if day is None:
        return None
    found = listings.period_of(shown.kind, day)
    same_year = shown.kind == "day" and day.year == shown.first.year
    return found, f"{day:%A} {day.day} {day:%B}" if same_year else period_name(found)


def trending(request: Request) -> Response:
    """Show what trends."""
    return _whole(request, "Trending", "trending", "/trending")


def topic(request: Request) -> Response:
    """Show the papers of a topic."""
    name = request.path_params["topic"]
    return _whole(request, name[:1].upper() + name[1:], "newest", f"/topics/{name}", topic=name)


def _whole(request: Request, title: str, order: str, path: str, topic: str | None = None) -> Response:
    ledger = request.app.state.ledger
    chosen = _order(request, order)
    after = request.query_params.get("after")
    found = listings.articles(ledger, order=chosen, topic=topic, after=after)
    if topic and not found.items and not after:
        raise NotFound(f"no paper has the topic {topic[:60]!r}; the search page lists the topics")
    return page(
        request,
        "list.html.jinja",
        title=title,
        order=chosen,
        orders=[(o, _address(path, order=o if o != order else None)) for o in ORDERS],
        cards=cards(request, found.items),
        more=_address(path, order=chosen if chosen != order else None, after=found.next) if found.next else None,
        topic=topic,
        feed=path,
    )


routes = [
    Route("/", recent(today)),
    Route("/days/{name}", recent(period)),
    Route("/weeks/{name}", recent(period)),
    Route("/months/{name}", recent(period)),
    Route("/trending", recent(trending)),
    Route("/topics/{topic:path}", recent(topic)),
]

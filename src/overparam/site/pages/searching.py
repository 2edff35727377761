"""The search page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from overparam.feed import listings
from overparam.feed.search import parse, search
from overparam.lab.report import mini
from overparam.site.cards import cards
from overparam.site.verdicts import PaperState
from overparam.site.views import page

CLAIMS_SHOWN = 4


def searching(request: Request) -> Response:
    """Show what was found, or what can be looked for."""
    query = _query(request)
    topics = listings.all_topics(request.app.state.ledger)
    if not query.text:
        return page(request, "search.html.jinja", query="", asked=None, found=None, topics=topics)
    found = search(request.app.state.ledger, query, after=request.query_params.get("after"))
    rows = {row.id: row for row in listings.by_ids(request.app.state.ledger, [hit.article_id for hit in found.hits])}
    hits = [hit for hit in found.hits if hit.article_id in rows]
    shown = cards(request, [rows[hit.article_id] for hit in hits])
    states = request.app.state.overview.states()
    for card, hit in zip(shown, hits, strict=True):
        state = states.get(rows[hit.article_id].slug or "")
        card["say"] = marked(hit.snippet, hit.marks) if hit.snippet else card["say"]
        card["why"] = " and ".join(hit.ways).capitalize()
        card["evidence"] = _claims(state, hit.claims) if state and hit.claims else card["evidence"]
    following = {"q": query.text, "after": found.next}
    return page(
        request,
        "search.html.jinja",
        query=query.text,
        asked=query,
        found=found,
        cards=shown,
        topics=topics,
        more=f"/search?{urlencode(following)}" if found.next else None,
        without=_without_verdicts(query),
    )


def _query(request: Request) -> Any:
    """Read the box and the ticked choices beside it as one query."""
    asked = request.query_params
    words = [asked.get("q", "")]
    words += [f"verdict:{value}" for value in asked.getlist("verdict")]
    words += [f'tag:"{value}"' for value in asked.getlist("tag")]
    words += [f"proxy:{value}" for value in asked.getlist("proxy")[:1] if len(asked.getlist("proxy")) == 1]
    return parse(" ".join(words)[:2000])


def _without_verdicts(query: Any) -> str | None:
    if not query.by_claim:
        return None
    return f"/search?{urlencode({'q': replace(query, verdicts=(), proxy=None).text})}"


def _claims(state: PaperState, ids: tuple[str, ...]) -> dict[str, Any]:
    shown = [c for c in state.claims if c.claim in ids][:CLAIMS_SHOWN]
    rows = [
        {"claim": c.claim, "status": c.status, "proxy": c.proxy, "mini": mini(c.body) if c.judged else None}
        for c in shown
    ]
    return {"key": state.entry.paper.slug, "rows": rows, "more": "", "waiting": "", "runnable": True, "note": "",
            "reconstruction": state.entry.paper.fidelity == "reconstruction"}  # fmt: skip


def marked(text: str, marks: Sequence[tuple[int, int]]) -> Markup:
    """Set the words that were found in marks.

    Args:
        text: Plain text.
        marks: Start and end of each word.

    Returns:
        HTML.
    """
    parts, last = [], 0
    for start, end in marks:
        parts += [escape(text[last:start]), Markup("<mark>{}</mark>").format(text[start:end])]
        last = end
    return Markup("").join([*parts, escape(text[last:])])


routes = [Route("/search", searching)]

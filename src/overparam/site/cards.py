"""Turns rows of papers into what cards show."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from markupsafe import Markup
from starlette.requests import Request

from overparam.feed.trending import score
from overparam.feed.votes import voted
from overparam.lab.wording import count
from overparam.ledger.clock import now
from overparam.site.markup import with_maths
from overparam.site.verdicts import card_evidence
from overparam.site.viewer import viewer_of
from overparam.site.views import short_day

NAMES_SHOWN = 5
SAY_CHARACTERS = 420
NEW_FOR = timedelta(days=2)


def byline(row: sa.Row[Any]) -> str:
    """Name the authors, or count them where there are many or none is known.

    Args:
        row: Of `article`.

    Returns:
        Plain text.
    """
    names = json.loads(row.authors_json)
    if names and len(names) <= NAMES_SHOWN:
        return ", ".join(names)
    if names:
        return f"{names[0]} and {count(len(names) - 1, 'other')}"
    return count(row.author_count, "author") if row.author_count else "Authors not listed"


def shortened(text: str, limit: int) -> str:
    """Cut a text at a word.

    Args:
        text: Plain text.
        limit: Characters.

    Returns:
        The text, or its beginning with an ellipsis.
    """
    text = " ".join(text.split())
    return text if len(text) <= limit else text[:limit].rsplit(" ", 1)[0].rstrip(",.;:") + " …"


def cards(request: Request, rows: Iterable[sa.Row[Any]]) -> list[dict[str, Any]]:
    """Gather what cards show.

    Args:
        request: Whose votes are marked.
        rows: Of `article`.

    Returns:
        One context a card, in order.
    """
    rows = list(rows)
    states = request.app.state.overview.states()
    viewer = viewer_of(request)
    mine = voted(request.app.state.ledger, viewer.account_id, [r.id for r in rows]) if viewer.account_id else set()
    fresh = (datetime.now(UTC) - NEW_FOR).date().isoformat()
    moment = now()
    found = []
    for row in rows:
        state = states.get(row.slug) if row.slug else None
        say = state.entry.paper.summary if state else shortened(row.abstract, SAY_CHARACTERS)
        found.append({
            "id": row.id,
            "key": row.key,
            "title": with_maths(row.title),
            "by": byline(row),
            "published_on": row.published_on,
            "comments": row.comments,
            "discussion_url": safe_url(row.discussion_url),
            "code_url": None if state else safe_url(row.code_url),
            "say": with_maths(say) if say else Markup(""),
            "votes_shown": row.votes + row.votes_elsewhere,
            "pressed": row.id in mine,
            "new": row.listed_on >= fresh,
            "trend": score(row.trend_key, moment),
            "evidence": card_evidence(state, short_day) if state else None,
        })
    return found


def safe_url(url: str | None) -> str | None:
    """Let only web addresses through: what a source calls a link may be a script.

    Args:
        url: As a source gave it.

    Returns:
        The address, or None.
    """
    return url if url and url.lower().startswith(("https://", "http://")) else None

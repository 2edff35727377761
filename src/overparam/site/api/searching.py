"""Search, topics, and the state of the site."""

from __future__ import annotations

from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Query, Request, Response

import overparam
from overparam.feed import listings
from overparam.feed.fetch import sources_state
from overparam.feed.search import search
from overparam.ledger.schema import HEAD, article, article_topic
from overparam.site.api import models
from overparam.site.api.papers import papers_of
from overparam.site.api.strict import After, Limit, StrictRoute, link_next

router = APIRouter(route_class=StrictRoute, tags=["search"], generate_unique_id_function=lambda route: route.name)


@router.get("/search", summary="Search papers and claims")
def find_papers(
    request: Request,
    response: Response,
    q: Annotated[
        str,
        Query(
            max_length=400,
            description='Words, "phrases", -not, author:, tag:, after:, verdict:; all else is taken as it stands',
        ),
    ],
    after: After = None,
    limit: Limit = 30,
) -> models.Found:
    """Search by words and by meaning together. Filters alone are ordered newest first."""
    ledger = request.app.state.ledger
    found = search(ledger, q, limit=limit, after=after)
    rows = listings.by_ids(ledger, [hit.article_id for hit in found.hits])
    papers = dict(
        zip([row.id for row in rows], papers_of(ledger, request.app.state.overview.states(), rows), strict=True)
    )
    items = [
        models.Hit(
            paper=papers[hit.article_id],
            score=hit.score,
            ways=list(hit.ways),
            claims=list(hit.claims),
            snippet=hit.snippet,
            marks=list(hit.marks),
        )
        for hit in found.hits
        if hit.article_id in papers
    ]
    return models.Found(
        items=items,
        total=found.total,
        claim_total=found.claim_total,
        degraded=found.degraded,
        verdicts=dict(found.verdicts),
        settings=dict(found.settings),
        topics=dict(found.topics),
        next=link_next(request, response, found.next),
    )


@router.get("/topics", summary="List topics")
def list_topics(request: Request) -> models.Topics:
    """List all topics: those of papers with code here, and the categories of arXiv."""
    number = sa.func.count().label("papers")
    query = sa.select(article_topic.c.topic, number).group_by(article_topic.c.topic)
    with request.app.state.ledger.reading() as db:
        rows = db.execute(query.order_by(number.desc(), article_topic.c.topic)).all()
    return models.Topics(items=[models.Topic(topic=row.topic, papers=row.papers) for row in rows])


@router.get("/status", summary="Read the state of the site", tags=["site"])
def status(request: Request) -> models.SiteStatus:
    """Read versions, the number of papers, and when each source was last read."""
    ledger = request.app.state.ledger
    with ledger.reading() as db:
        papers = db.execute(sa.select(sa.func.count()).select_from(article)).scalar_one()
    sources = [
        models.Source(
            source=row.source,
            tried_at=row.tried_at,
            succeeded_at=row.succeeded_at,
            degraded_until=row.degraded_until,
            stale=row.stale,
        )
        for row in sources_state(ledger)
    ]
    return models.SiteStatus(version=overparam.__version__, tables=HEAD, papers=papers, sources=sources)

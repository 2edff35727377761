"""Papers, claims with the history of their verdicts, votes, the board."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Path, Query, Request, Response

from overparam.errors import BadInput, NotFound
from overparam.feed import listings, votes
from overparam.feed.listings import Order, Period
from overparam.lab.board import board_row
from overparam.lab.planner import REGULAR
from overparam.ledger import Ledger
from overparam.ledger.schema import run, verdict
from overparam.settings import site_url
from overparam.site.api import models
from overparam.site.api.runs import figure_links, newest_runs
from overparam.site.api.strict import After, Key, Limit, StrictRoute, Voter, link, link_next
from overparam.site.cards import safe_url
from overparam.site.verdicts import ClaimState, PaperState
from overparam.site.viewer import account_of

router = APIRouter(route_class=StrictRoute, tags=["papers"], generate_unique_id_function=lambda route: route.name)
ClaimId = Annotated[str, Path(description="Id of the claim, in any case", examples=["C1"])]
TO_PAPER = {"paper": link("read_paper", "The first paper in full", key="/items/0/key")}
States = Mapping[str, PaperState]
# What is described but read by `listings`, so that a date that is none is an error of the address
PERIOD = {"pattern": "^[0-9]{4}-([0-9]{2}(-[0-9]{2})?|W[0-9]{2})$", "examples": ["2026-11-21", "2026-W47", "2026-11"]}
DAY = {"format": "date", "examples": ["2026-11-21"]}


@router.get("/papers", summary="List papers", responses={200: {"links": TO_PAPER}})
def list_papers(
    request: Request,
    response: Response,
    order: Order = "newest",
    period: Annotated[str | None, Query(description="A day, week or month", json_schema_extra=PERIOD)] = None,
    first: Annotated[str | None, Query(alias="from", description="First day of listing", json_schema_extra=DAY)] = None,
    last: Annotated[str | None, Query(alias="to", description="Last day of listing", json_schema_extra=DAY)] = None,
    topic: Annotated[str | None, Query(max_length=200, description="Only papers of this topic")] = None,
    after: After = None,
    limit: Limit = 30,
) -> models.Papers:
    """List all papers, or with `period` or with `from` and `to` those that a source listed then."""
    ledger = request.app.state.ledger
    days = _period(period, first, last)
    found = listings.articles(ledger, order=order, period=days, topic=topic, after=after, limit=limit)
    items = papers_of(ledger, request.app.state.overview.states(), found.items)
    return models.Papers(items=items, next=link_next(request, response, found.next))


def _period(name: str | None, first: str | None, last: str | None) -> Period | None:
    if name is not None:
        if first is not None or last is not None:
            raise BadInput("period stands alone; leave from and to out, or leave period out")
        kind = "week" if "W" in name else "day" if name.count("-") == 2 else "month"
        return listings.parse_period(kind, name)
    if first is None and last is None:
        return None
    begin = listings.parse_period("day", first).first if first is not None else date.min
    end = listings.parse_period("day", last).first if last is not None else date.max
    if end < begin:
        raise BadInput(f"to={last} lies before from={first}; swap them")
    return Period("day", "", begin, end)


def papers_of(ledger: Ledger, states: States, rows: Sequence[sa.Row[Any]]) -> list[models.Paper]:
    """Write papers for lists.

    Args:
        ledger: Where their topics lie.
        states: Where our papers stand.
        rows: Of `article`.

    Returns:
        The papers in order.
    """
    topics = listings.topics_of(ledger, [row.id for row in rows])
    return [models.Paper(**_facts(row, topics.get(row.id, []), states.get(row.slug or ""))) for row in rows]


def _facts(row: sa.Row[Any], topics: list[str], state: PaperState | None) -> dict[str, Any]:
    same = ("key", "slug", "title", "author_count", "arxiv", "doi", "published_on", "listed_on", "version",
            "withdrawn", "votes", "votes_elsewhere", "comments")  # fmt: skip
    return {
        **{name: getattr(row, name) for name in same},
        "authors": json.loads(row.authors_json),
        "topics": topics,
        "code_url": safe_url(row.code_url),
        "discussion_url": safe_url(row.discussion_url),
        "page": f"{site_url()}/papers/{row.key}",
        "standing": Counter(claim.status for claim in state.claims) if state else None,
    }


def _find(ledger: Ledger, key: Key) -> sa.Row[Any]:
    row = listings.by_key(ledger, key)
    if row is None:
        raise NotFound(f"no paper is called {key[:60]!r}; GET /api/v1/search finds papers by words")
    return row


# the longer addresses come first, since an arXiv identifier may hold a slash
@router.get("/papers/{key:key}/claims/{claim}", summary="Read a claim with the history of its verdicts")
def read_claim(request: Request, key: Key, claim: ClaimId) -> models.ClaimHistory:
    """Read a claim. Its history holds the verdicts of all regular runs, superseded ones included, newest first."""
    ledger = request.app.state.ledger
    row = _find(ledger, key)
    state = request.app.state.overview.states().get(row.slug or "")
    if state is None:
        raise NotFound(f"{row.key} has no code here, so none of its claims are stated")
    wanted = state.entry.claim(claim).id
    rows = _history(ledger, row.slug, wanted)
    about = next(c for c in state.claims if c.claim == wanted)
    present = _present(about, rows)
    history = [
        models.PastVerdict(**_placed(past), present=past is present, supersedes=past.supersedes) for past in rows
    ]
    return models.ClaimHistory(**_claim(state, about, rows), history=history)


@router.put("/papers/{key:key}/vote", summary="Vote for a paper", tags=["people"])
def vote(request: Request, response: Response, key: Key, viewer: Voter) -> models.Vote:
    """Vote for a paper. A second vote changes nothing."""
    ledger = request.app.state.ledger
    row = _find(ledger, key)
    number = votes.vote(ledger, account_of(ledger, viewer), row.id)
    return models.Vote(key=row.key, votes=number, voted=True)


@router.delete("/papers/{key:key}/vote", summary="Take a vote back", tags=["people"])
def unvote(request: Request, response: Response, key: Key, viewer: Voter) -> models.Vote:
    """Take a vote back, as if it had never been given."""
    ledger = request.app.state.ledger
    row = _find(ledger, key)
    number = votes.unvote(ledger, account_of(ledger, viewer), row.id)
    return models.Vote(key=row.key, votes=number, voted=False)


@router.get("/papers/{key:key}", summary="Read a paper")
def read_paper(request: Request, key: Key) -> models.PaperInFull:
    """Read a paper with its claims, their newest verdicts in full, its newest runs and its figures."""
    ledger = request.app.state.ledger
    row = _find(ledger, key)
    state = request.app.state.overview.states().get(row.slug or "")
    facts = _facts(row, listings.topics_of(ledger, [row.id]).get(row.id, []), state)
    if state is None:
        return models.PaperInFull(
            **facts, abstract=row.abstract, summary=None, fidelity=None, runnable=False, claims=[], runs=[], figures=[]
        )
    rows = _history(ledger, row.slug)
    of_claim: dict[str, list[sa.Row[Any]]] = {}
    for past in rows:
        of_claim.setdefault(past.claim, []).append(past)
    claims = [models.Claim(**_claim(state, about, of_claim.get(about.claim, []))) for about in state.claims]
    standing = list(dict.fromkeys(claim.verdict.run for claim in claims if claim.verdict))
    return models.PaperInFull(
        **facts,
        abstract=row.abstract,
        summary=state.entry.paper.summary,
        fidelity=state.entry.paper.fidelity,
        runnable=state.entry.runnable,
        claims=claims,
        runs=newest_runs(ledger, row.slug),
        figures=figure_links(ledger, standing),
    )


def _history(ledger: Ledger, slug: str, claim: str | None = None) -> list[sa.Row[Any]]:
    """Read the verdicts of regular runs, newest first."""
    where = [verdict.c.paper == slug, run.c.options_json == REGULAR]
    where += [verdict.c.claim == claim] if claim else []
    query = sa.select(verdict, run.c.scale).join(run, run.c.id == verdict.c.run_id).where(*where)
    with ledger.reading() as db:
        return list(db.execute(query.order_by(verdict.c.at.desc(), verdict.c.run_id.desc())))


def _present(about: ClaimState, rows: Sequence[sa.Row[Any]]) -> sa.Row[Any] | None:
    """Find the verdict that stands: the newest at the largest scale."""
    return next((row for row in rows if (row.at, row.scale) == (about.at, about.scale)), None)


def _placed(row: sa.Row[Any]) -> dict[str, Any]:
    body = {**json.loads(row.body_json), "run": row.run_id, "scale": row.scale, "at": row.at}
    return {name: body[name] for name in models.PlacedVerdict.model_fields if name in body}


def _claim(state: PaperState, about: ClaimState, rows: Sequence[sa.Row[Any]]) -> dict[str, Any]:
    declared = state.entry.claim(about.claim)
    present = _present(about, rows)
    return {
        "claim": about.claim,
        "statement": about.statement,
        "source": declared.source,
        "kind": declared.kind,
        "rule": declared.rule.text if declared.rule else None,
        "untestable": declared.untestable or None,
        "note": declared.note,
        "status": about.status,
        "verdict": models.PlacedVerdict(**_placed(present)) if present is not None else None,
    }


@router.get("/board", summary="Read the board")
def board(request: Request) -> models.Board:
    """Read all papers with code here by claims, a status for each, as `overparam board --json` prints them."""
    return models.Board(papers=[_board_row(state) for state in request.app.state.overview.states().values()])


def _board_row(state: PaperState) -> models.BoardPaper:
    judged = {c.claim: {**c.body, "scale": c.scale} for c in state.judged}
    return models.BoardPaper(**board_row(state.entry, judged))

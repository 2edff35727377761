r"""Trending: a sum of events whose weights halve every 36 hours, kept so that time alone never changes the order.

The score of an article at time t is sum_i w_i 2^((t_i - t) / h). Instead of the score, which falls all the time, the
ledger keeps K = log2 sum_i w_i 2^(t_i / h). K grows with every event and needs no upkeep; the score at t is
2^(K - t / h). Sorting by K is sorting by score, so pages stay stable while they are read.

Weights: a listing 1, an up-vote 1, a comment 1/2, a new verdict or one that changed 3, an up-vote elsewhere 1/10.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from datetime import UTC, datetime

import sqlalchemy as sa

from overparam.lab.planner import REGULAR
from overparam.ledger import Ledger
from overparam.ledger.schema import article, listing, metric, run, verdict, vote

HALF_LIFE_SECONDS = 36 * 3600.0
EPOCH = datetime(2020, 1, 1, tzinfo=UTC)  # keeps K small; shifting all times alike changes no order
WEIGHTS = {"listing": 1.0, "vote": 1.0, "comment": 0.5, "verdict": 3.0, "elsewhere": 0.1}


def half_lives(at: str) -> float:
    """Measure a moment in half-lives since the epoch.

    Args:
        at: ISO text; a day counts from 00:00 UTC.

    Returns:
        t / h.
    """
    moment = datetime.fromisoformat(at)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment - EPOCH).total_seconds() / HALF_LIFE_SECONDS


def combine(events: Iterable[tuple[float, str]], before: float | None = None) -> float | None:
    """Fold events into K.

    Args:
        events: Weight and moment of each; weights are positive.
        before: K so far; None for no event.

    Returns:
        K, or None without any event.
    """
    terms = [math.log2(weight) + half_lives(at) for weight, at in events]
    terms += [] if before is None else [before]
    if not terms:
        return None
    top = max(terms)
    return top + math.log2(sum(2.0 ** (term - top) for term in terms))


def add(db: sa.Connection, article_id: str, weight: float, at: str) -> None:
    """Count an event for an article.

    Args:
        db: An open transaction.
        article_id: The article.
        weight: Of the event, such as `WEIGHTS["vote"]`; nothing happens unless it is positive.
        at: When it happened.
    """
    if weight <= 0:
        return
    mine = article.c.id == article_id
    before = db.execute(sa.select(article.c.trend_key).where(mine).with_for_update()).scalar()
    db.execute(sa.update(article).where(mine).values(trend_key=combine([(weight, at)], before)))


def recompute(db: sa.Connection, article_id: str) -> None:
    """Fold all events of an article again, after one of them was undone.

    Args:
        db: An open transaction.
        article_id: The article.
    """
    events = [
        (WEIGHTS["listing"], day)
        for day in db.execute(sa.select(listing.c.day).where(listing.c.article_id == article_id)).scalars()
    ]
    events += [
        (WEIGHTS["vote"], at)
        for at in db.execute(sa.select(vote.c.at).where(vote.c.article_id == article_id)).scalars()
    ]
    events += [(WEIGHTS["verdict"], at) for at in _news(db, article_id)]
    measured = sa.select(metric).where(metric.c.article_id == article_id).order_by(metric.c.source, metric.c.at)
    for _, rows in itertools.groupby(db.execute(measured), key=lambda row: row.source):
        votes = comments = 0
        for row in rows:
            grown = [
                (WEIGHTS["elsewhere"] * (row.votes - votes), row.at),
                (WEIGHTS["comment"] * (row.comments - comments), row.at),
            ]
            events += [event for event in grown if event[0] > 0]
            votes, comments = row.votes, row.comments
    db.execute(sa.update(article).where(article.c.id == article_id).values(trend_key=combine(sorted(events))))


def _news(db: sa.Connection, article_id: str) -> list[str]:
    """When claims of the paper got their first verdict at a scale, or another one: a run repeated is no news."""
    judged = (
        sa
        .select(verdict.c.at)
        .join(run, run.c.id == verdict.c.run_id)
        .join(article, article.c.slug == verdict.c.paper)
        .where(article.c.id == article_id, run.c.options_json == REGULAR)
    )
    first = judged.with_only_columns(sa.func.min(verdict.c.at)).group_by(verdict.c.claim, run.c.scale)
    changed = judged.where(verdict.c.supersedes.is_not(None))
    return [*db.execute(first).scalars(), *db.execute(changed).scalars()]


def refresh(ledger: Ledger, slug: str) -> None:
    """Count the verdicts of a run that has ended.

    Args:
        ledger: Where everything lies.
        slug: The paper; nothing happens unless it is in the feed.
    """
    with ledger.writing() as db:
        found = db.execute(sa.select(article.c.id).where(article.c.slug == slug)).scalar()
        if found is not None:
            recompute(db, found)


def score(trend_key: float | None, now: str) -> float:
    """Return the score at a moment.

    Args:
        trend_key: K, or None.
        now: The moment.

    Returns:
        The decayed sum of weights; 0 without events.
    """
    return 0.0 if trend_key is None else 2.0 ** (trend_key - half_lives(now))

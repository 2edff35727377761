"""Search by words and by meaning together: two orders fused by reciprocal rank, with the filters before ranking."""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from overparam.errors import BadInput, MissingExtra, Unavailable
from overparam.feed.search import lexical
from overparam.feed.search.answer import Answer, Found, slugs_for, standings
from overparam.feed.search.grammar import Query, parse
from overparam.feed.search.index import CHUNK
from overparam.feed.search.words import fold
from overparam.lab.registry import papers
from overparam.lab.wording import capital
from overparam.ledger import Ledger
from overparam.ledger.schema import article
from overparam.ledger.schema import search_document as document

DEPTH: Final = 100  # papers that each way contributes
RANK_CONSTANT: Final = 60  # of reciprocal rank fusion
LONGEST_CURSOR: Final = 200
LEXICAL_SHARE: Final = 0.7  # of the time; meaning needs little and cannot be interrupted
INDEXED: Final = article.join(document, document.c.article_id == article.c.id)
Near = Mapping[tuple[str, str], float]
Entry = tuple[Any, str]  # what is ordered by, and the article


def matches(ledger: Ledger, query: str | Query, article_ids: Iterable[str]) -> set[str]:
    """Tell which papers a saved search matches: all words, phrases and filters; meaning plays no part.

    Args:
        ledger: Where the index lies.
        query: What is looked for.
        article_ids: Papers to look at; those that are not indexed yet do not match.

    Returns:
        The ids that match.
    """
    query = parse(query) if isinstance(query, str) else query
    dialect = ledger.engine.dialect.name
    slugs = slugs_for(query, standings(ledger)) if query.by_claim else None
    where = [*lexical.conditions(dialect, query, slugs), *lexical.every_word(dialect, query)]
    select = sa.select(article.c.id).select_from(INDEXED).where(*where)
    ids = list(dict.fromkeys(article_ids))
    found: set[str] = set()
    with ledger.reading() as db:
        for start in range(0, len(ids), CHUNK):
            found.update(db.scalars(select.where(article.c.id.in_(ids[start : start + CHUNK]))))
    return found


def search(
    ledger: Ledger, query: str | Query, *, limit: int = 30, after: str | None = None, budget_seconds: float = 0.25
) -> Found:
    """Find papers and claims.

    A query of filters alone is ordered newest first. With words, at most 200 papers are ranked: a hundred by words
    and a hundred by meaning.

    Args:
        ledger: Where the index lies.
        query: As typed, or as `parse` returns it.
        limit: Most hits on the page.
        after: `next` of the page before.
        budget_seconds: Time after which words are given up and meaning answers alone.

    Returns:
        One page.

    Raises:
        BadInput: `after` is no cursor of such a search.
        Unavailable: Both ways fail.
    """
    deadline = (began := time.monotonic()) + budget_seconds
    query = parse(query) if isinstance(query, str) else query
    ranking = bool(query.words or query.phrases)
    position = _position(after, float if ranking else str)
    known = standings(ledger)
    # verdicts concern our papers alone: all of these are ranked, so that verdicts not asked for can be counted too
    filters = lexical.conditions(ledger.engine.dialect.name, query, frozenset(papers()) if query.by_claim else None)
    if ranking:
        orders, near, degraded = _both(ledger, query, filters, budget_seconds)
        answer = Answer(ledger, query, known, near, [name for order in orders.values() for name in order])
        entries, ways = _fused({way: [n for n in order if n in answer.fitting] for way, order in orders.items()})
        left = [entry for entry in entries if position is None or entry > position]
        full = any(len(order) == DEPTH for order in orders.values())
    else:
        dated = _newest(ledger, filters, position, deadline)
        answer = Answer(ledger, query, known, {}, [name for _, name in dated])
        left = entries = [entry for entry in dated if entry[1] in answer.fitting]
        ways, degraded = {}, ""
        full = position is not None or len(dated) == 2 * DEPTH
    page = left[:limit]
    return Found(
        query=query,
        hits=answer.hits([(name, -key if ranking else 0.0, ways.get(name, ())) for key, name in page]),
        total=None if full else len(entries),
        claim_total=None if full else sum(len(answer.claims(name)) for _, name in entries),
        degraded=degraded,
        milliseconds=1000 * (time.monotonic() - began),
        next=_cursor(page[-1]) if len(left) > limit else None,
        **answer.counts([name for _, name in entries]),
    )


def _both(
    ledger: Ledger, query: Query, filters: Sequence[lexical.Condition], seconds: float
) -> tuple[dict[str, list[str]], Near, str]:
    """Go both ways; where one fails, say so.

    Returns:
        The orders of `words` and `meaning`, the cosine of every claim, and words for the page.

    Raises:
        Unavailable: Both fail.
    """
    near: Near = {}
    orders: dict[str, list[str]] = {}
    deadline = time.monotonic() + seconds
    failed: dict[str, Exception] = {}
    try:
        share = LEXICAL_SHARE * seconds
        orders["words"] = lexical.ranked(ledger, query, filters, limit=DEPTH, seconds=share)
    except Unavailable as error:
        failed["words"] = error
    try:
        orders["meaning"], near = _nearest(ledger, query, filters, deadline)
    except (Unavailable, MissingExtra) as error:
        failed["meaning"] = error
    if not orders:
        raise Unavailable(f"search cannot be answered: {failed['words']}") from failed["meaning"]
    left = " ".join(f"Ordered by {way} alone." for way in orders)
    return orders, near, f"{left} {capital(str(*failed.values()))}." if failed else ""


def _nearest(
    ledger: Ledger, query: Query, filters: Sequence[lexical.Condition], deadline: float
) -> tuple[list[str], Near]:
    from overparam.feed.search import semantic  # NumPy is loaded with the first search

    order, near = semantic.meanings(ledger).near(fold(" ".join([*query.words, *query.phrases])))
    if filters:
        with ledger.reading() as db, lexical.within(db, deadline):
            allowed = set(db.scalars(sa.select(article.c.id).select_from(INDEXED).where(*filters)))
        order = [(name, cosine) for name, cosine in order if name in allowed]
    return [name for name, _ in order[:DEPTH]], near


def _fused(orders: Mapping[str, Sequence[str]]) -> tuple[list[Entry], dict[str, tuple[str, ...]]]:
    """Fuse by reciprocal rank.

    Returns:
        Negative score and article, best first, ties by id; and the ways by which each was found.
    """
    scores: dict[str, float] = {}
    ways: dict[str, tuple[str, ...]] = {}
    for way, order in orders.items():
        for rank, name in enumerate(order, start=1):
            scores[name] = scores.get(name, 0.0) + 1 / (RANK_CONSTANT + rank)
            ways[name] = (*ways.get(name, ()), way)
    return sorted((-score, name) for name, score in scores.items()), ways


def _newest(
    ledger: Ledger, filters: Sequence[lexical.Condition], position: Entry | None, deadline: float
) -> list[Entry]:
    """Read the newest papers that pass the filters, from a position on."""
    select = sa.select(article.c.published_on, article.c.id).select_from(INDEXED).where(*filters)
    if position is not None:
        select = select.where(sa.tuple_(article.c.published_on, article.c.id) < sa.tuple_(*position))
    order = (article.c.published_on.desc(), article.c.id.desc())
    with ledger.reading() as db, lexical.within(db, deadline):
        return [(row.published_on, row.id) for row in db.execute(select.order_by(*order).limit(2 * DEPTH))]


def _cursor(entry: Entry) -> str:
    return base64.urlsafe_b64encode(json.dumps(entry).encode()).decode().rstrip("=")


def _position(cursor: str | None, kind: type) -> Entry | None:
    """Read a cursor.

    Returns:
        What is ordered by, and the article; None for the top.

    Raises:
        BadInput: It is none, or of a search of the other kind.
    """
    if cursor is None:
        return None
    try:
        key, name = json.loads(base64.urlsafe_b64decode((cursor + "=" * (-len(cursor) % 4))[:LONGEST_CURSOR]))
    except (ValueError, TypeError, binascii.Error):
        key = name = None
    if type(key) is not kind or not isinstance(name, str) or not f"{key}{name}".isprintable():
        raise BadInput(f"after={cursor[:40]!r} is no place in this search; leave it out to start from the top")
    return key, name

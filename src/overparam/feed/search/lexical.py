"""Search by words, in the index of the store: FTS5 with bm25 on SQLite, tsvector with ts_rank_cd on PostgreSQL.

What is indexed is the table `search_document`, which `index.update` fills with folded text: claims come from the code
and not from the ledger, so triggers on `article` alone could not keep an index of them. FTS5 reads the texts from that
table (external content) and follows it by triggers; PostgreSQL keeps a generated column. Folding gives both the same
words; stemming is theirs (Porter, and Snowball's English).

All words come first. Papers with only some of the words follow when fewer than ten have all. A statement that takes
longer than it may is interrupted.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import exc

from overparam.errors import Unavailable
from overparam.feed.search.grammar import Query
from overparam.feed.search.words import fold, telling
from overparam.ledger import Ledger
from overparam.ledger.schema import article, article_topic
from overparam.ledger.schema import search_document as document

FEW: Final = 10
ENOUGH: Final = 500  # papers whose vector PostgreSQL reads to order them
SATURATION: Final = 0.02  # rank of a term at which half of its weight counts
_STEPS: Final = 2000  # of SQLite's machine between two looks at the clock
_WORDS: Final[Any] = sa.table("search_words", sa.column("rowid"), sa.column("search_words"))
_VECTOR: Final[Any] = sa.literal_column("search_document.search_words")
Condition = sa.ColumnElement[bool]


def _terms(words: Sequence[str]) -> list[str]:
    """Fold words; one that falls apart, such as `state-of-the-art`, is looked for as a phrase."""
    return telling(fold(word) for word in words)


def _matches(dialect: str, terms: Sequence[str], join: str) -> Condition:
    """Write the condition that terms occur, joined by AND or OR."""
    if dialect == "sqlite":
        hit = _WORDS.c.search_words.op("MATCH")(_expression(terms, join))
        return document.c.number.in_(sa.select(_WORDS.c.rowid).where(hit))
    return sa.cast(_VECTOR.op("@@")(_tsquery(terms, join)), sa.Boolean)


def _expression(terms: Sequence[str], join: str) -> str:
    return f" {join} ".join(f'"{term}"' for term in terms)


def _tsquery(terms: Sequence[str], join: str) -> sa.ColumnElement[Any]:
    phrases = ["(" + " <-> ".join(f"'{word}'" for word in term.split()) + ")" for term in terms]
    return sa.func.to_tsquery("english", {"AND": " & ", "OR": " | "}[join].join(phrases))


def conditions(dialect: str, query: Query, slugs: frozenset[str] | None) -> list[Condition]:
    """Write the filters of a query, phrases and exclusions among them, over `article` joined with its document.

    Args:
        dialect: `sqlite` or `postgresql`.
        query: What is looked for.
        slugs: Papers whose claims have the wanted verdicts; None for no such filter.

    Returns:
        Conditions that must all hold.
    """
    found: list[Condition] = []
    if slugs is not None:
        found.append(article.c.slug.in_(sorted(slugs)))
    if query.after:
        found.append(article.c.published_on >= query.after)
    if query.topics:
        plain = sa.func.replace(sa.func.lower(article_topic.c.topic), "-", " ")
        wanted = [topic.lower().replace("-", " ") for topic in query.topics]
        found.append(article.c.id.in_(sa.select(article_topic.c.article_id).where(plain.in_(wanted))))
    for name in query.authors:  # folded, so it holds no wildcard
        spaced = sa.literal(" ") + document.c.authors + sa.literal(" ")
        found.append(spaced.like(f"% {fold(name)} %"))
    phrases = [fold(phrase) for phrase in query.phrases]
    if all(phrases) and phrases:
        found.append(_matches(dialect, phrases, "AND"))
    elif phrases:
        found.append(sa.false())
    excluded = [term for term in map(fold, query.excluded) if term]
    if excluded:
        found.append(sa.not_(_matches(dialect, excluded, "OR")))
    return found


def every_word(dialect: str, query: Query) -> list[Condition]:
    """Write the condition that all words occur.

    Args:
        dialect: `sqlite` or `postgresql`.
        query: What is looked for.

    Returns:
        One condition, or none for a query without words.
    """
    if not query.words:
        return []
    terms = _terms(query.words)
    return [_matches(dialect, terms, "AND") if terms else sa.false()]


def ranked(ledger: Ledger, query: Query, filters: Sequence[Condition], *, limit: int, seconds: float) -> list[str]:
    """Order the papers that have the words.

    Args:
        ledger: Where the index lies.
        query: What is looked for; words or phrases.
        filters: Further conditions.
        limit: Most papers.
        seconds: Time that it may take.

    Returns:
        Ids of articles, best first.
    """
    words = _terms(query.words)
    terms = [*words, *filter(None, map(fold, query.phrases))]
    if not terms or (query.words and not words):
        return []
    deadline = time.monotonic() + seconds
    with ledger.reading() as db:
        best = _order(db, terms, "AND", filters, limit, deadline)
        if len(best) < FEW and len(terms) > 1:  # phrases are among the filters, and stay required
            more = _order(db, terms, "OR", filters, limit, deadline)
            best = list(dict.fromkeys([*best, *more]))[:limit]
    return best


def _order(
    db: sa.Connection, terms: Sequence[str], join: str, filters: Sequence[Condition], limit: int, deadline: float
) -> list[str]:
    joined = document.join(article, article.c.id == document.c.article_id)
    if db.dialect.name == "sqlite":
        hit = _WORDS.c.search_words.op("MATCH")(_expression(terms, join))
        select = sa.select(document.c.article_id).join_from(joined, _WORDS, _WORDS.c.rowid == document.c.number)
        select = select.where(hit, *filters).order_by(sa.text("bm25(search_words, 10.0, 4.0, 1.0, 2.0)"))
    else:
        allowed = [document.c.number.in_(sa.select(document.c.number).select_from(joined).where(*filters))]
        select = (_nearest_together if join == "AND" else _rarest)(terms, allowed if filters else [])
    with within(db, deadline):
        return list(db.scalars(select.order_by(document.c.article_id).limit(limit)))


def _rank(asked: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.func.ts_rank_cd(sa.literal_column("'{0.2, 0.1, 0.4, 1.0}'"), _VECTOR, asked, 1)


def _nearest_together(terms: Sequence[str], filters: Sequence[Condition]) -> sa.Select[Any]:
    """Order papers that have all terms, on PostgreSQL: the nearer the terms to each other, the better."""
    some = sa.select(document.c.number).where(_matches("postgresql", terms, "AND"), *filters)
    some = some.order_by(document.c.number.desc()).limit(ENOUGH)
    return sa.select(document.c.article_id).where(document.c.number.in_(some)).order_by(-_rank(_tsquery(terms, "AND")))


def _rarest(terms: Sequence[str], filters: Sequence[Condition]) -> sa.Select[Any]:
    """Order papers that have some of the terms, on PostgreSQL.

    ts_rank_cd knows neither how rare a term is nor that its tenth occurrence says little. So each term is ranked by
    itself, in the manner of bm25: weighed by its rarity, with a bound that the rank approaches. First come the papers
    with the rarest terms; only these are read to be ranked.

    Returns:
        Ids in that order.
    """
    each = [
        sa.select(sa.literal_column(str(place)).label("term"), document.c.number).where(
            _matches("postgresql", [term], "AND"), *filters
        )
        for place, term in enumerate(terms)
    ]
    found = sa.union_all(*each).cte("found")
    total = sa.select(sa.func.count()).select_from(document).scalar_subquery()
    n = sa.func.count()
    weight = sa.func.ln(1 + (total - n + 0.5) / (n + 0.5))
    rarity = sa.select(found.c.term, weight.label("weight")).group_by(found.c.term).cte("rarity")
    some = sa.select(found.c.number).join(rarity, rarity.c.term == found.c.term).group_by(found.c.number)
    some = some.order_by(sa.func.sum(rarity.c.weight).desc(), found.c.number.desc()).limit(ENOUGH)
    asked = sa.case({place: _tsquery([term], "AND") for place, term in enumerate(terms)}, value=rarity.c.term)
    ranks = sa.func.sum(rarity.c.weight * (1 - SATURATION / (SATURATION + _rank(asked))))
    select = sa.select(document.c.article_id).join_from(document, rarity, sa.true())
    return select.where(document.c.number.in_(some)).group_by(document.c.article_id).order_by(ranks.desc())


@contextlib.contextmanager
def within(db: sa.Connection, deadline: float) -> Iterator[None]:
    """Interrupt statements that run past a moment.

    Args:
        db: A connection without an open transaction.
        deadline: Of the monotonic clock.

    Yields:
        Nothing; run statements inside.

    Raises:
        Unavailable: The time ran out, or the store has no index of words.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise Unavailable("the search took too long; ask for fewer words")
    try:
        if db.dialect.name == "sqlite":
            raw: Any = db.connection.dbapi_connection
            raw.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
            try:
                yield
            finally:
                raw.set_progress_handler(None, 0)
        else:
            # the planner takes reading all vectors for cheap, and forgets that they have to be unpacked
            db.execute(sa.text(f"SET enable_seqscan = off; SET statement_timeout = {max(1, int(1000 * left))}"))
            try:
                yield
            finally:
                db.execute(sa.text("RESET statement_timeout; RESET enable_seqscan"))
    except exc.OperationalError as error:
        text = str(error.orig)
        if "interrupted" in text or "statement timeout" in text:
            raise Unavailable("the search took too long; ask for fewer words") from error
        if "search_words" in text or "fts5" in text:
            raise Unavailable("this ledger has no index of words, since the SQLite that made it has no FTS5") from error
        raise

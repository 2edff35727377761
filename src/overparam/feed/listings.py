"""Lists of papers: a day, a week, a month, what trends, what is new; by topic, a page at a time."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

import sqlalchemy as sa

from overparam.errors import BadInput
from overparam.ledger import Ledger
from overparam.ledger.schema import article, article_topic, listing

Order = Literal["votes", "trending", "newest"]
ORDERS: tuple[Order, ...] = ("votes", "trending", "newest")
PAGE = 30


@dataclass(frozen=True)
class Period:
    """Days from first to last, with a name for addresses.

    Attributes:
        kind: day, week or month.
        name: `2026-11-21`, `2026-W47` or `2026-11`.
        first: First day.
        last: Last day.
    """

    kind: Literal["day", "week", "month"]
    name: str
    first: date
    last: date

    @property
    def path(self) -> str:
        """Address of its page."""
        return f"/{self.kind}s/{self.name}"


def period_of(kind: str, on: date) -> Period:
    """Return the period that holds a day.

    Args:
        kind: day, week or month.
        on: The day.

    Returns:
        The period.
    """
    if kind == "week":
        first = on - timedelta(days=on.weekday())
        return Period("week", f"{on:%G-W%V}", first, first + timedelta(days=6))
    if kind == "month":
        first = on.replace(day=1)
        return Period("month", f"{on:%Y-%m}", first, (first + timedelta(days=31)).replace(day=1) - timedelta(days=1))
    return Period("day", on.isoformat(), on, on)


def parse_period(kind: str, name: str) -> Period:
    """Read the name of a period.

    Args:
        kind: day, week or month.
        name: As in addresses.

    Returns:
        The period.

    Raises:
        BadInput: It is no such name.
    """
    text, form = {"day": (name, "2026-11-21"), "week": (f"{name}-1", "2026-W47"), "month": (f"{name}-01", "2026-11")}[
        kind
    ]
    try:
        if len(name) != len(form):
            raise ValueError
        return period_of(kind, date.fromisoformat(text))
    except ValueError as error:
        raise BadInput(f"{name[:40]!r} is no {kind}; write it like {form}") from error


@dataclass(frozen=True)
class Page:
    """Part of a list.

    Attributes:
        items: Rows of `article`.
        next: Cursor of the next page, or None.
    """

    items: list[sa.Row[Any]]
    next: str | None


def encode_cursor(values: list[Any]) -> str:
    """Write the place after which a page goes on.

    Args:
        values: Sort key and id of the last row.

    Returns:
        Opaque text for addresses.
    """
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def decode_cursor(text: str, kinds: tuple[type, ...]) -> list[Any]:
    """Read a cursor.

    Args:
        text: As made by `encode_cursor`.
        kinds: Types that its values must have.

    Returns:
        The values.

    Raises:
        BadInput: It is none.
    """
    try:
        values = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if (
            isinstance(values, list)
            and len(values) == len(kinds)
            and all(_fits(value, kind) for value, kind in zip(values, kinds, strict=True))
        ):
            return values
    except (ValueError, RecursionError, binascii.Error):
        pass
    raise BadInput("after is no cursor of this list; take it from the link to the next page")


def _fits(value: Any, kind: type) -> bool:
    """Tell whether a value of a cursor is one that a database takes: no bool, no NUL, no number beyond its integers."""
    if not isinstance(value, kind) or isinstance(value, bool):
        return False
    return value.isprintable() if isinstance(value, str) else bool(abs(value) < 2**53)  # type: ignore[arg-type]


def articles(
    ledger: Ledger,
    *,
    order: Order,
    period: Period | None = None,
    topic: str | None = None,
    after: str | None = None,
    limit: int = PAGE,
) -> Page:
    """List papers.

    Args:
        ledger: Where they lie.
        order: By votes here and elsewhere (within a day, then by rank in the listing), by trend, or newest first.
        period: Only those listed then.
        topic: Only those of this topic.
        after: Cursor of the page before.
        limit: At most so many.

    Returns:
        A page.
    """
    votes = article.c.votes + article.c.votes_elsewhere
    if period is None:
        rank: Any = sa.literal(0)
        query = sa.select(article)
    else:
        rank = sa.func.min(listing.c.rank)
        days = listing.c.day.between(period.first.isoformat(), period.last.isoformat())
        query = sa.select(article).join(listing, listing.c.article_id == article.c.id).where(days)
        query = query.group_by(article.c.id)
    key: Any = {
        "votes": sa.cast(votes, sa.BigInteger) * 1_000_000 - rank,  # one number, so that a cursor is one comparison
        "trending": sa.func.coalesce(article.c.trend_key, -1e9),
        "newest": article.c.published_on,
    }[order]
    if topic is not None:
        of_topic = sa.select(article_topic.c.article_id).where(article_topic.c.topic == topic)
        query = query.where(article.c.id.in_(of_topic))
    if period is None and order == "trending":
        key = article.c.trend_key
        query = query.where(key.is_not(None))
    inner = query.add_columns(key.label("sort_key")).subquery()
    rows = sa.select(inner)
    if after is not None:
        kinds: dict[str, Any] = {"votes": int, "trending": (int, float), "newest": str}
        last_key, last_id = decode_cursor(after, (kinds[order], str))
        rows = rows.where(
            sa.tuple_(inner.c.sort_key, inner.c.id) < sa.tuple_(sa.literal(last_key), sa.literal(last_id))
        )
    with ledger.reading() as db:
        found = db.execute(rows.order_by(inner.c.sort_key.desc(), inner.c.id.desc()).limit(limit + 1)).all()
    last = found[limit - 1] if len(found) > limit else None
    return Page(list(found[:limit]), encode_cursor([last.sort_key, last.id]) if last else None)


def total(ledger: Ledger, period: Period) -> int:
    """Count the papers of a period.

    Args:
        ledger: Where they lie.
        period: The days.

    Returns:
        Their number.
    """
    days = listing.c.day.between(period.first.isoformat(), period.last.isoformat())
    with ledger.reading() as db:
        return int(db.execute(sa.select(sa.func.count(listing.c.article_id.distinct())).where(days)).scalar_one())


def newest_day(ledger: Ledger, *, before: date | None = None) -> date | None:
    """Find the last day with papers.

    Args:
        ledger: Where they lie.
        before: Only days before this one.

    Returns:
        The day, or None.
    """
    query = sa.select(sa.func.max(listing.c.day))
    if before is not None:
        query = query.where(listing.c.day < before.isoformat())
    with ledger.reading() as db:
        found = db.execute(query).scalar()
    return date.fromisoformat(found) if found else None


def next_day(ledger: Ledger, after: date) -> date | None:
    """Find the first day with papers after a day.

    Args:
        ledger: Where they lie.
        after: The day.

    Returns:
        The day, or None.
    """
    with ledger.reading() as db:
        found = db.execute(sa.select(sa.func.min(listing.c.day)).where(listing.c.day > after.isoformat())).scalar()
    return date.fromisoformat(found) if found else None


def by_key(ledger: Ledger, key: str) -> sa.Row[Any] | None:
    """Look a paper up by what stands in its address.

    Args:
        ledger: Where it lies.
        key: Slug, arXiv id or id.

    Returns:
        A row of `article`, or None.
    """
    either = sa.or_(article.c.key == key, article.c.arxiv == key, article.c.id == key)
    with ledger.reading() as db:
        return db.execute(sa.select(article).where(either)).first()


def by_ids(ledger: Ledger, ids: list[str]) -> list[sa.Row[Any]]:
    """Look papers up.

    Args:
        ledger: Where they lie.
        ids: In the order wanted.

    Returns:
        Rows of `article`, those that exist.
    """
    with ledger.reading() as db:
        found = {row.id: row for row in db.execute(sa.select(article).where(article.c.id.in_(ids)))}
    return [found[key] for key in ids if key in found]


def topics_of(ledger: Ledger, ids: list[str]) -> dict[str, list[str]]:
    """Look up the topics of papers.

    Args:
        ledger: Where they lie.
        ids: The papers.

    Returns:
        Id to topics, sorted.
    """
    query = sa.select(article_topic).where(article_topic.c.article_id.in_(ids)).order_by(article_topic.c.topic)
    found: dict[str, list[str]] = {}
    with ledger.reading() as db:
        for row in db.execute(query):
            found.setdefault(row.article_id, []).append(row.topic)
    return found


def all_topics(ledger: Ledger) -> list[str]:
    """List the topics of papers that have code here, then the most frequent others.

    Args:
        ledger: Where they lie.

    Returns:
        Topics, those of ours first and the frequent ones before the rare.
    """
    ours = sa.func.max(sa.case((article.c.slug.is_not(None), 1), else_=0))
    number = sa.func.sum(sa.case((article.c.slug.is_not(None), 1), else_=0))
    query = (
        sa
        .select(article_topic.c.topic)
        .join(article, article.c.id == article_topic.c.article_id)
        .group_by(article_topic.c.topic)
        .order_by(ours.desc(), number.desc(), sa.func.count().desc(), article_topic.c.topic)
    )
    with ledger.reading() as db:
        return list(db.execute(query.limit(60)).scalars())

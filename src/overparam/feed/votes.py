"""Up-votes: one an account and paper. The row, the count and the trend change together or not at all."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from overparam.errors import NotFound
from overparam.feed.trending import WEIGHTS, add, recompute
from overparam.ledger import Ledger
from overparam.ledger.clock import now as clock
from overparam.ledger.schema import article
from overparam.ledger.schema import vote as votes


def vote(ledger: Ledger, account_id: str, article_id: str, *, now: str | None = None) -> int:
    """Vote for a paper; a second vote changes nothing.

    Args:
        ledger: The ledger.
        account_id: Whose vote.
        article_id: For what.
        now: The moment.

    Returns:
        Votes that the paper has.

    Raises:
        NotFound: There is no such paper.
    """
    at = now or clock()
    with ledger.writing() as db:
        _lock(db, article_id)
        row = {"account_id": account_id, "article_id": article_id, "at": at}
        insert = ledger.insert(votes).values(**row).on_conflict_do_nothing()
        if db.execute(insert.returning(votes.c.at)).first() is not None:  # rowcount of INSERT is -1 on PostgreSQL
            mine = article.c.id == article_id
            db.execute(sa.update(article).where(mine).values(votes=article.c.votes + 1))
            add(db, article_id, WEIGHTS["vote"], at)
        return _count(db, article_id)


def unvote(ledger: Ledger, account_id: str, article_id: str) -> int:
    """Take a vote back, as if it had never been given.

    Args:
        ledger: The ledger.
        account_id: Whose vote.
        article_id: For what.

    Returns:
        Votes that the paper has.

    Raises:
        NotFound: There is no such paper.
    """
    with ledger.writing() as db:
        _lock(db, article_id)
        mine = (votes.c.account_id == account_id, votes.c.article_id == article_id)
        if db.execute(sa.delete(votes).where(*mine)).rowcount:
            forget(db, [article_id])
        return _count(db, article_id)


def forget(db: sa.Connection, article_ids: Iterable[str]) -> None:
    """Bring count and trend of papers in line with the votes that are left.

    Args:
        db: An open transaction.
        article_ids: The papers.
    """
    for article_id in sorted(article_ids):  # always in the same order, so that two of these never wait for each other
        _lock(db, article_id)
        left = sa.select(sa.func.count()).where(votes.c.article_id == article_id).scalar_subquery()
        db.execute(sa.update(article).where(article.c.id == article_id).values(votes=left))
        recompute(db, article_id)


def voted(ledger: Ledger, account_id: str, article_ids: Iterable[str]) -> set[str]:
    """Tell which papers an account has voted for.

    Args:
        ledger: The ledger.
        account_id: Whose votes.
        article_ids: Papers of a page.

    Returns:
        Those among them with a vote.
    """
    ids = list(article_ids)
    if not ids:
        return set()
    mine = (votes.c.account_id == account_id, votes.c.article_id.in_(ids))
    with ledger.reading() as db:
        return set(db.execute(sa.select(votes.c.article_id).where(*mine)).scalars())


def check_counts(ledger: Ledger) -> int:
    """Compare the counts with the rows, and repair those that differ; meant for every night.

    Args:
        ledger: The ledger.

    Returns:
        How many differed; anything but 0 is a fault.
    """
    counted = sa.select(sa.func.count()).where(votes.c.article_id == article.c.id).scalar_subquery()
    with ledger.writing() as db:
        wrong = list(db.execute(sa.select(article.c.id).where(article.c.votes != counted)).scalars())
        forget(db, wrong)
    return len(wrong)


def _lock(db: sa.Connection, article_id: str) -> None:
    if db.execute(sa.select(article.c.id).where(article.c.id == article_id).with_for_update()).first() is None:
        raise NotFound(f"no paper has the id {article_id!r}")


def _count(db: sa.Connection, article_id: str) -> int:
    return int(db.execute(sa.select(article.c.votes).where(article.c.id == article_id)).scalar_one())

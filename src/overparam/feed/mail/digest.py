"""Digests: who is due, what they are told, and sending it at most once.

1. *Freeze.* In one transaction the news of a subscriber becomes a row of `delivery` in state `queued`, and the
   subscription moves on to its next date. Without news there is no row.
2. *Send.* Right before a relay may accept a mail, its row goes from `queued` to `sending` in a transaction of its own.
   The answer makes it `sent`, `failed`, or `queued` again for later.

A process that dies leaves `queued` rows, which the next one sends, and rows in `sending`, which nobody sends again: the
relay may have accepted them. Those are all that can be lost, at most one for each connection; they end as `unknown`.
A row changes hands only from `queued` to `sending`, so two processes may work at once.
"""

from __future__ import annotations

import asyncio
import functools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from overparam.errors import OverparamError, Unavailable
from overparam.feed.mail import bounces, edition
from overparam.feed.mail.chronicle import Chronicle
from overparam.feed.mail.filters import Filter
from overparam.feed.mail.news import News
from overparam.feed.mail.schedule import check, next_due
from overparam.feed.mail.subscriber import read
from overparam.feed.mail.transport import Outcome, Transport, transport
from overparam.ledger import Ledger
from overparam.ledger.clock import now as clock
from overparam.ledger.clock import shift
from overparam.ledger.schema import delivery, subscription

CHUNK = 200  # rows in a transaction
CONNECTIONS = 4
OUT_OF_ORDER = timedelta(seconds=30)  # a row may be committed this long after the time it carries
ABANDONED = timedelta(minutes=10)  # longer than any answer of a relay is waited for
FIRST_RETRY, RETRIES = timedelta(minutes=15), 6  # 15, 30, 60 … minutes: sixteen hours in all


@dataclass
class Report:
    """What one round did.

    Attributes:
        due: Subscribers whose hour had come.
        empty: Those without news.
        sent: Mails that were accepted.
        postponed: Refused for now; they are tried again.
        failed: Refused for good.
        unknown: Mails whose fate nobody knows; they are not sent again.
    """

    due: int = 0
    empty: int = 0
    sent: int = 0
    postponed: int = 0
    failed: int = 0
    unknown: int = 0


@dataclass
class _Round:
    ledger: Ledger
    now: str
    report: Report = field(default_factory=Report)
    problem: OverparamError | None = None  # of a single mail; the others go out first
    started: float = field(default_factory=time.monotonic)

    @property
    def moment(self) -> str:
        """The time, moving on from `now`."""
        return shift(self.now, timedelta(seconds=time.monotonic() - self.started))


Progress = Callable[[int, int], None]


def send_due(
    ledger: Ledger,
    *,
    now: str | None = None,
    progress: Progress = lambda done, total: None,
    way: Callable[[], Transport] = transport,
) -> Report:
    """Send all digests that are due, and what earlier rounds left.

    Args:
        ledger: Where subscriptions lie.
        now: The time; by default the clock's.
        progress: Told how many of how many mails are done.
        way: Opens a way out for mail.

    Returns:
        What was done.
    """
    turn = _Round(ledger, now or clock())
    _abandon(turn)
    _freeze(turn)
    asyncio.run(_send(turn, progress, way))
    if turn.problem:
        raise turn.problem
    return turn.report


def waiting(ledger: Ledger, *, now: str | None = None) -> dict[str, int]:
    """Count what a round would do.

    Args:
        ledger: Where subscriptions lie.
        now: The time; by default the clock's.

    Returns:
        Subscribers that are due, and mails that wait.
    """
    now = now or clock()
    due = sa.select(sa.func.count()).select_from(subscription).where(*_due(now))
    queued = sa.select(sa.func.count()).select_from(delivery).where(*_queued(now))
    with ledger.reading() as db:
        return {"due": db.execute(due).scalar_one(), "queued": db.execute(queued).scalar_one()}


def _due(now: str) -> Sequence[Any]:
    return subscription.c.state == "active", subscription.c.next_due <= now


def _queued(now: str) -> Sequence[Any]:
    return delivery.c.state == "queued", delivery.c.at <= now


def _abandon(turn: _Round) -> None:
    left = (delivery.c.state == "sending", delivery.c.at <= shift(turn.now, -ABANDONED))
    with turn.ledger.writing() as db:
        words = "the process ended while the relay may have been accepting it"
        done = db.execute(sa.update(delivery).where(*left).values(state="unknown", body_json="{}", message=words))
    turn.report.unknown += done.rowcount


def _freeze(turn: _Round) -> None:
    until = shift(turn.now, -OUT_OF_ORDER)
    earliest = sa.select(sa.func.min(subscription.c.covered_until)).where(*_due(turn.now))
    with turn.ledger.reading() as db:
        since = db.execute(earliest).scalar()
    if since is None:
        return
    chronicle = Chronicle(turn.ledger, since, until)
    told: dict[tuple[str, str], str] = {}
    while True:
        with turn.ledger.reading() as db:
            query = sa.select(subscription).where(*_due(turn.now)).order_by(subscription.c.next_due).limit(CHUNK)
            rows = db.execute(query).all()
        for row in rows:
            wanted = (row.filter_json, row.covered_until)
            if wanted not in told:
                news = chronicle.news(Filter.parse(json.loads(row.filter_json)), row.covered_until)
                told[wanted] = json.dumps(news.as_json()) if news else ""
        with turn.ledger.writing() as db:
            for row in rows:
                _freeze_one(turn, db, row, told[row.filter_json, row.covered_until], until)
        if len(rows) < CHUNK:
            return


def _freeze_one(turn: _Round, db: sa.Connection, row: sa.Row[Any], body: str, until: str) -> None:
    due = next_due(check(row.frequency, row.hour), row.hour, turn.now)
    same = (subscription.c.id == row.id, subscription.c.state == "active", subscription.c.next_due == row.next_due)
    covered = max(until, row.covered_until)
    if not db.execute(sa.update(subscription).where(*same).values(next_due=due, covered_until=covered)).rowcount:
        return  # another process was first, or the reader changed something
    turn.report.due += 1
    if not body:
        turn.report.empty += 1
        return
    digest_key = turn.now[:10]
    new = turn.ledger.insert(delivery).values(
        subscription_id=row.id,
        digest_key=digest_key,
        state="queued",
        body_json=body,
        message_id=edition.message_id(row.id, digest_key),
        attempts=0,
        at=turn.now,
    )
    new = new.on_conflict_do_nothing().returning(delivery.c.digest_key)
    if db.execute(new).first() is None:  # this day's digest went out: these news go into the next
        db.execute(sa.update(subscription).where(subscription.c.id == row.id).values(covered_until=row.covered_until))


async def _send(turn: _Round, progress: Progress, way: Callable[[], Transport]) -> None:
    total, done = waiting(turn.ledger, now=turn.now)["queued"], 0
    if not total:
        return
    progress(0, total)
    rows, stopping = _rows(turn), False

    async def lane() -> None:
        nonlocal done, stopping
        try:
            async with way() as out:
                for row, reader in rows:
                    await _send_one(turn, row, reader, out)
                    done += 1
                    progress(done, max(done, total))
                    if stopping:
                        return
        except BaseException:
            stopping = True
            raise

    lanes = asyncio.gather(*(lane() for _ in range(min(CONNECTIONS, total))), return_exceptions=True)
    try:
        results = await asyncio.shield(lanes)
    except asyncio.CancelledError:  # Ctrl-C: the mails at hand are brought to their end
        stopping = True
        await lanes
        raise
    for result in results:
        if isinstance(result, BaseException):
            raise result


def _rows(turn: _Round) -> Iterator[tuple[sa.Row[Any], sa.Row[Any]]]:
    """Mails that wait with their readers, a few at a time; lanes share the iterator, so each goes to one of them."""
    order = (delivery.c.at, delivery.c.subscription_id, delivery.c.digest_key)
    last = ("", "", "")
    while True:
        query = sa.select(delivery).where(*_queued(turn.now), sa.tuple_(*order) > last).order_by(*order).limit(CHUNK)
        with turn.ledger.reading() as db:
            found = db.execute(query).all()
            ids = [row.subscription_id for row in found]
            readers = {r.id: r for r in db.execute(sa.select(subscription).where(subscription.c.id.in_(ids)))}
        for row in found:
            if row.subscription_id in readers:
                yield row, readers[row.subscription_id]
        if len(found) < CHUNK:
            return
        last = (found[-1].at, found[-1].subscription_id, found[-1].digest_key)


@functools.lru_cache(maxsize=64)  # many readers are told the same
def _news(body: str) -> News:
    return News.parse(json.loads(body))


async def _send_one(turn: _Round, row: sa.Row[Any], reader: sa.Row[Any], out: Transport) -> None:
    try:
        mail = edition.edition(read(reader), _news(row.body_json), row.digest_key, now=turn.moment)
    except OverparamError as error:  # such as an address that cannot be decrypted
        turn.problem = error
        return
    mine = (delivery.c.subscription_id == row.subscription_id, delivery.c.digest_key == row.digest_key)
    claimed = False

    def begin() -> bool:
        nonlocal claimed
        claim = sa.update(delivery).where(*mine, delivery.c.state == "queued")
        with turn.ledger.writing() as db:
            claimed = db.execute(claim.values(state="sending", at=turn.moment)).rowcount == 1
        return claimed

    try:
        outcome = await out.send(mail, begin)
    except Unavailable:
        if claimed:  # the relay refused it and then could not be reached again
            with turn.ledger.writing() as db:
                db.execute(sa.update(delivery).where(*mine).values(state="queued"))
        raise
    if outcome is not None:
        _settle(turn, row, outcome)


def _settle(turn: _Round, row: sa.Row[Any], outcome: Outcome) -> None:
    """Write down what became of a mail, and what that says about the mailbox."""
    mine = (delivery.c.subscription_id == row.subscription_id, delivery.c.digest_key == row.digest_key)
    values: dict[str, Any] = {
        "attempts": row.attempts + 1,
        "smtp_code": outcome.code,
        "message": outcome.words[:500],
        "at": turn.moment,
    }
    state = {"sent": "sent", "permanent": "failed", "unknown": "unknown", "temporary": "failed"}[outcome.state]
    if outcome.state == "temporary" and row.attempts < RETRIES:
        values |= {"state": "queued", "at": shift(turn.moment, FIRST_RETRY * 2**row.attempts)}
        turn.report.postponed += 1
    else:
        values |= {"state": state, "body_json": "{}"}
        setattr(turn.report, state, getattr(turn.report, state) + 1)
    with turn.ledger.writing() as db:
        db.execute(sa.update(delivery).where(*mine).values(**values))
    if outcome.about_recipient:
        bounces.refused(turn.ledger, row.subscription_id, hard=outcome.state == "permanent", now=turn.now)

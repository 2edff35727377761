"""Limits by account, address or network, counted in the ledger so that all processes agree."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

from overparam.ledger import Ledger
from overparam.ledger.clock import now as clock
from overparam.ledger.schema import rate

EPOCH = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp())  # keeps seconds within 32 bits until 2088


def allow(ledger: Ledger, bucket: str, *, limit: int, per_seconds: int, now: str | None = None) -> bool:
    """Count one more event, unless the fixed window that holds this moment is full.

    Refused events are not counted and write nothing. Windows that have ended are deleted whenever a new one begins.

    Args:
        ledger: Where counts lie.
        bucket: What is limited, such as `vote 01J…`; personal data as fingerprints only.
        limit: Events that a window takes.
        per_seconds: Length of a window.
        now: The time; by default the clock's.

    Returns:
        Whether the event may happen.
    """
    if limit < 1:
        return False
    seconds = int(datetime.fromisoformat(now or clock()).timestamp()) - EPOCH
    end = (seconds // per_seconds + 1) * per_seconds
    insert = ledger.insert(rate).values(bucket=bucket, window=end, n=1)
    counted = insert.on_conflict_do_update(
        index_elements=["bucket", "window"], set_={"n": rate.c.n + 1}, where=rate.c.n < limit
    ).returning(rate.c.n)
    with ledger.writing() as db:
        n = db.execute(counted).scalar()
        if n == 1:
            db.execute(sa.delete(rate).where(rate.c.window <= seconds))
    return n is not None

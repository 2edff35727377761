"""The audit trail: who did what to whom, for what a site has to answer for later."""

from __future__ import annotations

import sqlalchemy as sa
from ulid import ULID

from overparam.feed.secrets import fingerprint
from overparam.ledger.clock import now as clock
from overparam.ledger.schema import audit


def record(
    db: sa.Connection, who: str, what: str, target: str, *, network: str | None = None, now: str | None = None
) -> None:
    """Write one line, in the transaction of the act itself.

    Args:
        db: An open transaction.
        who: Account id.
        what: `signed in`, `changed a role`, `made a token`, `started a run` and the like.
        target: To what; never a token or an address.
        network: Where the request came from; only its fingerprint is kept.
        now: The moment.
    """
    hashed = fingerprint(network, "network") if network else None
    row = {"id": str(ULID()), "who": who, "what": what, "target": target, "at": now or clock()}
    db.execute(sa.insert(audit).values(**row, network_hash=hashed))

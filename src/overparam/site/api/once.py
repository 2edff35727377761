"""Idempotency keys: the same key does something once, however often a client must repeat its request."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from starlette.exceptions import HTTPException

from overparam.errors import Conflict
from overparam.ledger import Ledger
from overparam.ledger.clock import now
from overparam.ledger.schema import idempotency

KEPT = timedelta(hours=24)
WORKING = 102  # status of a key whose request is being served
GIVEN_UP = timedelta(minutes=1)  # a server that died meanwhile leaves the key behind


def once(
    ledger: Ledger, account_id: str, key: str, body: Mapping[str, Any], act: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Do something, unless the same account has done it under the same key; then return what came of it.

    Args:
        ledger: Where keys lie.
        account_id: Whose key it is.
        key: Chosen by the client.
        body: What was asked.
        act: Does it and returns the answer.

    Returns:
        The answer, now or then.

    Raises:
        Conflict: The first request with this key is still being served.
        HTTPException: 422 when the key was used for something else.
    """
    hashed = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    mine = (idempotency.c.account_id == account_id, idempotency.c.key == key)
    left_behind = sa.and_(idempotency.c.status == WORKING, idempotency.c.at < now(-GIVEN_UP))
    row = {
        "account_id": account_id,
        "key": key,
        "request_hash": hashed,
        "status": WORKING,
        "body_json": "",
        "at": now(),
    }
    with ledger.writing() as db:
        db.execute(sa.delete(idempotency).where(sa.or_(idempotency.c.at < now(-KEPT), left_behind)))
        insert = ledger.insert(idempotency).values(**row).on_conflict_do_nothing().returning(idempotency.c.at)
        fresh = db.execute(insert).first() is not None
        known = None if fresh else db.execute(sa.select(idempotency).where(*mine)).one()
    if known is not None:
        if known.request_hash != hashed:
            raise HTTPException(422, "This Idempotency-Key was used for another request; choose a new one.")
        if known.status == WORKING:
            raise Conflict("the first request with this Idempotency-Key is still being served; try again in a moment")
        return dict(json.loads(known.body_json))
    try:
        answer = act()
    except BaseException:
        with ledger.writing() as db:
            db.execute(sa.delete(idempotency).where(*mine))
        raise
    with ledger.writing() as db:
        db.execute(sa.update(idempotency).where(*mine).values(status=202, body_json=json.dumps(answer)))
    return answer

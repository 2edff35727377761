"""The queue: runs that somebody asked for, taken by workers one after the other.

A request is queued, running, and then succeeded, failed or cancelled. A worker holds it by (attempt, owner) and a
lease; every write names both, so one that lost its request writes nothing more. A request whose worker died is queued
again under the next attempt, three times in all.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from ulid import ULID

from overparam.errors import Conflict, NotFound
from overparam.ledger.clock import now as clock
from overparam.ledger.clock import shift
from overparam.ledger.owner import is_gone
from overparam.ledger.reading import Reader
from overparam.ledger.schema import run, run_request
from overparam.ledger.store import LEASE, Ledger

ATTEMPTS = 3
WAITING_AT_MOST = 5  # a requester
OPEN = ("queued", "running")


@dataclass(frozen=True)
class Request:
    """A request that this process holds.

    Attributes:
        id: Its id.
        paper: Slug.
        scale: At which scale.
        claims: Ids of the claims to judge; all if empty.
        run_id: The run of an earlier attempt, if it had begun.
        attempt: Which try this is, from 1.
        owner: Who holds it.
    """

    id: str
    paper: str
    scale: str
    claims: tuple[str, ...]
    run_id: str | None
    attempt: int
    owner: str


def submit(
    ledger: Ledger, paper: str, scale: str, claims: Sequence[str] = (), *, requested_by: str, now: str | None = None
) -> str:
    """Ask for a run; a request for the same that is still open is returned instead of a second one.

    Args:
        ledger: The ledger; it knows the paper.
        paper: Slug.
        scale: At which scale.
        claims: Ids of the claims to judge; all if empty.
        requested_by: Account id, or `local`.
        now: The time, for tests.

    Returns:
        Id of the request.

    Raises:
        Conflict: The requester has as many runs waiting as one may have.
    """
    wanted = {"paper": paper, "scale": scale, "claims_json": json.dumps(sorted(set(claims)))}
    columns = run_request.c
    with ledger.writing() as db:
        if db.dialect.name == "postgresql":  # SQLite has one writer anyway; here a second request waits for the first
            db.execute(sa.text("LOCK TABLE run_request IN SHARE ROW EXCLUSIVE MODE"))
        same = [columns[name] == value for name, value in wanted.items()]
        known = db.execute(sa.select(columns.id).where(*same, columns.state.in_(OPEN)).order_by(columns.id)).scalar()
        if known is not None:
            return str(known)
        mine = (columns.requested_by == requested_by, columns.state == "queued")
        waiting = db.execute(sa.select(sa.func.count()).select_from(run_request).where(*mine)).scalar_one()
        if waiting >= WAITING_AT_MOST:
            raise Conflict(
                f"{waiting} of your runs are waiting, which is as many as may; wait for one to start, or cancel one"
            )
        moment = now or clock()
        made = {"id": str(ULID()), "state": "queued", "attempt": 1, "created_at": moment, "requested_by": requested_by}
        db.execute(sa.insert(run_request).values(**wanted, **made))
        return str(made["id"])


def claim_next(ledger: Ledger, owner: str, *, now: str | None = None) -> Request | None:
    """Take the request that has waited longest.

    Args:
        ledger: The ledger.
        owner: Who takes it, as named by `owner_of_this_process`.
        now: The time, for tests.

    Returns:
        The request, or None when nothing waits.
    """
    moment = now or clock()
    columns = run_request.c
    first = sa.select(columns.id).where(columns.state == "queued").order_by(columns.id).limit(1)
    values = {
        "state": "running",
        "lease_owner": owner,
        "lease_until": shift(moment, LEASE),
        "started_at": sa.func.coalesce(columns.started_at, moment),
    }
    chosen = columns.id == first.with_for_update(skip_locked=True).scalar_subquery()
    with ledger.reading() as db:
        if db.execute(first).scalar() is None:  # idle workers ask often and should lock nothing
            return None
    with ledger.writing() as db:
        row = db.execute(sa.update(run_request).where(chosen).values(**values).returning(run_request)).first()
    if row is None:
        return None
    return Request(row.id, row.paper, row.scale, tuple(json.loads(row.claims_json)), row.run_id, row.attempt, owner)


def _write(db: sa.Connection, request: Request, **values: Any) -> sa.Row[Any]:
    """Change a request only while it is held under this attempt by this owner."""
    columns = run_request.c
    held = (
        columns.id == request.id,
        columns.state == "running",
        columns.attempt == request.attempt,
        columns.lease_owner == request.owner,
    )
    row = db.execute(sa.update(run_request).where(*held).values(**values).returning(run_request)).first()
    if row is None:
        raise Conflict(f"request {request.id} was given to another worker; this one stops and writes nothing more")
    return row


def heartbeat(ledger: Ledger, request: Request, *, now: str | None = None) -> None:
    """Extend the lease of a request.

    Args:
        ledger: The ledger.
        request: As it was taken.
        now: The time, for tests.

    Raises:
        Conflict: It is no longer ours.
    """
    with ledger.writing() as db:
        _write(db, request, lease_until=shift(now or clock(), LEASE))


def begun(ledger: Ledger, request: Request, run_id: str) -> None:
    """Name the run that a request has led to; a wish to cancel that came before is passed on to it.

    Args:
        ledger: The ledger.
        request: As it was taken.
        run_id: The run.

    Raises:
        Conflict: It is no longer ours.
    """
    with ledger.writing() as db:
        row = _write(db, request, run_id=run_id)
        if row.cancel_requested_at is not None:
            _cancel_run(db, run_id, row.cancel_requested_at)


def _cancel_run(db: sa.Connection, run_id: str, moment: str) -> None:
    db.execute(sa.update(run).where(run.c.id == run_id).values(cancel_requested_at=moment))


def finish(ledger: Ledger, request: Request, state: str, message: str | None = None, *, now: str | None = None) -> None:
    """Close a request.

    Args:
        ledger: The ledger.
        request: As it was taken.
        state: succeeded, failed or cancelled.
        message: One line on what went wrong.
        now: The time, for tests.

    Raises:
        Conflict: It is no longer ours.
    """
    closed = {"state": state, "message": message, "ended_at": now or clock(), "lease_owner": None, "lease_until": None}
    with ledger.writing() as db:
        _write(db, request, **closed)


def release(ledger: Ledger, request: Request) -> None:
    """Put a request back in its place in the queue, because its worker is asked to stop; this costs no attempt.

    Args:
        ledger: The ledger.
        request: As it was taken.

    Raises:
        Conflict: It is no longer ours.
    """
    with ledger.writing() as db:
        _write(db, request, state="queued", lease_owner=None, lease_until=None)


def cancel(ledger: Ledger, request_id: str, *, now: str | None = None) -> str:
    """Cancel a request: at once if it waits, else by asking its worker. One that has ended stays as it is.

    Args:
        ledger: The ledger.
        request_id: The request.
        now: The time, for tests.

    Returns:
        Its state now.

    Raises:
        NotFound: No such request.
    """
    moment = now or clock()
    columns = run_request.c
    with ledger.writing() as db:
        row = db.execute(sa.select(run_request).where(columns.id == request_id).with_for_update()).first()
        if row is None:
            raise NotFound(f"no request has the id {request_id!r}")
        this = sa.update(run_request).where(columns.id == request_id)
        if row.state == "queued":
            db.execute(this.values(state="cancelled", cancel_requested_at=moment, ended_at=moment))
            return "cancelled"
        if row.state == "running":
            db.execute(this.values(cancel_requested_at=moment))
            if row.run_id is not None:
                _cancel_run(db, row.run_id, moment)
        return str(row.state)


def reap(ledger: Ledger, *, now: str | None = None) -> int:
    """Put back what dead workers held, under the next attempt; fail what was lost too often.

    Args:
        ledger: The ledger.
        now: The time, for tests.

    Returns:
        How many requests were taken from a dead worker.
    """
    moment = now or clock()
    columns = run_request.c
    taken = 0
    with ledger.reading() as db:
        held = db.execute(sa.select(run_request).where(columns.state == "running")).all()
    for row in held:
        if row.lease_until >= moment and not is_gone(row.lease_owner):
            continue
        free: dict[str, Any] = {"lease_owner": None, "lease_until": None}
        if row.cancel_requested_at is not None:
            values = {**free, "state": "cancelled", "ended_at": moment}
        elif row.attempt >= ATTEMPTS:
            lost = f"lost: its worker died {ATTEMPTS} times; the system may have run out of memory"
            values = {**free, "state": "failed", "ended_at": moment, "message": lost}
        else:
            values = {**free, "state": "queued", "attempt": row.attempt + 1}
        same = [
            columns[name] == row._mapping[name] for name in ("id", "state", "attempt", "lease_owner", "lease_until")
        ]
        with ledger.writing() as db:
            taken += db.execute(sa.update(run_request).where(*same).values(**values)).rowcount
    return taken


def usual_seconds(ledger: Reader, paper: str, scale: str) -> float | None:
    """Predict how long a run takes: as long as the newest one that succeeded.

    Args:
        ledger: The ledger.
        paper: Slug.
        scale: At which scale.

    Returns:
        Seconds, or None if there was none.
    """
    where = (run.c.paper == paper, run.c.scale == scale, run.c.state == "succeeded")
    with ledger.reading() as db:
        return db.execute(sa.select(run.c.wall_seconds).where(*where).order_by(run.c.id.desc()).limit(1)).scalar()


def spent(ledger: Reader, requested_by: str, since: str) -> float:
    """Add up what somebody's requests cost; one that is open counts what it will cost.

    Args:
        ledger: The ledger.
        requested_by: Account id.
        since: Only requests made from then on.

    Returns:
        Seconds.
    """
    columns = run_request.c
    query = sa.select(columns.paper, columns.scale, columns.state, run.c.wall_seconds).select_from(
        run_request.outerjoin(run, run.c.id == columns.run_id)
    )
    with ledger.reading() as db:
        rows = db.execute(query.where(columns.requested_by == requested_by, columns.created_at >= since)).all()
    ahead = (usual_seconds(ledger, row.paper, row.scale) or 0.0 for row in rows if row.state in OPEN)
    return sum(row.wall_seconds or 0.0 for row in rows if row.state not in OPEN) + sum(ahead)


def find(ledger: Reader, request_id: str) -> sa.Row[Any] | None:
    """Read one request.

    Args:
        ledger: The ledger.
        request_id: The request.

    Returns:
        Its row, or None.
    """
    with ledger.reading() as db:
        return db.execute(sa.select(run_request).where(run_request.c.id == request_id)).first()


def newest(ledger: Reader, *, paper: str | None = None, run_id: str | None = None) -> sa.Row[Any] | None:
    """Read the newest request for a paper, or the one that led to a run.

    Args:
        ledger: The ledger.
        paper: Slug.
        run_id: The run.

    Returns:
        Its row, or None.
    """
    columns = run_request.c
    where = [columns.paper == paper] if paper is not None else []
    where += [columns.run_id == run_id] if run_id is not None else []
    with ledger.reading() as db:
        return db.execute(sa.select(run_request).where(*where).order_by(columns.id.desc()).limit(1)).first()


def unfinished(ledger: Reader, limit: int = 50) -> list[sa.Row[Any]]:
    """Read what runs and what waits, in the order in which it was asked for.

    Args:
        ledger: The ledger.
        limit: How many at most.

    Returns:
        Rows of `run_request`.
    """
    columns = run_request.c
    still_open = sa.select(run_request).where(columns.state.in_(OPEN)).order_by(columns.id).limit(limit)
    with ledger.reading() as db:
        return list(db.execute(still_open))


def position(ledger: Reader, request_id: str) -> int | None:
    """Tell the place of a request in the queue.

    Args:
        ledger: The ledger.
        request_id: The request.

    Returns:
        1 for the next; None when it does not wait.
    """
    columns = run_request.c
    with ledger.reading() as db:
        state = db.execute(sa.select(columns.state).where(columns.id == request_id)).scalar()
        if state != "queued":
            return None
        ahead = sa.select(sa.func.count()).select_from(run_request).where(columns.state == "queued")
        return int(db.execute(ahead.where(columns.id <= request_id)).scalar_one())

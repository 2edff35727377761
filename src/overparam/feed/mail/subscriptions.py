"""Subscriptions: pending, active, paused, unsubscribed, bounced or complained. Every step is safe to repeat.

Two kinds of token lead here. `confirm` is good for 48 hours and only for a pending subscription. `manage` stands in
every mail, does not expire and can be used again and again; stopping accepts an older version of it too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import sqlalchemy as sa
from ulid import ULID

from overparam.errors import BadInput, Conflict, NotFound
from overparam.feed import limits, secrets
from overparam.feed.mail import address, message
from overparam.feed.mail.filters import Filter
from overparam.feed.mail.message import Mail
from overparam.feed.mail.schedule import LOOK_BACK, check, next_due
from overparam.feed.mail.subscriber import Subscription, read
from overparam.ledger import Ledger
from overparam.ledger.clock import now as clock
from overparam.ledger.clock import shift
from overparam.ledger.schema import delivery, subscription, suppression

__all__ = [
    "Subscription",
    "change",
    "confirm",
    "delete",
    "look_up",
    "pause",
    "resume",
    "stop",
    "subscribe",
    "suppress",
    "undo",
    "unsubscribe",
]

Purpose = Literal["confirm", "manage"]
CONFIRM_HOURS = 48
MAILS_A_DAY, MAILS_A_NETWORK_AND_HOUR = 3, 10
DAY, HOUR = 86_400, 3_600


def subscribe(
    ledger: Ledger,
    email: str,
    wanted: Filter,
    *,
    frequency: str,
    hour: int = 7,
    network: str,
    now: str | None = None,
) -> Mail | None:
    """Ask for a subscription. Nothing is sent to a reader before they confirm.

    Whoever asks must get the same answer whatever this returns, or they could learn who is subscribed.

    Args:
        ledger: Where subscriptions lie.
        email: As typed.
        wanted: What it is about.
        frequency: daily or weekly.
        hour: Of the digest, UTC.
        network: Address from which the request came; only its hash is kept, for an hour.
        now: The time; by default the clock's.

    Returns:
        The mail to send now; None for suppressed addresses and where too much was asked already.
    """
    email, frequency, now = address.parse(email), check(frequency, hour), now or clock()
    key = address.key(email)
    source = secrets.fingerprint(network, "network")
    if not limits.allow(
        ledger, f"mail network {source}", limit=MAILS_A_NETWORK_AND_HOUR, per_seconds=HOUR, now=now
    ) or not limits.allow(ledger, f"mail address {key}", limit=MAILS_A_DAY, per_seconds=DAY, now=now):
        return None
    row = {
        "id": str(ULID()),
        "email_encrypted": secrets.encrypt(email),
        "email_hash": key,
        "filter_json": wanted.text,
        "filter_key": wanted.key,
        "frequency": frequency,
        "hour": hour,
        "state": "pending",
        "token_version": 1,
        "created_at": now,
        "changed_at": now,
        "soft_bounces": 0,
    }
    mine = (subscription.c.email_hash == key, subscription.c.filter_key == wanted.key)
    fresh = {name: row[name] for name in ("email_encrypted", "frequency", "hour", "state", "changed_at")}
    with ledger.writing() as db:
        if db.execute(sa.select(suppression.c.reason).where(suppression.c.email_hash == key)).first():
            return None
        db.execute(ledger.insert(subscription).values(**row).on_conflict_do_nothing())
        again = sa.update(subscription).where(
            *mine, subscription.c.state.in_(["unsubscribed", "bounced", "complained"])
        )
        db.execute(again.values(**fresh, token_version=subscription.c.token_version + 1))
        db.execute(sa.update(subscription).where(*mine, subscription.c.state == "pending").values(**fresh))
        found = read(db.execute(sa.select(subscription).where(*mine)).one())
    return _confirmation(found, now) if found.state == "pending" else _already(found, now)


def _confirmation(found: Subscription, now: str) -> Mail:
    token = secrets.sign([found.id, found.token_version], "confirm")
    return message.note(
        found.email,
        "Confirm your subscription",
        [f"You get {found.words_for_people}, once you have pressed the button on the page behind this link."],
        button=("Confirm", message.confirm_address(token)),
        closing=[
            f"The link is good for {CONFIRM_HOURS} hours.",
            "If you did not ask for this, do nothing: without the button nothing more will come.",
        ],
        subscription=found.id,
        now=now,
    )


def _already(found: Subscription, now: str) -> Mail:
    resting = " It is paused; the page behind this link resumes it." if found.state == "paused" else ""
    return message.note(
        found.email,
        "You are subscribed already",
        [f"This address gets {found.words_for_people}.{resting}"],
        button=("Change or stop", message.manage_address(found.manage_token)),
        closing=["Somebody asked for the same again, perhaps you. Nothing has changed."],
        subscription=found.id,
        now=now,
    )


def _opened(token: str, purpose: Purpose) -> tuple[str, int]:
    age = CONFIRM_HOURS * HOUR if purpose == "confirm" else None
    payload = secrets.verify(token, purpose, max_age=age)
    return str(payload[0]), int(payload[1])


def _find(db: sa.Connection, token: str, purpose: Purpose, *, stale: bool = False, lock: bool = True) -> sa.Row[Any]:
    found, version = _opened(token, purpose)
    query = sa.select(subscription).where(subscription.c.id == found)
    row = db.execute(query.with_for_update() if lock else query).first()
    if row is None:
        raise NotFound("this subscription is deleted; nothing more will come")
    if row.token_version != version and not stale:
        raise BadInput("this link is out of date; use the one in the newest mail")
    return row


def look_up(ledger: Ledger, token: str, *, purpose: Purpose = "manage") -> Subscription:
    """Read the subscription that a link belongs to. Changes nothing.

    Args:
        ledger: Where it lies.
        token: From the link.
        purpose: `confirm` for the page that confirms.

    Returns:
        The subscription.
    """
    with ledger.reading() as db:
        return read(_find(db, token, purpose, lock=False))


def confirm(ledger: Ledger, token: str, *, now: str | None = None) -> Subscription:
    """Begin to send digests. Confirming twice is the same as once.

    Args:
        ledger: Where the subscription lies.
        token: Of purpose `confirm`.
        now: The time; by default the clock's.

    Returns:
        The subscription.

    Raises:
        Conflict: It was stopped in the meantime.
    """
    now = now or clock()
    with ledger.writing() as db:
        row = _find(db, token, "confirm")
        if row.state == "pending":
            due = next_due(check(row.frequency, row.hour), row.hour, now)
            _set(db, row, now, state="active", confirmed_at=now, covered_until=now, next_due=due)
        elif row.state not in ("active", "paused"):
            raise Conflict("this subscription was stopped; subscribe again to start anew")
        return _again(db, row)


def pause(ledger: Ledger, token: str, *, now: str | None = None) -> Subscription:
    """Send nothing until `resume`.

    Args:
        ledger: Where the subscription lies.
        token: Of purpose `manage`.
        now: The time; by default the clock's.

    Returns:
        The subscription.
    """
    with ledger.writing() as db:
        row = _find(db, token, "manage")
        if row.state == "active":
            _stop(db, row, "paused", now or clock())
        return _again(db, row)


def resume(ledger: Ledger, token: str, *, now: str | None = None) -> Subscription:
    """Send digests again, from what happened in the pause, at most a week back.

    Args:
        ledger: Where the subscription lies.
        token: Of purpose `manage`.
        now: The time; by default the clock's.

    Returns:
        The subscription.
    """
    with ledger.writing() as db:
        row = _find(db, token, "manage")
        if row.state == "paused":
            _start(db, row, now or clock())
        return _again(db, row)


def unsubscribe(ledger: Ledger, token: str, *, now: str | None = None) -> Subscription | None:
    """Stop for good. Works again and again, with links of any age, and after the address was deleted.

    Args:
        ledger: Where the subscription lies.
        token: Of purpose `manage`, of any version.
        now: The time; by default the clock's.

    Returns:
        The subscription; None if it is deleted.
    """
    with ledger.writing() as db:
        try:
            row = _find(db, token, "manage", stale=True)
        except NotFound:
            return None
        if row.state in ("pending", "active", "paused"):
            _stop(db, row, "unsubscribed", now or clock())
        # the version of this link, not a newer one: an old link must not lead to one that may change things
        return replace(_again(db, row), token_version=_opened(token, "manage")[1])


def undo(ledger: Ledger, token: str, *, now: str | None = None) -> Subscription:
    """Take an `unsubscribe` back.

    Args:
        ledger: Where the subscription lies.
        token: Of purpose `manage`.
        now: The time; by default the clock's.

    Returns:
        The subscription.

    Raises:
        Conflict: The address was never confirmed, so it must subscribe.
    """
    with ledger.writing() as db:
        row = _find(db, token, "manage")
        if row.state == "unsubscribed":
            if row.confirmed_at is None:
                raise Conflict("this subscription was never confirmed; subscribe again")
            _start(db, row, now or clock())
        return _again(db, row)


def change(
    ledger: Ledger, token: str, wanted: Filter, frequency: str, hour: int, *, now: str | None = None
) -> Subscription:
    """Change what is sent and when.

    Args:
        ledger: Where the subscription lies.
        token: Of purpose `manage`.
        wanted: The new filter.
        frequency: daily or weekly.
        hour: Of the digest, UTC.
        now: The time; by default the clock's.

    Returns:
        The subscription.

    Raises:
        Conflict: The address has another subscription with this filter.
    """
    often, now = check(frequency, hour), now or clock()
    with ledger.writing() as db:
        row = _find(db, token, "manage")
        other = (subscription.c.email_hash == row.email_hash, subscription.c.filter_key == wanted.key)
        if db.execute(sa.select(subscription.c.id).where(*other, subscription.c.id != row.id)).first():
            raise Conflict("this address has another subscription with the same choices; stop one of the two")
        due = next_due(often, hour, now) if row.state == "active" else None
        new = {"filter_json": wanted.text, "filter_key": wanted.key, "frequency": often, "hour": hour, "next_due": due}
        _set(db, row, now, **new)
        return _again(db, row)


def delete(ledger: Ledger, token: str) -> None:
    """Erase a subscription, its address and its deliveries. Deleting twice is the same as once.

    Args:
        ledger: Where it lies.
        token: Of purpose `manage`, of any version.
    """
    found, _ = _opened(token, "manage")
    with ledger.writing() as db:
        db.execute(sa.delete(subscription).where(subscription.c.id == found))


def suppress(ledger: Ledger, found: str, state: Literal["bounced", "complained"], *, now: str | None = None) -> None:
    """Never send to the address of a subscription again, whoever asks.

    Args:
        ledger: Where it lies.
        found: Id of the subscription.
        state: The reason; all subscriptions of the address get this state.
        now: The time; by default the clock's.
    """
    now = now or clock()
    with ledger.writing() as db:
        key = db.execute(sa.select(subscription.c.email_hash).where(subscription.c.id == found)).scalar()
        if key is None:
            return
        row = ledger.insert(suppression).values(email_hash=key, reason=state, at=now)
        db.execute(row.on_conflict_do_nothing())
        for each in db.execute(sa.select(subscription).where(subscription.c.email_hash == key)).all():
            if each.state != "complained":
                _stop(db, each, state, now)


def stop(ledger: Ledger, found: str, *, now: str | None = None) -> None:
    """Stop a subscription by its id, as a mail to its unsubscribe address asks.

    Args:
        ledger: Where it lies.
        found: Its id.
        now: The time; by default the clock's.
    """
    unsubscribe(ledger, secrets.sign([found, 0], "manage"), now=now)


def _start(db: sa.Connection, row: sa.Row[Any], now: str) -> None:
    covered = max(row.covered_until or now, shift(now, -LOOK_BACK))
    due = next_due(check(row.frequency, row.hour), row.hour, now)
    _set(db, row, now, state="active", covered_until=covered, next_due=due)


def _stop(db: sa.Connection, row: sa.Row[Any], state: str, now: str) -> None:
    db.execute(sa.delete(delivery).where(delivery.c.subscription_id == row.id, delivery.c.state == "queued"))
    _set(db, row, now, state=state, next_due=None)


def _set(db: sa.Connection, row: sa.Row[Any], now: str, **values: Any) -> None:
    db.execute(sa.update(subscription).where(subscription.c.id == row.id).values(**values, changed_at=now))


def _again(db: sa.Connection, row: sa.Row[Any]) -> Subscription:
    return read(db.execute(sa.select(subscription).where(subscription.c.id == row.id)).one())

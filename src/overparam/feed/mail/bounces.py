"""Mail that comes back: delivery reports (RFC 3464), complaints (RFC 5965), and requests to stop sent by mail.

Only mail that carries a tag of ours counts, in the address it was sent to or in the Message-ID that it returns: anybody
can write a report about anybody's address.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator
from datetime import timedelta
from email import message_from_bytes
from email.message import Message
from typing import Literal

import sqlalchemy as sa

from overparam.feed.mail import subscriptions, verp
from overparam.ledger import Ledger
from overparam.ledger.clock import now as clock
from overparam.ledger.clock import shift
from overparam.ledger.schema import subscription

Taken = Literal["bounced", "delayed", "complained", "unsubscribed", "ignored"]
PATIENCE = timedelta(days=5)
FORGET = timedelta(days=8)  # longer than a week, so that weekly digests add up
OURS = re.compile(r"<([0-9A-Z]{26})\.([0-9-]{10})\.([0-9a-f]{12})@")
TARGETS = ("To", "Cc", "Delivered-To", "X-Original-To", "X-Envelope-To", "Envelope-To")
RETURNED = ("Message-ID", "Return-Path", "Original-Mail-From", "In-Reply-To", "References")


def take(ledger: Ledger, content: bytes, *, now: str | None = None) -> Taken:
    """Act on one mail that came to an address of ours.

    Args:
        ledger: Where subscriptions lie.
        content: The mail as it came.
        now: The time; by default the clock's.

    Returns:
        What it was taken for.
    """
    mail = message_from_bytes(content)  # headers stay as they are: parsing hostile ones may fail
    now = now or clock()
    purpose, found = _whose(mail)
    if found is None:
        return "ignored"
    kind = _kind(mail)
    if kind == "complained":
        subscriptions.suppress(ledger, found, "complained", now=now)
    elif kind in ("bounced", "delayed"):
        refused(ledger, found, hard=kind == "bounced", now=now)
    elif purpose == "unsubscribe":
        subscriptions.stop(ledger, found, now=now)
        return "unsubscribed"
    return kind


def refused(ledger: Ledger, found: str, *, hard: bool, now: str) -> None:
    """Count a refusal by a mailbox: one for good, or several for now over five days, and it gets no more mail.

    Args:
        ledger: Where subscriptions lie.
        found: Id of the subscription.
        hard: Whether it is for good.
        now: The time.
    """
    if not hard:
        with ledger.writing() as db:
            row = db.execute(sa.select(subscription).where(subscription.c.id == found)).first()
            if row is None:
                return
            going_on = bool(row.soft_bounced_at) and shift(row.soft_bounced_at, FORGET) > now
            since = row.soft_bounced_since if going_on else now
            values = {
                "soft_bounces": row.soft_bounces + 1 if going_on else 1,
                "soft_bounced_since": since,
                "soft_bounced_at": now,
            }
            db.execute(sa.update(subscription).where(subscription.c.id == found).values(**values))
        if shift(since, PATIENCE) > now:
            return
    subscriptions.suppress(ledger, found, "bounced", now=now)


def _whose(mail: Message) -> tuple[str, str | None]:
    for name in TARGETS:
        for value in mail.get_all(name, []):
            hit = verp.read(str(value))
            if hit:
                return hit
    for part in mail.walk():
        for value in [v for name in RETURNED for v in part.get_all(name, [])] + _headers_as_text(part):
            hit = verp.read(str(value))
            if hit:
                return "bounce", hit[1]
            for subscription_id, digest_key, tag in OURS.findall(str(value)):
                if hmac.compare_digest(verp.tag(f"{subscription_id}.{digest_key}", "message"), tag):
                    return "bounce", subscription_id
    return "", None


def _headers_as_text(part: Message) -> list[str]:
    """Lines of a part that holds the headers of the mail that came back."""
    if part.get_content_type() != "text/rfc822-headers":
        return []
    payload = part.get_payload(decode=True)
    lines = payload.decode("ascii", "replace").splitlines() if isinstance(payload, bytes) else []
    return [line for line in lines if line.lower().startswith(tuple(f"{name.lower()}:" for name in RETURNED))]


def _kind(mail: Message) -> Literal["bounced", "delayed", "complained", "ignored"]:
    feedback = [str(part["Feedback-Type"]).strip().lower() for part in mail.walk() if part["Feedback-Type"]]
    if feedback:
        return "ignored" if feedback == ["not-spam"] else "complained"
    found = list(_statuses(mail))
    if any(action == "failed" and not status.startswith("4") for action, status in found):
        return "bounced"
    if any(action in ("failed", "delayed") for action, _ in found):
        return "delayed"
    return "ignored"


def _statuses(mail: Message) -> Iterator[tuple[str, str]]:
    for part in mail.walk():
        action = str(part.get("Action", "")).strip().lower()
        if action:
            yield action, str(part.get("Status", "")).strip()

"""Accounts: sign-in by a mailed link, sessions, roles, and the end of an account.

A link and a session are random texts of 32 bytes; the ledger keeps keyed hashes of them and finds them by these, so a
copy of the ledger lets nobody in and the time of a look-up tells nothing.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
from ulid import ULID

from overparam.errors import BadInput, Conflict, NotFound
from overparam.feed import audit, votes
from overparam.feed.limits import allow
from overparam.feed.mail import address as addresses
from overparam.feed.mail import message
from overparam.feed.mail.message import Mail
from overparam.feed.record import line
from overparam.feed.secrets import encrypt, fingerprint
from overparam.ledger import Ledger
from overparam.ledger.clock import now as clock
from overparam.ledger.clock import shift
from overparam.ledger.schema import account, idempotency, session, sign_in, suppression
from overparam.ledger.schema import vote as vote_table
from overparam.settings import site_url
from overparam.site.viewer import LOCAL

LINK_LIFE = timedelta(minutes=15)
ADMIN_LINK_LIFE = timedelta(hours=24)
SESSION_LIFE = timedelta(days=30)
MAILS_A_DAY = 5  # to one address
ROLES = ("member", "runner", "admin")
LONGEST_NAME = 40


def request_link(ledger: Ledger, text: str, *, next_path: str = "/", now: str | None = None) -> Mail | None:
    """Make a link that signs in the owner of an address.

    Args:
        ledger: The ledger.
        text: The address as typed.
        next_path: Where to go afterwards.
        now: The moment.

    Returns:
        The mail to send; None if the address has had enough of them today or must not get mail.

    Raises:
        BadInput: It is no address.
    """
    at = now or clock()
    address = addresses.parse(text)
    key = addresses.key(address)
    with ledger.reading() as db:
        if db.execute(sa.select(suppression.c.reason).where(suppression.c.email_hash == key)).first() is not None:
            return None
    if not allow(ledger, f"sign-in mail {key}", limit=MAILS_A_DAY, per_seconds=86_400, now=at):
        return None
    row = {"role": "member", "email_encrypted": encrypt(address), "email_hash": key}
    with ledger.writing() as db:
        token = _add_link(db, shift(at, LINK_LIFE), **row)
    query = f"?{urlencode({'next': next_path})}" if next_path != "/" else ""
    return _mail(address, f"{site_url()}/sign-in/{token}{query}", at)


def _add_link(db: sa.Connection, expires_at: str, **row: str) -> str:
    token = secrets.token_urlsafe(32)
    db.execute(sa.insert(sign_in).values(token_hash=fingerprint(token, "sign-in"), expires_at=expires_at, **row))
    return token


def _mail(address: str, link: str, at: str) -> Mail:
    return message.note(
        address,
        "Sign in to overparam",
        ["You are in once you have pressed the button on the page behind this link."],
        button=("Sign in", link),
        closing=[
            f"The link works once, within {LINK_LIFE.seconds // 60} minutes.",
            "If you did not ask for this, do nothing: without the link nobody gets in.",
        ],
        now=at,
    )


def link_is_good(ledger: Ledger, token: str, *, now: str | None = None) -> bool:
    """Tell whether a link would still sign somebody in; changes nothing.

    Args:
        ledger: The ledger.
        token: What the link carries.
        now: The moment.

    Returns:
        Whether it is unused and in time.
    """
    good = (sign_in.c.token_hash == fingerprint(token, "sign-in"), *_unused(now or clock()))
    with ledger.reading() as db:
        return db.execute(sa.select(sign_in.c.role).where(*good)).first() is not None


def _unused(at: str) -> tuple[sa.ColumnElement[bool], ...]:
    return sign_in.c.used_at.is_(None), sign_in.c.expires_at > at


def consume_link(ledger: Ledger, token: str, *, network: str | None = None, now: str | None = None) -> str:
    """Use up a link: make the account if it is new, and begin a session.

    Args:
        ledger: The ledger.
        token: What the link carries.
        network: Where the request came from, for the audit trail.
        now: The moment.

    Returns:
        The text of the session cookie.

    Raises:
        BadInput: The link was used before, is too old or was never made.
    """
    at = now or clock()
    with ledger.writing() as db:
        good = (sign_in.c.token_hash == fingerprint(token, "sign-in"), *_unused(at))
        link = db.execute(sa.update(sign_in).where(*good).values(used_at=at).returning(sign_in)).first()
        if link is None:
            raise BadInput("This link has been used or is too old. Ask for a new one.")
        account_id = _account_for(ledger, db, link, at)
        cookie = secrets.token_urlsafe(32)
        row = {"account_id": account_id, "created_at": at, "expires_at": shift(at, SESSION_LIFE)}
        db.execute(sa.insert(session).values(token_hash=fingerprint(cookie, "session"), **row))
        audit.record(db, account_id, "signed in", account_id, network=network, now=at)
    return cookie


def _account_for(ledger: Ledger, db: sa.Connection, link: sa.Row[Any], at: str) -> str:
    row = {"id": str(ULID()), "role": str(link.role), "created_at": at, "name": str(link.role).capitalize()}
    if link.email_hash is None:  # the link that a first start prints
        db.execute(sa.insert(account).values(**row))
        return row["id"]
    row |= {"email_hash": link.email_hash, "email_encrypted": link.email_encrypted}
    db.execute(ledger.insert(account).values(**row).on_conflict_do_nothing(index_elements=["email_hash"]))
    return str(db.execute(sa.select(account.c.id).where(account.c.email_hash == link.email_hash)).scalar_one())


def admin_link(ledger: Ledger, *, now: str | None = None) -> str | None:
    """Make the link of a first start, which signs in the first admin, once and within a day.

    Args:
        ledger: The ledger.
        now: The moment.

    Returns:
        An address to print; None if there is an admin, or a link that is still good.
    """
    at = now or clock()
    with ledger.writing() as db:
        admin = sa.select(account.c.id).where(account.c.role == "admin")
        waiting = sa.select(sign_in.c.role).where(sign_in.c.role == "admin", *_unused(at))
        if db.execute(admin).first() is not None or db.execute(waiting).first() is not None:
            return None
        token = _add_link(db, shift(at, ADMIN_LINK_LIFE), role="admin")
    return f"{site_url()}/sign-in/{token}"


def end_session(ledger: Ledger, cookie: str) -> None:
    """Sign out.

    Args:
        ledger: The ledger.
        cookie: Text of the session cookie.
    """
    with ledger.writing() as db:
        db.execute(sa.delete(session).where(session.c.token_hash == fingerprint(cookie, "session")))


def sessions(ledger: Ledger, account_id: str, *, now: str | None = None) -> list[sa.Row[Any]]:
    """List where somebody is signed in.

    Args:
        ledger: The ledger.
        account_id: Who.
        now: The moment.

    Returns:
        Rows of `session`, newest first.
    """
    mine = (session.c.account_id == account_id, session.c.expires_at > (now or clock()))
    with ledger.reading() as db:
        return list(db.execute(sa.select(session).where(*mine).order_by(session.c.created_at.desc())))


def end_others(ledger: Ledger, account_id: str, cookie: str | None) -> int:
    """Sign somebody out everywhere else.

    Args:
        ledger: The ledger.
        account_id: Who.
        cookie: Text of the session that stays.

    Returns:
        How many sessions ended.
    """
    kept = session.c.token_hash != fingerprint(cookie or "", "session")
    with ledger.writing() as db:
        return int(db.execute(sa.delete(session).where(session.c.account_id == account_id, kept)).rowcount)


def rename(ledger: Ledger, account_id: str, name: str) -> None:
    """Change the name that is shown.

    Args:
        ledger: The ledger.
        account_id: Whose.
        name: The new one.

    Raises:
        BadInput: It is empty or too long.
    """
    name = line(name, LONGEST_NAME + 1)
    if not 0 < len(name) <= LONGEST_NAME:
        raise BadInput(f"A name has 1 to {LONGEST_NAME} characters.")
    with ledger.writing() as db:
        db.execute(sa.update(account).where(account.c.id == account_id).values(name=name))


def everybody(ledger: Ledger) -> list[sa.Row[Any]]:
    """List the accounts, for admins.

    Args:
        ledger: The ledger.

    Returns:
        Rows of `account`, oldest first.
    """
    with ledger.reading() as db:
        return list(db.execute(sa.select(account).where(account.c.id != LOCAL).order_by(account.c.id)))


def set_role(ledger: Ledger, by: str, account_id: str, role: str, *, network: str | None = None) -> None:
    """Change what somebody may do.

    Args:
        ledger: The ledger.
        by: Account of the admin who says so.
        account_id: Whose role.
        role: The new one.
        network: Where the request came from, for the audit trail.

    Raises:
        BadInput: There is no such role.
        NotFound: There is no such account.
        Conflict: Nobody would be left to set roles.
    """
    if role not in ROLES:
        raise BadInput(f"role={role[:20]!r} is none of {', '.join(ROLES)}")
    with ledger.writing() as db:
        admins = set(db.execute(sa.select(account.c.id).where(account.c.role == "admin").with_for_update()).scalars())
        if role != "admin" and admins == {account_id}:
            raise Conflict("This is the only admin. Make somebody else admin first.")
        changed = sa.update(account).where(account.c.id == account_id, account.c.id != LOCAL).values(role=role)
        if not db.execute(changed).rowcount:
            raise NotFound(f"no account has the id {account_id[:40]!r}")
        audit.record(db, by, f"changed a role to {role}", account_id, network=network)


def delete_account(ledger: Ledger, account_id: str) -> None:
    """Delete somebody with all that is theirs: address, sessions, tokens, links, votes.

    Args:
        ledger: The ledger.
        account_id: Who.
    """
    with ledger.writing() as db:
        mine = account.c.id == account_id
        papers = list(
            db.execute(sa.select(vote_table.c.article_id).where(vote_table.c.account_id == account_id)).scalars()
        )
        key = db.execute(sa.select(account.c.email_hash).where(mine)).scalar()
        db.execute(sa.delete(sign_in).where(sign_in.c.email_hash == key))
        db.execute(sa.delete(idempotency).where(idempotency.c.account_id == account_id))
        db.execute(sa.delete(account).where(mine))
        votes.forget(db, papers)
        audit.record(db, account_id, "deleted the account", account_id)


def tidy(ledger: Ledger, *, now: str | None = None) -> int:
    """Delete sessions and links whose time is over; meant for every night.

    Args:
        ledger: The ledger.
        now: The moment.

    Returns:
        How many were deleted.
    """
    at = now or clock()
    with ledger.writing() as db:
        ended = [db.execute(sa.delete(table).where(table.c.expires_at <= at)) for table in (session, sign_in)]
    return sum(result.rowcount for result in ended)

"""API tokens: made on the account page, shown once, kept as keyed hashes."""

from __future__ import annotations

import secrets
from typing import Any

import sqlalchemy as sa
from ulid import ULID

from overparam.errors import BadInput, Conflict, NotFound
from overparam.feed import audit
from overparam.feed.record import line
from overparam.feed.secrets import fingerprint
from overparam.ledger import Ledger
from overparam.ledger.clock import now as clock
from overparam.ledger.schema import api_token
from overparam.site.viewer import SCOPES, TOKEN, Viewer

MOST = 20
LONGEST_NAME = 60


def scopes_for(viewer: Viewer) -> tuple[str, ...]:
    """Return the scopes that somebody may give to a token."""
    return SCOPES if viewer.is_admin else SCOPES[:-1]


def create(ledger: Ledger, viewer: Viewer, name: str, scope: str, *, network: str | None = None) -> str:
    """Make a token.

    Args:
        ledger: The ledger.
        viewer: Whose; signed in.
        name: What it is for.
        scope: What it allows.
        network: Where the request came from, for the audit trail.

    Returns:
        The token; it cannot be read again.

    Raises:
        BadInput: The name is empty or too long, or the scope is not theirs to give.
        Conflict: There are too many already.
    """
    name = line(name, LONGEST_NAME + 1)
    if not 0 < len(name) <= LONGEST_NAME:
        raise BadInput(f"A token needs a name of 1 to {LONGEST_NAME} characters, such as the program that will use it.")
    if scope not in scopes_for(viewer):
        raise BadInput(f"scope={scope[:20]!r} is none of {', '.join(scopes_for(viewer))}")
    token = TOKEN + secrets.token_urlsafe(32)
    row = {"id": str(ULID()), "account_id": viewer.account_id, "name": name, "scope": scope, "created_at": clock()}
    with ledger.writing() as db:
        mine = (api_token.c.account_id == viewer.account_id, api_token.c.revoked_at.is_(None))
        if db.execute(sa.select(sa.func.count()).where(*mine)).scalar_one() >= MOST:
            raise Conflict(f"You have {MOST} tokens. Revoke one that you no longer use.")
        db.execute(sa.insert(api_token).values(token_hash=fingerprint(token, "api token"), **row))
        audit.record(db, str(viewer.account_id), f"made a token for {scope}", row["id"] or "", network=network)
    return token


def of(ledger: Ledger, account_id: str) -> list[sa.Row[Any]]:
    """List somebody's tokens.

    Args:
        ledger: The ledger.
        account_id: Who.

    Returns:
        Rows of `api_token` that are not revoked, newest first.
    """
    mine = (api_token.c.account_id == account_id, api_token.c.revoked_at.is_(None))
    with ledger.reading() as db:
        return list(db.execute(sa.select(api_token).where(*mine).order_by(api_token.c.id.desc())))


def revoke(ledger: Ledger, account_id: str, token_id: str, *, network: str | None = None) -> None:
    """End a token at once.

    Args:
        ledger: The ledger.
        account_id: Whose.
        token_id: Its id.
        network: Where the request came from, for the audit trail.

    Raises:
        NotFound: They have no such token.
    """
    mine = (api_token.c.id == token_id, api_token.c.account_id == account_id, api_token.c.revoked_at.is_(None))
    with ledger.writing() as db:
        if not db.execute(sa.update(api_token).where(*mine).values(revoked_at=clock())).rowcount:
            raise NotFound(f"you have no token {token_id[:40]!r}")
        audit.record(db, account_id, "revoked a token", token_id, network=network)

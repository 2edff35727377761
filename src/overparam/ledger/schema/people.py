"""Tables of people: accounts, sessions, tokens, votes, limits, audit."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, Table, Text

from overparam.ledger.schema.metadata import metadata

account = Table(
    "account",
    metadata,
    Column("id", Text, primary_key=True),  # ULID
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),  # member, runner, admin
    Column("email_encrypted", Text),
    Column("email_hash", Text, unique=True),
    Column("created_at", Text, nullable=False),
)

session = Table(
    "session",
    metadata,
    Column("token_hash", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("account.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", Text, nullable=False),
    Column("expires_at", Text, nullable=False),
    Index("session_by_account", "account_id"),
)

sign_in = Table(  # links that were mailed or printed, each good for one use
    "sign_in",
    metadata,
    Column("token_hash", Text, primary_key=True),
    Column("email_encrypted", Text),
    Column("email_hash", Text),
    Column("role", Text, nullable=False),
    Column("expires_at", Text, nullable=False),
    Column("used_at", Text),
)

api_token = Table(
    "api_token",
    metadata,
    Column("id", Text, primary_key=True),
    Column("token_hash", Text, nullable=False, unique=True),
    Column("account_id", Text, ForeignKey("account.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("scope", Text, nullable=False),  # read, vote, run, admin
    Column("created_at", Text, nullable=False),
    Column("used_at", Text),
    Column("revoked_at", Text),
    Index("token_by_account", "account_id"),
)

vote = Table(
    "vote",
    metadata,
    Column("account_id", Text, ForeignKey("account.id", ondelete="CASCADE"), primary_key=True),
    Column("article_id", Text, ForeignKey("article.id", ondelete="CASCADE"), primary_key=True),
    Column("at", Text, nullable=False),
    Index("vote_by_article", "article_id"),
)

rate = Table(  # fixed windows, so that two processes agree
    "rate",
    metadata,
    Column("bucket", Text, primary_key=True),
    Column("window", Integer, primary_key=True),
    Column("n", Integer, nullable=False),
    Index("rate_by_window", "window"),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request_hash", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("body_json", Text, nullable=False),
    Column("at", Text, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Text, primary_key=True),
    Column("who", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("network_hash", Text),
)

"""Tables of subscriptions and mail. Addresses are encrypted; hashes serve for look-up."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, Table, Text

from overparam.ledger.schema.metadata import metadata

subscription = Table(
    "subscription",
    metadata,
    Column("id", Text, primary_key=True),  # ULID
    Column("email_encrypted", Text, nullable=False),
    Column("email_hash", Text, nullable=False),
    Column("filter_json", Text, nullable=False),
    Column("filter_key", Text, nullable=False),  # hash of filter_json: one subscription an address and filter
    Column("frequency", Text, nullable=False),  # daily, weekly
    Column("hour", Integer, nullable=False),  # UTC
    Column("state", Text, nullable=False),  # pending, active, paused, unsubscribed, bounced, complained
    Column("token_version", Integer, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("confirmed_at", Text),
    Column("changed_at", Text, nullable=False),
    Column("next_due", Text),
    Column("covered_until", Text),  # news up to here has been sent
    Column("soft_bounces", Integer, nullable=False, default=0),
    Column("soft_bounced_since", Text),
    Column("soft_bounced_at", Text),  # the last of them; a long gap begins a new count
    Index("subscription_by_filter", "email_hash", "filter_key", unique=True),
    Index("subscription_due", "state", "next_due"),
)

delivery = Table(  # inserted before sending; its key allows at most one mail a digest
    "delivery",
    metadata,
    Column("subscription_id", Text, ForeignKey("subscription.id", ondelete="CASCADE"), primary_key=True),
    Column("digest_key", Text, primary_key=True),
    Column("state", Text, nullable=False),  # queued, sending, sent, failed, unknown
    Column("body_json", Text, nullable=False),  # the frozen list, emptied when its fate is settled
    Column("message_id", Text, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("smtp_code", Integer),
    Column("message", Text),
    Column("at", Text, nullable=False),  # of a queued one: not to be sent earlier; otherwise of the last change
    Index("delivery_by_state", "state", "at"),
)

suppression = Table(  # addresses that must not get mail, whoever asks
    "suppression",
    metadata,
    Column("email_hash", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("at", Text, nullable=False),
)

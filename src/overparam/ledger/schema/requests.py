"""The queue: runs that somebody asked for, until a worker has done them."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, Table, Text

from overparam.ledger.schema.metadata import metadata

run_request = Table(
    "run_request",
    metadata,
    Column("id", Text, primary_key=True),  # ULID: first come, first served
    Column("paper", Text, ForeignKey("paper.slug"), nullable=False),
    Column("scale", Text, nullable=False),
    Column("claims_json", Text, nullable=False),  # ids; empty for all
    Column("requested_by", Text, nullable=False),  # account id, or `local`
    Column("state", Text, nullable=False),  # queued, running, succeeded, failed, cancelled
    Column("run_id", Text, ForeignKey("run.id")),
    Column("attempt", Integer, nullable=False, default=0),
    Column("lease_owner", Text),
    Column("lease_until", Text),
    Column("cancel_requested_at", Text),
    Column("message", Text),
    Column("created_at", Text, nullable=False),
    Column("started_at", Text),
    Column("ended_at", Text),
    Index("request_by_state", "state", "id"),
    Index("request_by_paper", "paper", "id"),
    Index("request_by_run", "run_id"),
)

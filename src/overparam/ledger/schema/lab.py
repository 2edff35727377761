"""Tables of the lab: papers, claims, runs, trials, cache, events, artefacts, verdicts, figures."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
)

from overparam.ledger.schema.metadata import metadata

paper = Table(
    "paper",
    metadata,
    Column("slug", Text, primary_key=True),
    Column("arxiv", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("published_on", Text, nullable=False),
)

claim = Table(
    "claim",
    metadata,
    Column("paper", Text, ForeignKey("paper.slug"), primary_key=True),
    Column("claim", Text, primary_key=True),
    Column("rule_hash", Text, primary_key=True),  # a changed rule is a new row, never an edit
    Column("statement", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("rule_json", Text, nullable=False),
    Column("first_seen_at", Text, nullable=False),
)

run = Table(
    "run",
    metadata,
    Column("id", Text, primary_key=True),  # ULID: sorts by time
    Column("paper", Text, ForeignKey("paper.slug"), nullable=False),
    Column("scale", Text, nullable=False),
    Column("spec_hash", Text, nullable=False),
    Column("options_json", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("engine", Text, nullable=False),
    Column("workers", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("lease_owner", Text),
    Column("lease_until", Text),
    Column("cancel_requested_at", Text),
    Column("created_at", Text, nullable=False),
    Column("ended_at", Text),
    Column("wall_seconds", Float, nullable=False, default=0.0),
    Column("provenance_json", Text, nullable=False),
    Index("run_by_paper", "paper", "scale", "id"),
    Index("run_by_spec", "spec_hash", "id"),
    Index("run_by_state", "state", "id"),
)

trial = Table(
    "trial",
    metadata,
    Column("run_id", Text, ForeignKey("run.id", ondelete="CASCADE"), primary_key=True),
    Column("trial_key", Text, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("task", Integer, nullable=False),  # trials of one task run together: the seeds of a batched experiment
    Column("experiment", Text, nullable=False),
    Column("params_json", Text, nullable=False),
    Column("seed", Integer, nullable=False),
    Column("state", Text, nullable=False),  # queued, running, done, failed
    Column("cached", Boolean, nullable=False, default=False),
    Column("attempt", Integer, nullable=False, default=0),
    Column("metrics_json", Text),
    Column("wall_seconds", Float),
    Column("cpu_seconds", Float),
    Column("peak_megabytes", Float),
    Column("device", Text),
    Column("outcome", Text),  # of a failed trial: raised, not finite, out of memory, timed out, lost
    Column("message", Text),
    Column("traceback", Text),
    Index("trial_by_state", "run_id", "state", "task"),
    Index("trial_by_experiment", "run_id", "experiment", "position"),
)

cache = Table(
    "cache",
    metadata,
    Column("cache_key", Text, primary_key=True),
    Column("experiment", Text, nullable=False),
    Column("metrics_json", Text, nullable=False),
    Column("wall_seconds", Float, nullable=False),
    Column("cpu_seconds", Float, nullable=False),
    Column("peak_megabytes", Float, nullable=False),
    Column("device", Text, nullable=False),
    Column("made_by_run", Text, nullable=False),
    Column("made_at", Text, nullable=False),
)

event = Table(
    "event",
    metadata,
    Column("run_id", Text, ForeignKey("run.id", ondelete="CASCADE"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("at", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("body_json", Text, nullable=False),
)

artifact = Table(
    "artifact",
    metadata,
    Column("key", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("made_by_run", Text, nullable=False),
)

verdict = Table(
    "verdict",
    metadata,
    Column("run_id", Text, ForeignKey("run.id", ondelete="CASCADE"), primary_key=True),
    Column("claim", Text, primary_key=True),
    Column("paper", Text, nullable=False),
    Column("rule_hash", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("estimate", Float),
    Column("low", Float),
    Column("high", Float),
    Column("n", Integer, nullable=False),
    Column("body_json", Text, nullable=False),
    Column("supersedes", Text),  # run whose verdict this one replaces because rule or status changed
    Column("at", Text, nullable=False),
    ForeignKeyConstraint(["paper", "claim", "rule_hash"], ["claim.paper", "claim.claim", "claim.rule_hash"]),
    Index("verdict_by_claim", "paper", "claim", "at"),
    Index("verdict_by_time", "at"),  # whether there is a newer one
)

figure = Table(
    "figure",
    metadata,
    Column("run_id", Text, ForeignKey("run.id", ondelete="CASCADE"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("svg", Text, nullable=False),
    Column("caption", Text, nullable=False),
    Column("table_json", Text, nullable=False),  # {"columns": [...], "rows": [[...]]}, as shown
)

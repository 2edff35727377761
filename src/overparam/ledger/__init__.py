"""The ledger: papers, claims, runs, trials, cache, events, artefacts and verdicts, in SQLite or PostgreSQL."""

from overparam.ledger.store import Ledger

__all__ = ["Ledger"]

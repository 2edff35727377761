"""Tables of the ledger, a file for each part. Migrations follow these."""

from overparam.ledger.schema.feed import (
    article,
    article_source,
    article_topic,
    article_version,
    listing,
    merge_conflict,
    metric,
    source_state,
)
from overparam.ledger.schema.lab import artifact, cache, claim, event, figure, paper, run, trial, verdict
from overparam.ledger.schema.mail import delivery, subscription, suppression
from overparam.ledger.schema.metadata import HEAD, metadata
from overparam.ledger.schema.people import account, api_token, audit, idempotency, rate, session, sign_in, vote
from overparam.ledger.schema.requests import run_request
from overparam.ledger.schema.search import embedding, search_document, search_model

__all__ = [
    "HEAD",
    "account",
    "api_token",
    "article",
    "article_source",
    "article_topic",
    "article_version",
    "artifact",
    "audit",
    "cache",
    "claim",
    "delivery",
    "embedding",
    "event",
    "figure",
    "idempotency",
    "listing",
    "merge_conflict",
    "metadata",
    "metric",
    "paper",
    "rate",
    "run",
    "run_request",
    "search_document",
    "search_model",
    "session",
    "sign_in",
    "source_state",
    "subscription",
    "suppression",
    "trial",
    "verdict",
    "vote",
]

"""Tables of search. The lexical index itself is FTS5 or tsvector, made in the migration."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, LargeBinary, Table, Text

from overparam.ledger.schema.metadata import metadata

search_model = Table(  # a fitted embedder
    "search_model",
    metadata,
    Column("id", Text, primary_key=True),
    Column("made_at", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),  # npz without pickle
)

embedding = Table(
    "embedding",
    metadata,
    Column("article_id", Text, ForeignKey("article.id", ondelete="CASCADE"), primary_key=True),
    Column("model", Text, primary_key=True),
    Column("vector", LargeBinary, nullable=False),  # float32
)

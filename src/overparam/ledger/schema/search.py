"""Tables of search. Beside `search_document` the migration makes what the store searches words with.

SQLite: the FTS5 table `search_words` with external content, kept by triggers. PostgreSQL: the generated column
`search_words` of `search_document` with its index. Both lie outside of these tables, since they differ by store.
"""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, LargeBinary, Table, Text

from overparam.ledger.schema.metadata import metadata

search_document = Table(  # what is searched of an article, folded: small letters, digits and spaces
    "search_document",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("article_id", Text, ForeignKey("article.id", ondelete="CASCADE"), nullable=False, unique=True),
    Column("seen", Text, nullable=False),  # `updated_at` of the article when it was read
    Column("fingerprint", Text, nullable=False),  # of the text; embeddings carry that of the text they were made of
    Column("title", Text, nullable=False),
    Column("authors", Text, nullable=False),
    Column("abstract", Text, nullable=False),
    Column("claims", Text, nullable=False),  # statements and notes; empty for papers that are not ours
    sqlite_autoincrement=True,  # a number is never used twice, so an entry of FTS5 cannot point to another document
)

search_model = Table(  # a fitted embedder
    "search_model",
    metadata,
    Column("id", Text, primary_key=True),
    Column("made_at", Text, nullable=False),
    Column("documents", Integer, nullable=False),  # it was fitted on
    Column("ready_at", Text),  # when every document had a vector of it; until then the model before it serves
    Column("revision", Integer, nullable=False, default=0),  # grows whenever vectors change
    Column("body", LargeBinary, nullable=False),  # npz without pickle; empty for a model in a folder
)

embedding = Table(
    "embedding",
    metadata,
    Column("model", Text, ForeignKey("search_model.id", ondelete="CASCADE"), primary_key=True),
    Column("article_id", Text, ForeignKey("article.id", ondelete="CASCADE"), primary_key=True),
    Column("part", Text, primary_key=True),  # empty for the article, else the id of a claim
    Column("fingerprint", Text, nullable=False),
    Column("vector", LargeBinary, nullable=False),  # float32, length 1
)

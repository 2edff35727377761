"""Tables of the feed: what the sources list, as articles. An article with code here carries the slug of its paper."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, Table, Text

from overparam.ledger.schema.metadata import metadata

article = Table(
    "article",
    metadata,
    Column("id", Text, primary_key=True),  # ULID
    Column("key", Text, nullable=False, unique=True),  # in addresses: slug, else arXiv id, else id
    Column("slug", Text, ForeignKey("paper.slug"), unique=True),
    Column("arxiv", Text, unique=True),  # without version; old style too: quant-ph/0201082
    Column("doi", Text, unique=True),
    Column("title", Text, nullable=False),
    Column("title_key", Text, nullable=False),  # NFKC, case folded, letters and digits only
    Column("abstract", Text, nullable=False),
    Column("authors_json", Text, nullable=False),  # names in order; may be empty
    Column("author_count", Integer, nullable=False),
    Column("published_on", Text, nullable=False),
    Column("listed_on", Text, nullable=False),  # first day on which a source listed it
    Column("version", Integer, nullable=False, default=1),
    Column("withdrawn", Boolean, nullable=False, default=False),
    Column("code_url", Text),
    Column("discussion_url", Text),  # where the comments are
    Column("comments", Integer, nullable=False, default=0),
    Column("votes", Integer, nullable=False, default=0),  # here; equal to the rows of `vote`
    Column("votes_elsewhere", Integer, nullable=False, default=0),
    Column("trend_key", Float),  # log2 of the decayed sum of events; see feed.trending
    Column("added_at", Text, nullable=False),
    Column("updated_at", Text, nullable=False),
    Index("article_by_trend", "trend_key", "id"),
    Index("article_by_votes", "votes", "id"),
    Index("article_by_published", "published_on", "id"),
    Index("article_by_listed", "listed_on", "id"),
    Index("article_by_title", "title_key"),
    Index("article_by_update", "updated_at"),
)

article_topic = Table(
    "article_topic",
    metadata,
    Column("article_id", Text, ForeignKey("article.id", ondelete="CASCADE"), primary_key=True),
    Column("topic", Text, primary_key=True),  # topics of our papers, categories of arXiv such as cs.LG
    Index("article_by_topic", "topic", "article_id"),
)

article_version = Table(
    "article_version",
    metadata,
    Column("article_id", Text, ForeignKey("article.id", ondelete="CASCADE"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("title", Text, nullable=False),
    Column("abstract", Text, nullable=False),
    Column("at", Text, nullable=False),
)

article_source = Table(
    "article_source",
    metadata,
    Column("source", Text, primary_key=True),  # huggingface, arxiv, file, overparam
    Column("external_id", Text, primary_key=True),
    Column("article_id", Text, ForeignKey("article.id", ondelete="CASCADE"), nullable=False),
    Column("raw_json", Text, nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("fetched_at", Text, nullable=False),
    Index("source_by_article", "article_id"),
)

listing = Table(
    "listing",
    metadata,
    Column("source", Text, primary_key=True),
    Column("day", Text, primary_key=True),
    Column("article_id", Text, ForeignKey("article.id", ondelete="CASCADE"), primary_key=True),
    Column("rank", Integer, nullable=False),
    Column("submitted_by", Text),
    Index("listing_by_day", "day", "rank"),
    Index("listing_by_article", "article_id"),
)

metric = Table(
    "metric",
    metadata,
    Column("article_id", Text, ForeignKey("article.id", ondelete="CASCADE"), primary_key=True),
    Column("source", Text, primary_key=True),
    Column("at", Text, primary_key=True),
    Column("votes", Integer, nullable=False),
    Column("comments", Integer, nullable=False),
)

merge_conflict = Table(  # two records that may be one paper: a person decides, nothing is merged silently
    "merge_conflict",
    metadata,
    Column("id", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("external_id", Text, nullable=False),
    Column("raw_json", Text, nullable=False),
    Column("candidates_json", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("resolved_at", Text),
    Index("conflict_by_record", "source", "external_id", unique=True),
)

source_state = Table(  # how far ingestion is, and when the source may be asked again, for all machines together
    "source_state",
    metadata,
    Column("source", Text, primary_key=True),
    Column("cursor_json", Text, nullable=False),
    Column("next_allowed_at", Text, nullable=False),
    Column("holder", Text),  # process whose request is under way
    Column("tried_at", Text),
    Column("succeeded_at", Text),
    Column("degraded_until", Text),
    Column("message", Text),
)
